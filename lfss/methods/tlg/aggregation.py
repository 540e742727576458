"""Heterogeneous aggregation (HA): the two pictures of a pair are read at different depths of one backbone.

The paper takes the last block of each stage for the support and the first one for the query. A backbone of
this project gives a few levels, finest first; the query reads every second one from the first on, the
support every second one from the second on, so that both see fine and coarse features but never the same
ones. A backbone with a single level leaves nothing to choose: then both read it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...similarity import lengths, resize_map


def query_levels(count: int) -> tuple[int, ...]:
    """Which of ``count`` levels the query reads.

    >>> query_levels(4), query_levels(2), query_levels(1)
    ((0, 2), (0,), (0,))
    """
    return tuple(range(0, count, 2))


def support_levels(count: int) -> tuple[int, ...]:
    """Which of ``count`` levels the support reads.

    >>> support_levels(4), support_levels(2), support_levels(1)
    ((1, 3), (1,), (0,))
    """
    return tuple(range(1, count, 2)) or (0,)


def normalised(level: Tensor) -> Tensor:
    """(N, C, h, w) -> the same with entries of about 1 in every cell.

    Backbones differ in scale by orders of magnitude, and a vision transformer has single cells that are
    many times longer than the others.
    """
    return level / lengths(level)[:, None] * level.shape[1] ** 0.5


class Aggregation(nn.Module):
    """Several levels of one picture brought together at the finest level's cells.

    Args:
        channels: of the levels that are read.
        width: channels of the result.
    """

    def __init__(self, channels: Sequence[int], width: int):
        super().__init__()
        self.reduce = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.fuse = nn.Conv2d(width * len(channels), width, 1)

    def forward(self, levels: Sequence[Tensor], cells: tuple[int, int]) -> Tensor:
        """One (N, C_i, h_i, w_i) a level -> (N, width, *cells)."""
        parts = [
            resize_map(reduce(normalised(level)), cells) for reduce, level in zip(self.reduce, levels)
        ]  # each (N, width, h, w)
        return self.fuse(torch.cat(parts, 1))  # (N, width, h, w)


class PooledResidual(nn.Module):
    """The residual of one branch: its own features on a grid twice as fine, pooled back.

    The branches differ in how they pool: the support keeps the strongest of four cells, the query their mean.

    Args:
        channels: of the level that is read.
        width: channels of the result.
        pooling: ``"max"`` or ``"mean"``.
    """

    def __init__(self, channels: int, width: int, *, pooling: str):
        super().__init__()
        if pooling not in ("max", "mean"):
            raise ValueError(f"pooling is 'max' or 'mean', not '{pooling}'")
        self.pooling = pooling
        self.reduce = nn.Conv2d(channels, width, 1)

    def forward(self, level: Tensor, cells: tuple[int, int]) -> Tensor:
        """(N, C, h', w') -> (N, width, *cells)."""
        fine = resize_map(self.reduce(normalised(level)), (2 * cells[0], 2 * cells[1]))  # (N, width, 2h, 2w)
        return F.max_pool2d(fine, 2) if self.pooling == "max" else F.avg_pool2d(fine, 2)  # (N, width, h, w)
