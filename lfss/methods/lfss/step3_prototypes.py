"""Step 3, section 3.4: distributed prototype supervision, DPS (Eq. 6-12).

Seeds spread over the mask, a small move of each to the most typical cell near it, clustering of the
mask's cells around them, and a map of how much every cell resembles the cluster centres.

Where the paper is silent
    *Number of seeds*: one for each 2.8 % of the map (69.4 cells of 50 x 50), 1 to 5.
    *Border* (Eq. 6): the outside of the picture counts as background.
    *Shift* (Eq. 7): a seed moves only to cells of the mask that no other seed holds.
    *Distance* (Eq. 10): features are unit vectors times ``sigma``. With raw features a seed keeps
    all weight for itself; with small ones every centre becomes the mean (tests show both).
    *Map* (Eq. 12): the paper compares the centres with the support, but Eq. 18 lays the map over the
    query. Here it is made on the picture that is segmented, and it is a mean, so that its range does
    not depend on the number of seeds.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ...similarity import EPS, lengths, unit


class Seeds(NamedTuple):
    """``points`` (N, P, 2) int64 row, column; ``valid`` (N, P) bool: an item may have fewer than P."""

    points: Tensor
    valid: Tensor


class Clusters(NamedTuple):
    """``centres`` (N, P, C) and ``superpixels`` (N, h, w) int64: nearest centre, -1 outside the mask."""

    centres: Tensor
    superpixels: Tensor


def seed_count(mask: Tensor, *, most: int = 5, area: float = 0.0278) -> Tensor:
    """How many seeds each of N masks gets: area share / ``area``, rounded, 1 to ``most``.

    Never more than the mask has cells; 0 for an empty mask. Returns (N,) int64.
    """
    cells = mask.flatten(1).sum(1)
    count = (cells / (mask[0].numel() * area)).round().clamp(1, most).long()
    return torch.minimum(count, cells)


def border_distance(mask: Tensor) -> Tensor:
    """Squared Euclidean distance of each cell to the nearest background cell.

    Exact and separable: first along columns, then along rows. A ring of background surrounds the map.

    Args:
        mask: (N, h, w) bool.

    Returns:
        (N, h, w) float32, squared cells; 0 outside the mask.
    """
    padded = torch.nn.functional.pad(mask, (1, 1, 1, 1), value=False)
    height, width = padded.shape[-2:]
    far = float(height**2 + width**2)
    rows = torch.arange(height, device=mask.device, dtype=torch.float32)
    columns = torch.arange(width, device=mask.device, dtype=torch.float32)
    blocked = torch.where(padded, far, 0.0)
    down = (rows[:, None] - rows[None]).square()  # (to, from)
    along = (blocked[:, None] + down[None, :, :, None]).amin(2)  # (N, to, W)
    across = (columns[:, None] - columns[None]).square()
    return (along[:, :, None] + across[None, None]).amin(3)[:, 1:-1, 1:-1]


def place_seeds(mask: Tensor, count: Tensor, *, most: int = 5) -> Seeds:
    """Spread seeds far from the border and from each other (Eq. 6).

    Args:
        mask: (N, h, w) bool.
        count: (N,) how many each item gets, at most ``most``.
        most: P, the length of the result.

    Returns:
        Seeds inside their masks, distinct. Of equally far cells the first in reading order is taken.
    """
    h, w = mask.shape[1:]
    distance = border_distance(mask).masked_fill(~mask, -1.0)
    row = torch.arange(h, device=mask.device)[None, :, None]
    column = torch.arange(w, device=mask.device)[None, None]
    points = []
    for _ in range(most):
        best = distance.flatten(1).argmax(1)
        r, c = best // w, best % w
        points.append(torch.stack((r, c), 1))
        away = (row - r[:, None, None]).square() + (column - c[:, None, None]).square()
        distance = torch.minimum(distance, torch.where(mask, away.to(distance.dtype), -1.0))
    valid = torch.arange(most, device=mask.device)[None] < count[:, None]
    return Seeds(torch.stack(points, 1), valid)


def shift_seeds(seeds: Seeds, mask: Tensor, similarity: Tensor, *, window: int = 3) -> Seeds:
    """Move each seed to the most object-like cell of a window around it (Eq. 7 and 8).

    Args:
        seeds: as placed.
        mask: (N, h, w) bool, the support's mask.
        similarity: (N, h, w), cosine of each support cell with the query's object prototype.
        window: odd side of the window in cells; 1 moves nothing.

    Returns:
        Seeds, still inside the mask and distinct. A seed stays where no cell is better.
    """
    n, h, w = mask.shape
    reach = window // 2
    steps = torch.arange(-reach, reach + 1, device=mask.device)
    offsets = torch.cartesian_prod(steps, steps).view(-1, 2)
    offsets = offsets[offsets.square().sum(1).argsort(stable=True)]  # the seed itself first
    taken = torch.zeros(n, h * w, dtype=torch.bool, device=mask.device)
    flat = seeds.points[..., 0] * w + seeds.points[..., 1]
    taken.scatter_(1, flat.where(seeds.valid, flat[:, :1]), True)
    moved = []
    for i in range(seeds.points.shape[1]):
        at = seeds.points[:, i, None] + offsets[None]  # (N, window^2, 2)
        inside = (at >= 0).all(2) & (at[..., 0] < h) & (at[..., 1] < w)
        index = (at[..., 0].clamp(0, h - 1) * w + at[..., 1].clamp(0, w - 1)).long()
        free = inside & mask.flatten(1).gather(1, index) & ~taken.gather(1, index)
        free[:, 0] = True
        score = similarity.flatten(1).gather(1, index).masked_fill(~free, -torch.inf)
        new = index.gather(1, score.argmax(1, keepdim=True))
        new = torch.where(seeds.valid[:, i, None], new, flat[:, i, None])
        still = taken.scatter(1, flat[:, i, None], False).scatter(1, new, True)
        taken = torch.where(seeds.valid[:, i, None], still, taken)
        moved.append(torch.cat((new // w, new % w), 1))
    return Seeds(torch.stack(moved, 1), seeds.valid)


def cluster(
    features: Tensor,
    mask: Tensor,
    seeds: Seeds,
    *,
    sigma: float = 4.0,
    radius: float = 2.0,
    iterations: int = 5,
) -> Clusters:
    """Gather the mask's cells around the seeds (Eq. 9-11).

    Each iteration gives every cell p of the mask the weight exp(-Q) for each centre, with
    Q^2 = |f_p - f_i|^2 + |x_p - x_i|^2 / radius^2, and moves the centre to the weighted mean.

    Args:
        features: (N, C, h, w).
        mask: (N, h, w) bool; each item that has a valid seed has a cell.
        seeds: starting cells.
        sigma: length of the feature vectors; larger makes appearance count more against position.
        radius: r of Eq. 10 in cells; larger makes position count less.
        iterations: how often; 0 returns the seeds' own features.

    Returns:
        Centres in the scale of ``features`` made unit vectors; rows of invalid seeds are zero.
    """
    n, c, h, w = features.shape
    # Only cells of the mask count, so the m cells of the largest mask are gathered first.
    area = mask.flatten(1)
    most = max(1, int(area.sum(1).max()))
    index = area.int().argsort(dim=1, descending=True, stable=True)[:, :most]  # (N, m)
    outside = ~area.gather(1, index)[:, None]
    start = seeds.points[..., 0] * w + seeds.points[..., 1]  # (N, P)

    def take(which: Tensor) -> tuple[Tensor, Tensor]:
        looks = features.flatten(2).gather(2, which[:, None].expand(-1, c, -1))
        return unit(looks), torch.stack((which // w, which % w), 1).to(looks.dtype)

    cells, places = take(index)  # (N, C, m), (N, 2, m)
    centres, where = (x.transpose(1, 2) for x in take(start))  # (N, P, C), (N, P, 2)
    squares = cells.square().sum(1)[:, None]

    def distance() -> Tensor:
        looks = squares + centres.square().sum(2, keepdim=True) - 2 * (centres @ cells)
        steps = (where[..., None] - places[:, None]).square().sum(2)
        return (sigma**2 * looks.clamp_min(0) + steps / radius**2).sqrt()  # (N, P, m)

    for _ in range(iterations):
        weight = (-distance()).masked_fill(outside, -torch.inf)
        weight = weight.softmax(2).nan_to_num(0.0)  # an item without any cell in its mask
        centres, where = weight @ cells.transpose(1, 2), weight @ places.transpose(1, 2)
    nearest = distance().masked_fill(~seeds.valid[..., None], torch.inf).argmin(1)
    nearest = nearest.masked_fill(outside[:, 0], -1)
    superpixels = torch.full_like(area, -1, dtype=torch.int64).scatter(1, index, nearest).view(n, h, w)
    return Clusters(centres * seeds.valid[..., None], superpixels)


def association_map(features: Tensor, centres: Tensor, valid: Tensor) -> Tensor:
    """How much every cell resembles the local prototypes: mean cosine (Eq. 12).

    Args:
        features: (N, C, h, w) of the picture that is segmented.
        centres: (N, P, C).
        valid: (N, P) bool.

    Returns:
        (N, h, w) in [-1, 1]; 0 where an item has no prototype.
    """
    directions = torch.nn.functional.normalize(centres, dim=-1, eps=EPS) * valid[..., None]
    # The mean of cosines is the cosine with the mean direction, not normalised: one product, not P.
    mean = directions.sum(1) / valid.sum(1, keepdim=True).clamp_min(1)
    return torch.einsum("nchw,nc->nhw", features, mean) / lengths(features)
