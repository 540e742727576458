"""The training losses: L_qry + L_sup, and PANet's alignment as the other reading of L_sup.

Truth is a map of class numbers: 0 the background, 1 to N the classes, ``IGNORE`` does not count.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ...similarity import masked_average, resize_map
from .step1_prototypes import prototype_cosines

IGNORE = 255


def segmentation_loss(features: Tensor, prototypes: Tensor, truth: Tensor, *, scale: float) -> Tensor:
    """Mean cross entropy of the pictures against their truth.

    Args:
        features: (B, M, C, h, w).
        prototypes: (B, N + 1, C), background first.
        truth: (B, M, H, W) int64, of any size; logits are enlarged to it.
        scale: logits per unit of cosine.

    Returns:
        A single value; 0 where every pixel is ignored.
    """
    logits = scale * prototype_cosines(features, prototypes)
    size = (truth.shape[-2], truth.shape[-1])
    return _cross_entropy(resize_map(logits, size).flatten(0, 1), truth.flatten(0, 1))


def support_loss(
    features: Sequence[Tensor], prototypes: Tensor, truths: Sequence[Tensor], *, scale: float
) -> Tensor:
    """L_sup as printed: the supports, segmented by the fused prototypes, against their own masks.

    Args:
        features: for each class (B, K, C, h, w).
        prototypes: (B, N + 1, C).
        truths: for each class (B, K, H, W).
        scale: logits per unit of cosine.
    """
    losses = [segmentation_loss(f, prototypes, t, scale=scale) for f, t in zip(features, truths)]
    return torch.stack(losses).mean()


def alignment_loss(
    query: Tensor, cosines: Tensor, features: Sequence[Tensor], truths: Sequence[Tensor], *, scale: float
) -> Tensor:
    """PANet's alignment: prototypes of the predicted query segment the supports, one class at a time.

    Args:
        query: (B, C, h, w).
        cosines: (B, N + 1, h, w) of the query with the fused prototypes; the nearest is its prediction.
        features, truths, scale: as in ``support_loss``.

    Returns:
        The mean over classes and supports; a class that the query is not predicted to show adds 0.
    """
    predicted = cosines.argmax(1)
    ground = masked_average(query, predicted == 0)
    losses = []
    for number, (support, truth) in enumerate(zip(features, truths), start=1):
        mask = predicted == number
        both = torch.stack((ground, masked_average(query, mask)), 1)
        there = mask.flatten(1).any(1) & (predicted == 0).flatten(1).any(1)
        one = torch.where(truth == number, 1, torch.where(truth == IGNORE, IGNORE, 0))
        one = torch.where(there.view(-1, 1, 1, 1), one, IGNORE)
        losses.append(segmentation_loss(support, both, one, scale=scale))
    return torch.stack(losses).mean()


def _cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """Mean over the pixels that count, 0 if none does: (N, P, H, W), (N, H, W) -> single value."""
    total = F.cross_entropy(logits, truth, ignore_index=IGNORE, reduction="sum")
    return total / (truth != IGNORE).sum().clamp_min(1)
