"""Objects that touch, cut apart where the neck between them is narrow.

Each pixel climbs to the top of its hill: the distance to the border, or heights that are given, such as a
score map. Two neighbouring hills stay one object unless the pass between them is low beside the lower of
their tops. This is a watershed whose hills are merged from the highest pass downwards, with a bound that
does not depend on the size of the objects.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .errors import InputError
from .objects import MOST, Mask, Numbers, nearest, parts, used

Heights = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

STRENGTH = 0.4  # where nobody has chosen one; from COCO train2017, see train.objects
_SMALLEST = 0.08  # of a part's pixels: a piece below that is no object of its own
_SIDE = 700  # pixels: longer parts are cut up at this size
_AROUND = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))


def separate(mask: Mask, strength: float, *, heights: Heights | None = None) -> Numbers:
    """The objects of a mask with those cut apart that touch by a narrow neck.

    Args:
        mask: (H, W).
        strength: hills are parted where the pass is lower than this share of the lower top; 0 cuts
            nothing, 1 cuts at every waist.
        heights: (H, W) above 0, such as a score map; the distance to the border without it.

    Returns:
        (H, W) numbers from 1; 0 outside of the mask.

    Raises:
        InputError: the strength is not between 0 and 1.
    """
    if not 0 <= strength <= 1:
        raise InputError(f"The strength of a separation lies between 0 and 1; {strength} was given.")
    whole = parts(mask)
    result, highest = whole.copy(), int(whole.max(initial=0))
    for number in used(whole):
        rows, columns = (np.flatnonzero((whole == number).any(axis)) for axis in (1, 0))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        inside = whole[box] == number
        _, connected, stats, _ = cv2.connectedComponentsWithStats(inside.view(np.uint8), connectivity=8)
        largest = connected == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        found = _hills(largest, strength, None if heights is None else heights[box])
        found = nearest(found, inside)  # the crumbs
        for piece in used(found)[1:]:
            if highest == MOST:
                break
            highest += 1
            result[box][inside & (found == piece)] = highest
    return result


def _hills(inside: Mask, strength: float, heights: Heights | None) -> Numbers:
    """The objects of one connected part, at its own size."""
    shrink = max(inside.shape) / _SIDE
    if shrink > 1:
        size = (max(1, round(inside.shape[1] / shrink)), max(1, round(inside.shape[0] / shrink)))
        small = cv2.resize(inside.view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        lower = None if heights is None else cv2.resize(heights, size, interpolation=cv2.INTER_AREA)
        found = _hills(small, strength, None if lower is None else np.asarray(lower, np.float32))
        enlarged = cv2.resize(found, inside.shape[::-1], interpolation=cv2.INTER_NEAREST)
        return nearest(np.where(inside, enlarged, 0).astype(np.uint16), inside)
    padded = np.pad(inside, 1)
    if heights is None:
        level = cv2.distanceTransform(padded.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    else:
        level = np.pad(np.maximum(heights, 1e-6), 1)
    ground = np.where(padded, level, 0).astype(np.float32)
    return _merged(ground, _tops(ground, padded), padded, strength)[1:-1, 1:-1]


def _tops(level: Heights, inside: Mask) -> Integers:
    """(H, W) index of the top that each pixel climbs to; ties go to the later pixel."""
    index: Integers = np.arange(level.size).reshape(level.shape)
    best, target = level.copy(), index.copy()
    for y, x in _AROUND:
        near = np.roll(level, (y, x), (0, 1))
        near_index = np.roll(index, (y, x), (0, 1))
        higher = (near > best) | ((near == best) & (near_index > target))
        best, target = np.where(higher, near, best), np.where(higher, near_index, target)
    target = np.where(inside, target, index).ravel()
    while True:  # each pixel asks the one it points at, twice as far each time
        further = target[target]
        if np.array_equal(further, target):
            return target.reshape(level.shape)
        target = further


def _merged(level: Heights, top: Integers, inside: Mask, strength: float) -> Numbers:
    """Hills joined over passes that are high enough, then small ones with the neighbour they share most."""
    tops, hill = np.unique(top[inside], return_inverse=True)
    hills = np.full(level.shape, -1)
    hills[inside] = hill
    peak = level.ravel()[tops]
    ones, others, heights = _passes(level, hills)
    owner = np.arange(len(tops))

    def root(place: int) -> int:
        while owner[place] != place:
            owner[place] = owner[owner[place]]
            place = int(owner[place])
        return place

    for place in np.argsort(-heights, kind="stable").tolist():
        a, b = root(int(ones[place])), root(int(others[place]))
        if a != b and heights[place] >= strength * min(peak[a], peak[b]):
            low, high = (a, b) if peak[a] < peak[b] else (b, a)
            owner[low] = high
    size = np.bincount(hill, minlength=len(tops)).astype(np.int64)
    area = np.zeros(len(tops), np.int64)
    np.add.at(area, [root(p) for p in range(len(tops))], size)
    for place in np.argsort(-heights, kind="stable").tolist():  # too small: over their highest pass
        a, b = root(int(ones[place])), root(int(others[place]))
        if a != b and min(area[a], area[b]) < _SMALLEST * size.sum():
            low, high = (a, b) if area[a] < area[b] else (b, a)
            owner[low] = high
            area[high] += area[low]
    final = np.unique([root(p) for p in range(len(tops))], return_inverse=True)[1] + 1
    return np.where(inside, final[hills], 0).astype(np.uint16)


def _passes(level: Heights, hills: Integers) -> tuple[npt.NDArray[np.integer], ...]:
    """Pairs of neighbouring hills, and the highest pass between each pair."""
    found: dict[tuple[int, int], float] = {}
    for y, x in ((0, 1), (1, 0), (1, 1), (1, -1)):
        near, near_level = np.roll(hills, (-y, -x), (0, 1)), np.roll(level, (-y, -x), (0, 1))
        border = (hills >= 0) & (near >= 0) & (hills != near)
        low, high = np.minimum(hills, near)[border], np.maximum(hills, near)[border]
        height = np.minimum(level, near_level)[border]
        for a, b, h in zip(low.tolist(), high.tolist(), height.tolist()):
            found[a, b] = max(found.get((a, b), 0.0), h)
    pairs = np.array(list(found), np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1], np.array(list(found.values()))
