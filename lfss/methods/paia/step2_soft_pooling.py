"""Step 2, Eq. 2: soft-masked average pooling, what a picture without a mask teaches about a class."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ...similarity import EPS


class SoftMasks(NamedTuple):
    """``probability`` (B, M, N, h, w) of each class, and ``chosen``, bool, where the class is the nearest.

    The paper's y and z.
    """

    probability: Tensor
    chosen: Tensor


class Pooled(NamedTuple):
    """``vectors`` (B, M, N, C), zero where nothing is left; ``weight`` (B, M, N), what was summed."""

    vectors: Tensor
    weight: Tensor


def soft_masks(cosines: Tensor, *, scale: float) -> SoftMasks:
    """Probability of each class, and where it is the nearest.

    Args:
        cosines: (B, M, N + 1, h, w) with the prototypes, background first.
        scale: logits per unit of cosine.
    """
    probability = (scale * cosines).softmax(2)
    numbers = torch.arange(cosines.shape[2], device=cosines.device).view(-1, 1, 1)
    chosen = cosines.argmax(2, keepdim=True) == numbers
    return SoftMasks(probability[:, :, 1:], chosen[:, :, 1:])


def soft_masked_average(features: Tensor, weight: Tensor) -> Pooled:
    """Mean feature of each picture under the soft mask of each class (Eq. 2).

    Args:
        features: (B, M, C, h, w).
        weight: (B, M, N, h, w), the product of probability, choice and filter; at least 0.
    """
    total = weight.flatten(3).sum(3)
    sums = torch.einsum("bmchw,bmnhw->bmnc", features, weight)
    left = total > EPS
    vectors = torch.where(left[..., None], sums / total.clamp_min(EPS)[..., None], torch.zeros_like(sums))
    return Pooled(vectors, total)
