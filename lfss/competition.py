"""Where several classes of one run claim the same pixel, one of them gets it.

The rule: the larger calibrated probability wins; of equal ones, the class that is named first. Pairs that may
overlap, such as a rider and a horse, do not take pixels from each other.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Masks = npt.NDArray[np.bool_]


class Competition(NamedTuple):
    """What is left to each class, and what it lost.

    Attributes:
        masks: (N, H, W) bool.
        lost: for each class, by the number of the winner: the share of its own claim that the winner took,
            in [0, 1]. Only winners that took something.
    """

    masks: Masks
    lost: tuple[dict[int, float], ...]


def compete(
    probabilities: npt.NDArray[np.float32], claims: Masks, *, may_overlap: Collection[tuple[int, int]] = ()
) -> Competition:
    """Give every pixel that several classes claim to one of them.

    The classes that claim a pixel are gone through from the most probable to the least. Each gets the pixel
    unless a class that got it already may not overlap with it; it has lost the pixel to the most probable of
    these.

    Args:
        probabilities: (N, H, W) calibrated probability that a pixel belongs to each class, in [0, 1].
        claims: (N, H, W) bool, the mask of each class alone.
        may_overlap: pairs of class numbers, in any order.

    Returns:
        New masks; the arguments are left as they are.
    """
    masks = claims.copy()
    count = len(claims)
    lost: tuple[dict[int, float], ...] = tuple({} for _ in range(count))
    flat = claims.reshape(count, -1)  # (N, H * W)
    contested = np.flatnonzero(flat.sum(0) > 1)  # (M,)
    if not len(contested):
        return Competition(masks, lost)
    together = np.eye(count, dtype=bool)
    for a, b in may_overlap:
        together[a, b] = together[b, a] = True
    claimed = flat[:, contested]  # (N, M)
    order = np.argsort(-probabilities.reshape(count, -1)[:, contested], axis=0, kind="stable")  # (N, M)
    winner = _winners(claimed, order, together)  # (N, M)
    masks.reshape(count, -1)[:, contested] = claimed & (winner < 0)
    areas = flat.sum(1)  # (N,)
    for number in range(count):
        taken = np.bincount(winner[number][winner[number] >= 0], minlength=count)
        lost[number].update({int(by): float(taken[by] / areas[number]) for by in np.flatnonzero(taken)})
    return Competition(masks, lost)


def _winners(claimed: Masks, order: npt.NDArray[np.intp], together: Masks) -> npt.NDArray[np.intp]:
    """To which class each class loses each of M pixels; -1 where it loses it to none. (N, M)."""
    count, pixels = claimed.shape
    winner = np.empty((count, pixels), np.intp)
    kept = np.zeros((count, pixels), bool)
    places = np.arange(pixels)
    for rank in range(count):
        who = order[rank]  # (M,)
        asks = claimed[who, places]
        loses_to = np.full(pixels, -1)
        for better in reversed(range(rank)):
            rival = order[better]
            loses_to = np.where(kept[rival, places] & ~together[who, rival], rival, loses_to)
        winner[who, places] = np.where(asks, loses_to, -1)
        kept[who, places] = asks & (loses_to < 0)
    return winner
