"""4-D correlation of two pictures and the centre-pivot convolutions that read it (after HSNet, which TLG
builds on).

A correlation has one value for each pair of a query cell and a support cell. Its size grows with the fourth
power of the grid, so both pictures are first pooled to at most ``cells x cells``: with 16 a level takes
16^4 x 4 bytes = 256 kB an episode, and the widest intermediate result of ``PairEncoder`` about 8 MB.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...similarity import unit


def correlate(
    query: Sequence[Tensor], support: Sequence[Tensor], support_mask: Tensor | None, *, cells: int
) -> Tensor:
    """Cosine of each query cell with each support cell, negative values set to zero.

    Args:
        query, support: one (N, C_i, h_i, w_i) for each level, the same levels on both sides.
        support_mask: (N, h, w) bool; cells outside it correlate with nothing. None leaves all cells in.
        cells: both pictures are pooled to at most this many rows and columns.

    Returns:
        (N, L, q, q', s, s') in [0, 1], one channel for each level.
    """
    size = _grid(query, cells)
    other = _grid(support, cells)
    maps = []
    for a, b in zip(query, support):
        q = unit(F.adaptive_avg_pool2d(a, size))  # (N, C, q, q')
        s = unit(F.adaptive_avg_pool2d(b, other))  # (N, C, s, s')
        maps.append(torch.einsum("nchw,ncij->nhwij", q, s).clamp_min(0))  # (N, q, q', s, s')
    stacked = torch.stack(maps, 1)  # (N, L, q, q', s, s')
    if support_mask is None:
        return stacked
    # Max pooling keeps a cell of which any part is object, so that a small object never disappears.
    inside = F.adaptive_max_pool2d(support_mask[:, None].float(), other)  # (N, 1, s, s')
    return stacked * inside[:, :, None, None]


def swapped(correlation: Tensor) -> Tensor:
    """The same correlation seen from the support: (N, L, q, q', s, s') -> (N, L, s, s', q, q')."""
    return correlation.permute(0, 1, 4, 5, 2, 3)


def _grid(levels: Sequence[Tensor], cells: int) -> tuple[int, int]:
    return min(cells, levels[0].shape[-2]), min(cells, levels[0].shape[-1])


class CentrePivotConv4d(nn.Module):
    """A 4-D convolution of which only the two planes through its centre are kept.

    One plane moves over the first picture's cells, the other over the second's; the result is their sum.
    It has 2 k^2 weights in place of k^4 for each pair of channels.

    Args:
        cin, cout: channels.
        stride: over the second picture's cells; the first picture keeps its grid.
    """

    def __init__(self, cin: int, cout: int, *, kernel: int = 3, stride: int = 1):
        super().__init__()
        self.stride = stride
        self.first = nn.Conv2d(cin, cout, kernel, padding=kernel // 2)
        self.second = nn.Conv2d(cin, cout, kernel, stride=stride, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, a, a', b, b') -> (N, cout, a, a', b / stride, b' / stride)."""
        n, _, a, a2 = x.shape[:4]
        kept = x[..., :: self.stride, :: self.stride]  # the centres of the second picture's windows
        c, c2 = kept.shape[-2:]
        over_first = self.first(kept.permute(0, 4, 5, 1, 2, 3).flatten(0, 2))  # (N c c', cout, a, a')
        over_second = self.second(x.permute(0, 2, 3, 1, 4, 5).flatten(0, 2))  # (N a a', cout, c, c')
        return over_first.view(n, c, c2, -1, a, a2).permute(0, 3, 4, 5, 1, 2) + over_second.view(
            n, a, a2, -1, c, c2
        ).permute(0, 3, 1, 2, 4, 5)  # (N, cout, a, a', c, c')


class PairEncoder(nn.Module):
    """Three centre-pivot convolutions, then the mean over the second picture.

    The second picture's grid is halved twice on the way, which keeps the intermediate results small.

    Args:
        levels: channels of the correlation.
        widths: channels after each convolution; each a multiple of 4, for the group norm.
    """

    def __init__(self, levels: int, widths: tuple[int, int, int] = (16, 64, 128)):
        super().__init__()
        channels, strides = (levels, *widths), (2, 2, 1)
        self.convolutions = nn.ModuleList(
            CentrePivotConv4d(cin, cout, stride=s) for cin, cout, s in zip(channels, widths, strides)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(4, width) for width in widths)

    def forward(self, correlation: Tensor, cells: tuple[int, int]) -> Tensor:
        """(N, L, a, a', b, b') -> (N, widths[-1], *cells), on the first picture's finest cells."""
        x = correlation
        for convolution, norm in zip(self.convolutions, self.norms):
            x = F.relu(norm(convolution(x)))
        pooled = x.mean((-2, -1))  # (N, width, a, a')
        return F.interpolate(pooled, cells, mode="bilinear", align_corners=False)  # (N, width, h, w)
