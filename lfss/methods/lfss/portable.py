"""Maps whose meaning does not depend on the network that made them, for the portable decoder.

Networks differ in how far apart their cosines lie. So every cosine enters as a margin between object and
background, divided by its own spread over the picture, and beside it nothing of the network is seen.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...similarity import cosine_map, masked_average, pool_cells, resize_map, unit
from .step1_initial_mask import InitialMasks
from .step2_refine import background_similarity

MAP_SIDE = 50  # cells
MAP_NAMES: tuple[str, ...] = (
    "text", "first map", "initial mask", "refined mask", "RCM", "FCM margin", "association margin",
    "own margin", "nearest margin", "FCM", "association", "support background", "query background",
    "fine level margin", "coarse level margin", "text trust", "marked",
)  # fmt: skip


def portable_maps(
    *,
    first: InitialMasks,
    query: Tensor,
    query_mask: Tensor,
    support: Tensor,
    support_mask: Tensor,
    association: Tensor,
    fcm: Tensor,
    query_levels: tuple[Tensor, ...],
    support_levels: tuple[Tensor, ...],
    text_trust: Tensor,
    marked: Tensor,
    cells: int,
) -> Tensor:
    """All maps of ``MAP_NAMES``, (B, M, 50, 50), about -3 to 3.

    Args:
        first: step 1.
        query: (B, C, h, w) unit features; query_mask: (B, h, w) bool, refined.
        support: (B, K, C, h, w) unit features; support_mask: (B, K, h, w) bool, refined.
        association, fcm: (B, h, w), steps 3 and 4.
        query_levels: one (B, C_i, h_i, w_i) for each level; support_levels: (B, K, C_i, h_i, w_i).
        text_trust: (B,) in [0, 1].
        marked: (B,) share of the supports in which a person marked something.
        cells: pooling of the nearest-cell search, as in the refiner.
    """
    behind_support = _shot_mean(support, ~support_mask)
    behind_query = masked_average(query, ~query_mask)
    to_support, to_query = cosine_map(query, behind_support), cosine_map(query, behind_query)
    background = (to_support + to_query) / 2
    own = cosine_map(query, masked_average(query, query_mask)) - background_similarity(
        query, query_mask, keys=cells
    )
    nearest = _nearest(query, support, support_mask, cells) - _nearest(query, support, ~support_mask, cells)
    finest, coarsest = (_level_margin(query_levels[i], support_levels[i], support_mask) for i in (0, -1))
    plane, trust = torch.ones_like(fcm), text_trust.to(fcm.dtype)[:, None, None]
    maps = (
        first.query_text.logit(1e-3) / 4 * trust,
        first.query.logit(1e-3) / 4,
        first.query_mask.to(fcm.dtype),
        query_mask.to(fcm.dtype),
        _scaled(fcm - background) * query_mask,
        _scaled(fcm - background),
        _scaled(association - background),
        _scaled(own),
        _scaled(nearest),
        _standard(fcm),
        _standard(association),
        _standard(to_support),
        _standard(to_query),
        _scaled(resize_map(finest, _size(fcm))),
        _scaled(resize_map(coarsest, _size(fcm))),
        plane * trust,
        plane * marked[:, None, None],
    )
    return resize_map(torch.stack(maps, 1), (MAP_SIDE, MAP_SIDE))


def _size(maps: Tensor) -> tuple[int, int]:
    return maps.shape[-2], maps.shape[-1]


def _spread(maps: Tensor) -> Tensor:
    return maps.flatten(1).std(1).clamp_min(1e-4)[:, None, None]


def _scaled(margin: Tensor) -> Tensor:
    """Keeps the sign: zero still means "as much like the object as like the background"."""
    return (margin / _spread(margin)).clamp(-3, 3)


def _standard(maps: Tensor) -> Tensor:
    return ((maps - maps.mean((1, 2), keepdim=True)) / _spread(maps)).clamp(-3, 3)


def _shot_mean(support: Tensor, mask: Tensor) -> Tensor:
    b = support.shape[0]
    return masked_average(support.flatten(0, 1), mask.flatten(0, 1)).unflatten(0, (b, -1)).mean(1)


def _nearest(query: Tensor, support: Tensor, mask: Tensor, cells: int) -> Tensor:
    """Cosine of every query cell with the most similar (pooled) support cell of the masks, (B, h, w)."""
    b = query.shape[0]
    pooled = pool_cells(support.flatten(0, 1), mask.flatten(0, 1), cells)
    keys = torch.nn.functional.normalize(pooled.vectors, dim=-1).unflatten(0, (b, -1)).flatten(1, 2)
    weight = pooled.weight.unflatten(0, (b, -1)).flatten(1, 2)
    similarity = torch.einsum("bchw,bmc->bmhw", query, keys)
    return similarity.masked_fill((weight <= 1e-6)[..., None, None], -1.0).amax(1)


def _level_margin(query: Tensor, support: Tensor, mask: Tensor) -> Tensor:
    """Plain prototypes on one level: cosine with the object's minus cosine with the background's."""
    shots = unit(support.flatten(0, 1)).unflatten(0, support.shape[:2])
    soft = resize_map(mask.to(query.dtype), (query.shape[-2], query.shape[-1]))
    return cosine_map(query, _shot_mean(shots, soft)) - cosine_map(query, _shot_mean(shots, 1 - soft))
