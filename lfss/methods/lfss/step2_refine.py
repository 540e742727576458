"""Step 2, section 3.3: the mask refiner (Eq. 2-5).

A cell stays in the mask while it looks more like the object (one prototype shared by support and
query, Eq. 3) than like the background of its own picture (a prototype for each cell, Eq. 4).

Where the paper is silent
    *Eq. 4* leaves open which cells ask, whether features are normalised and how sharp the softmax
    is. Here all cells ask, background cells answer, features are unit vectors and logits are
    multiplied by 2: the self-support form. ``form="literal"`` lets only background cells ask, with
    the features as they are.
    *Cost.* Background cells are pooled to a coarse grid first (``keys``); see ``pool_cells``.
    *Nothing left.* An empty mask, or one without background, is returned as it came; so is one that
    refinement would empty.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ...similarity import EPS, cosine_map, lengths, pool_cells

Form = Literal["self-support", "literal"]


def shared_prototype(support: Tensor, query: Tensor, alpha: float) -> Tensor:
    """``alpha * support + (1 - alpha) * query`` (Eq. 3); both (N, C)."""
    return alpha * support + (1 - alpha) * query


def background_similarity(
    features: Tensor,
    mask: Tensor,
    *,
    temperature: float = 2.0,
    keys: int = 16,
    form: Form = "self-support",
) -> Tensor:
    """Cosine of every cell with its own background prototype (Eq. 4 and 5).

    With weights w = softmax(temperature * F_i . F_j) over background cells j, the prototype of
    cell i is P_i = sum_j w_ij F_j. Only its cosine with F_i is needed, and both F_i . P_i and |P_i|
    follow from products of cells with cells, so P_i itself, n x C numbers, is never made.

    Args:
        features: (N, C, h, w).
        mask: (N, h, w) bool, the object.
        temperature: sharpness; larger lets a cell listen to its most similar background only.
        keys: the background is pooled to at most ``keys x keys`` cells; larger is exact and slower.
        form: ``"self-support"`` (unit features, all cells ask) or ``"literal"`` (raw features;
            foreground cells get the plain mean of the background).

    Returns:
        (N, h, w) in [-1, 1]; -1 where an item has no background.
    """
    literal = form == "literal"
    cells = pool_cells(features, ~mask, keys, directions=not literal)
    product = cells.vectors @ features.flatten(2)  # (N, m, n)
    cosine = product / lengths(features).flatten(1)[:, None]
    logits = temperature * (product.masked_fill(mask.flatten(1)[:, None], 0.0) if literal else cosine)
    # A pooled cell that stands for more background counts for more, as if it were repeated.
    log_weight = cells.weight.clamp_min(EPS).log().masked_fill(cells.weight <= EPS, -torch.inf)
    none = ~(cells.weight > EPS).any(1)
    log_weight = log_weight.masked_fill(none[:, None], 0.0)
    attention = (logits + log_weight[..., None]).softmax(1)
    gram = cells.vectors @ cells.vectors.transpose(1, 2)  # (N, m, m)
    length = ((gram @ attention) * attention).sum(1).clamp_min(EPS**2).sqrt()
    similarity = (attention * cosine).sum(1) / length
    return similarity.view(mask.shape).masked_fill(none[:, None, None], -1.0)


def refine(features: Tensor, mask: Tensor, prototype: Tensor, background: Tensor) -> Tensor:
    """Assign every cell to the object or to its background, whichever it resembles more (Eq. 5).

    Args:
        features: (N, C, h, w).
        mask: (N, h, w) bool, the mask before.
        prototype: (N, C), the object (Eq. 3).
        background: (N, h, w), ``background_similarity`` of the same features and mask.

    Returns:
        (N, h, w) bool. Ties go to the background; where nothing would be left, the mask before.
    """
    refined = cosine_map(features, prototype) > background
    keep = ~refined.flatten(1).any(1) | ~mask.flatten(1).any(1) | mask.flatten(1).all(1)
    return torch.where(keep[:, None, None], mask, refined)
