"""Step 1, Eq. 1: one prototype for each class and one for the background, and what lies nearest to which.

Shapes: B episodes, N classes, K supports of a class, M pictures, C channels, (h, w) cells. Prototypes are
(B, N + 1, C) with the background first.

Where the paper is silent
    *Averages on cells.* PANet enlarges the features to the picture before it averages them. Averaging
    cells by the share of each that is object gives almost the same for a small part of the cost.
    *An empty mask* teaches nothing: the picture is left out of the mean over the supports.
    *No pixel is known to be background* (a scribble on the object only): everything that is not known to
    be object stands for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...similarity import EPS, cosine_map, masked_average
from .config import Background


class Original(NamedTuple):
    """``prototypes`` (B, N + 1, C), background first; ``shots`` (B, N), the supports that show the class."""

    prototypes: Tensor
    shots: Tensor


def original_prototypes(
    features: Sequence[Tensor],
    inside: Sequence[Tensor],
    outside: Sequence[Tensor],
    *,
    background: Background = "pixels",
) -> Original:
    """Prototypes of the supports (Eq. 1).

    Args:
        features: for each class (B, K, C, h, w); K may differ between classes.
        inside: for each class (B, K, h, w) in [0, 1], the share of each cell that shows it.
        outside: likewise, the share that shows no class of the episode.
        background: over all pixels, or the mean of the pictures' means.

    Returns:
        A class that no support shows has a zero prototype and 0 shots.
    """
    vectors, shots = zip(*(_class_prototype(f, m) for f, m in zip(features, inside)))
    ground = _background(features, _never_nothing(outside, inside), background)
    return Original(torch.stack((ground, *vectors), 1), torch.stack(shots, 1))


def prototype_cosines(features: Tensor, prototypes: Tensor) -> Tensor:
    """Cosine of every cell with every prototype: (B, M, C, h, w), (B, P, C) -> (B, M, P, h, w)."""
    count = features.shape[1]
    flat = cosine_map(features.flatten(0, 1), prototypes.repeat_interleave(count, 0))
    return flat.unflatten(0, (-1, count))


def class_margin(cosines: Tensor, *, scale: float) -> Tensor:
    """How far each class leads over the best of all others, in logits; above 0 it is the nearest.

    Args:
        cosines: (B, M, N + 1, h, w), background first.
        scale: logits per unit of cosine.

    Returns:
        (B, M, N, h, w). With one class this is exactly its log odds.
    """
    top = cosines.topk(2, 2)
    leads = top.indices[:, :, :1] == torch.arange(cosines.shape[2], device=cosines.device).view(-1, 1, 1)
    rival = torch.where(leads, top.values[:, :, 1:], top.values[:, :, :1])
    return scale * (cosines - rival)[:, :, 1:]


def _class_prototype(features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    means = masked_average(features.flatten(0, 1), mask.flatten(0, 1)).view(*features.shape[:3])  # (B, K, C)
    shown = (mask.flatten(2).sum(2) > EPS).to(features.dtype)  # (B, K)
    shots = shown.sum(1)
    return (means * shown[..., None]).sum(1) / shots.clamp_min(1)[:, None], shots


def _never_nothing(outside: Sequence[Tensor], inside: Sequence[Tensor]) -> list[Tensor]:
    """For episodes in which no cell of any support is known to be background: what is not object."""
    nothing = torch.stack([m.flatten(1).sum(1) for m in outside]).sum(0) <= EPS  # (B,)
    return [torch.where(nothing.view(-1, 1, 1, 1), 1 - i, o) for o, i in zip(outside, inside)]


def _background(features: Sequence[Tensor], outside: Sequence[Tensor], kind: Background) -> Tensor:
    means, areas = [], []
    for feature, mask in zip(features, outside):
        means.append(masked_average(feature.flatten(0, 1), mask.flatten(0, 1)).view(*feature.shape[:3]))
        areas.append(mask.to(feature.dtype).flatten(2).sum(2))
    mean, area = torch.cat(means, 1), torch.cat(areas, 1)  # (B, all K, C), (B, all K)
    weight = area if kind == "pixels" else (area > EPS).to(mean.dtype)
    return (mean * weight[..., None]).sum(1) / weight.sum(1, keepdim=True).clamp_min(EPS)
