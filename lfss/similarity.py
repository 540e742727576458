"""The maths that every step shares: masked averages, cosines, resizing, pooling of cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

EPS = 1e-6
# Maps are gone through by so many channels at a time: a temporary copy of a whole one does not fit the
# processor's cache, and asking the system for its memory takes longer than the arithmetic.
CHANNELS = 128


def lengths(features: Tensor) -> Tensor:
    """(N, C, ...) -> (N, ...), length along C, at least ``EPS``.

    Dividing a product by lengths is a cosine, and much cheaper than making unit vectors first.
    """
    squares = [part.square().sum(1) for part in features.split(CHANNELS, 1)]
    return torch.stack(squares).sum(0).clamp_min(EPS**2).sqrt()


def unit(features: Tensor) -> Tensor:
    """(N, C, ...) -> the same with unit length along C; zero vectors stay zero."""
    return features / lengths(features)[:, None]


def masked_average(features: Tensor, weight: Tensor, *, directions: bool = False) -> Tensor:
    """Mean feature under a mask (Eq. 2).

    Args:
        features: (N, C, h, w).
        weight: (N, h, w) in [0, 1]; a bool mask is welcome.
        directions: average the features' unit vectors.

    Returns:
        (N, C). Rows whose weight sums to zero are zero, never NaN.
    """
    weight = weight.to(features.dtype)
    total = weight.sum((1, 2)).clamp_min(EPS)
    share = weight / lengths(features) if directions else weight
    return torch.einsum("nchw,nhw->nc", features, share) / total[:, None]


def cosine_map(features: Tensor, vectors: Tensor) -> Tensor:
    """Cosine between every cell and one vector for each item.

    Args:
        features: (N, C, h, w).
        vectors: (N, C), or (N, P, C) for P vectors an item.

    Returns:
        (N, h, w) or (N, P, h, w), in [-1, 1]; 0 where either is zero.
    """
    single = vectors.dim() == 2
    v = F.normalize(vectors[:, None] if single else vectors, dim=-1, eps=EPS)
    out = torch.einsum("nchw,npc->nphw", features, v) / lengths(features)[:, None]
    return out[:, 0] if single else out


def resize_map(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of (..., h, w) to (..., *size), corners not aligned."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    flat = maps.reshape(-1, 1, *maps.shape[-2:]).float()
    out = F.interpolate(flat, size, mode="bilinear", align_corners=False)
    return out.view(*maps.shape[:-2], *size)


class Cells(NamedTuple):
    """Pooled cells: ``vectors`` (N, m, C) and ``weight`` (N, m), the cells each one stands for."""

    vectors: Tensor
    weight: Tensor


def mean_of_best(maps: Tensor, share: float) -> Tensor:
    """Mean of the best cells of each map; a single cell would be too easily fooled.

    Args:
        maps: (..., h, w).
        share: part of all cells that counts as the best, at least one cell.

    Returns:
        (...).
    """
    flat = maps.flatten(-2)  # (..., h*w)
    return flat.topk(max(1, round(share * flat.shape[-1])), dim=-1).values.mean(-1)


def pool_cells(features: Tensor, mask: Tensor, grid: int, *, directions: bool = False) -> Cells:
    """Masked means over a coarse grid, so that products of cells with cells stay small.

    Neighbouring cells are nearly alike, so a product of all n cells with m << n masked means gives
    almost what the product with all masked cells gives, for n / m of its cost. With ``grid`` at
    least as large as the map nothing is pooled and the result is exact.

    Blocks are disjoint, so every cell counts once; the last row and column may be smaller.

    Args:
        features: (N, C, h, w).
        mask: (N, h, w) bool or weights in [0, 1].
        grid: at most this many rows and columns of pooled cells.
        directions: average the features' unit vectors.

    Returns:
        m <= grid * grid cells. Empty ones have weight 0 and a zero vector.
    """
    h, w = mask.shape[-2:]
    weight = mask.to(features.dtype)[:, None]
    scale = weight / lengths(features)[:, None] if directions else weight
    if h <= grid and w <= grid:
        return Cells((features * scale).flatten(2).transpose(1, 2), weight.flatten(1))
    block = (-(-h // grid), -(-w // grid))

    def sums(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, block, ceil_mode=True, divisor_override=1).flatten(2)

    share = sums(weight)
    total = torch.cat([sums(part * scale) for part in features.split(CHANNELS, 1)], 1)
    return Cells((total / share.clamp_min(EPS)).transpose(1, 2), share[:, 0])


def concat_levels(levels: Sequence[Tensor]) -> Tensor:
    """All levels at the finest level's cells, one after the other along the channels.

    Each cell of each level is scaled so that every level has the same weight and the whole has unit length.

    Args:
        levels: (N, C_i, h_i, w_i) each, finest first.

    Returns:
        (N, sum C_i, h, w).
    """
    size = (levels[0].shape[-2], levels[0].shape[-1])
    share = len(levels) ** -0.5
    parts = [resize_map(level, size) for level in levels]  # (N, C_i, h, w)
    parts = [part * (share / lengths(part))[:, None] for part in parts]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)
