"""Better text evidence without any training: what the backbone's features say about a text tower's cells.

A text tower knows words and places them coarsely; a backbone tells parts of a picture apart and knows no
word. Three options of step 1 lend the one what the other has. The presets of the paper use none of them.

- ``proxy``: the text tower's last attention is replaced by the likeness of the backbone's cells. With
  cosines S_ij and their mean m over the picture, cell i listens to j by
  softmax_j(``sharpness`` (S_ij - ``shift`` m)) over the cells for which that is not negative.
- ``spread``: the tower's vectors are averaged over cells that look alike to the backbone, several times.
  An inner product with a phrase is linear, so this spreads the phrase's logits in the same way.
- ``repair``: a few cells of deep layers are many times as long as the others and carry no local content;
  each is replaced by the mean of its ordinary neighbours.

All three keep a picture of one colour as it is: every mixture is a weighted mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from ..similarity import EPS, resize_map
from . import Backbone, VisionLanguage

Encode = Callable[[Tensor], tuple[Tensor, tuple[Tensor, ...]]]

POWER = 4.0  # of the likeness along which vectors spread
OUTLIER = 2.0  # times the median length of a picture's cells


@dataclass(frozen=True)
class Evidence:
    """Options of the text evidence; all off is the text tower as it comes.

    Attributes:
        proxy: replace the tower's last attention; for towers that have one.
        repair: replace outlier cells before that layer; likewise.
        spread: how often the vectors are averaged over cells that look alike; 2 is usual.
    """

    proxy: bool = False
    repair: bool = False
    spread: int = 0

    def __str__(self) -> str:
        parts = (
            ["proxy"] * self.proxy + ["repair"] * self.repair + [f"spread {self.spread}"] * bool(self.spread)
        )
        return ", ".join(parts) or "as it comes"


class Mixing(NamedTuple):
    """How cells are averaged: ``weights`` (B, n, n), rows sum to 1; ``grid`` (h, w) with h w = n."""

    weights: Tensor
    grid: tuple[int, int]

    def __call__(self, cells: Tensor) -> Tensor:
        """(B, D, h', w') of any size -> (B, D, h, w): enlarged to the grid, then averaged."""
        x = resize_map(cells, self.grid).flatten(2).transpose(1, 2)  # (B, n, D)
        return (self.weights @ x).transpose(1, 2).unflatten(2, self.grid)


def proxy_attention(features: Tensor, *, shift: float = 1.2, sharpness: float = 3.0) -> Mixing:
    """Attention by the likeness of a backbone's cells.

    Args:
        features: (B, C, h, w).
        shift: times the mean cosine; larger lets a cell listen to fewer others.
        sharpness: larger makes the nearest count more.

    Returns:
        The mixture. A cell for which nothing is left, as on a picture of one colour, listens to itself.
    """
    f = F.normalize(features.float().flatten(2), dim=1, eps=EPS)
    cosine = f.transpose(1, 2) @ f  # (B, n, n)
    logits = sharpness * (cosine - shift * cosine.mean((1, 2), keepdim=True))
    logits = logits.masked_fill(logits < 0, -torch.inf)
    alone = torch.full_like(logits[0], -torch.inf).fill_diagonal_(0.0)
    nothing = (logits == -torch.inf).all(2, keepdim=True)
    return Mixing(torch.where(nothing, alone, logits).softmax(2), _grid(features))


def affinity(features: Tensor, *, power: float = POWER) -> Mixing:
    """Weights along a backbone's self-similarity.

    Cosines of the cells' differences from the picture's mean, negative ones as 0, to a power.

    Args:
        features: (B, C, h, w).
        power: larger spreads less far.
    """
    f = features.float().flatten(2)
    f = F.normalize(f - f.mean(2, keepdim=True), dim=1, eps=EPS)
    weights = (f.transpose(1, 2) @ f).clamp_min(0) ** power
    # A cell is like itself, also where the difference is nothing and its cosine 0.
    weights = weights + EPS * torch.eye(weights.shape[-1], device=weights.device)
    return Mixing(weights / weights.sum(2, keepdim=True), _grid(features))


def spread(cells: Tensor, features: Tensor, *, rounds: int, power: float = POWER) -> Tensor:
    """Average cells over those that look alike, ``rounds`` times; returns (B, D, h, w).

    Args:
        cells: (B, D, h', w'); enlarged to the features' size.
        features: (B, C, h, w), by which cells look alike.
        rounds: how often.
        power: of the cosines; a larger one listens to the most alike alone.
    """
    mixing = affinity(features, power=power)
    for _ in range(rounds):
        cells = mixing(cells)
    return cells


def repair_outliers(cells: Tensor, *, limit: float = OUTLIER) -> Tensor:
    """Replace over-long cells by the mean of their ordinary neighbours.

    Args:
        cells: (B, C, h, w).
        limit: a cell is an outlier where it is longer than so many times the picture's median length.

    Returns:
        The same shape. Where all eight neighbours are outliers too, the mean of all ordinary cells.
    """
    length = cells.norm(dim=1)  # (B, h, w)
    median = length.flatten(1).median(1).values[:, None, None]
    ordinary = (length <= limit * median)[:, None].to(cells.dtype)  # (B, 1, h, w)

    def around(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 3, stride=1, padding=1, divisor_override=1)

    count = around(ordinary)
    whole = (cells * ordinary).sum((2, 3), keepdim=True) / ordinary.sum((2, 3), keepdim=True).clamp_min(1)
    near = torch.where(count > 0, around(cells * ordinary) / count.clamp_min(1), whole)
    return torch.where(ordinary > 0, cells, near)


def guided(
    vlm: VisionLanguage, backbone: Backbone, evidence: Evidence, encode: Encode | None = None
) -> Encode:
    """One pass through both towers, the text evidence guided by the deepest level of the backbone.

    Args:
        vlm, backbone: the towers.
        evidence: what is done.
        encode: the towers' own common pass, where they share a trunk; then only ``spread`` is possible.

    Returns:
        (B, 3, S, S) in [0, 1] -> what ``vlm.encode_dense`` gives, as unit vectors if it gives such, and the
        backbone's levels.

    Raises:
        InputError: an option that this text tower does not have.
    """
    inner = evidence.proxy or evidence.repair
    if inner and (encode is not None or not getattr(vlm, "guidable", False)):
        raise InputError(
            f"The text tower '{vlm.name}' has no last attention of its own, so it can neither take the "
            "backbone's in its place nor repair cells before it. Use the option 'spread' alone."
        )

    tower: Any = vlm

    def run(pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        if encode is not None:
            dense, levels = encode(pixels)
        else:
            levels = backbone(pixels)
            mixing = proxy_attention(levels[-1]) if evidence.proxy else None
            options = {"mixing": mixing, "repair": evidence.repair} if inner else {}
            dense = tower.encode_dense(pixels, **options)
        if evidence.spread:
            dense = spread(dense, levels[-1], rounds=evidence.spread)
        return dense, levels

    return torch.no_grad()(run)


def _grid(features: Tensor) -> tuple[int, int]:
    return features.shape[-2], features.shape[-1]
