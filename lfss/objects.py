"""The objects of a mask: a draft holds one mask of a label, which may show several things.

Without a word from a person, each connected part is an object. A person splits objects that touch, by a
line (``cut``) or by how narrow the neck between them is (see ``separation``), and joins the parts of one that
something hides (``join``). The result is a map of numbers beside the mask, ``Draft.objects``.

Parts that are tiny beside the largest one are crumbs of a threshold rather than things. They count as
belonging to the nearest larger part, so they change no count and no pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from .drafts import Draft
from .errors import InputError

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.uint16]

CRUMB = 0.01  # of the pixels of the largest part: smaller ones belong to their nearest neighbour
MOST = 65_535  # objects in one draft
_COARSE = 800  # pixels a side of the map that says which part is nearest to a crumb


def parts(mask: Mask, *, crumb: float = CRUMB) -> Numbers:
    """The connected parts of a mask (8 neighbours), the crumbs with the nearest.

    Args:
        mask: (H, W).
        crumb: the share of the largest part's pixels below which a part is a crumb.

    Returns:
        (H, W) numbers from 1 in the order of their topmost pixels; 0 outside of the mask.
    """
    count, found, stats, centres = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    if count <= 2:
        return found.astype(np.uint16)
    large = np.concatenate(([False], sizes >= crumb * sizes.max()))
    if count - 1 > MOST:  # noise: the largest parts are objects, whatever their share
        large[1 + np.argsort(-sizes, kind="stable")[MOST:]] = False
    table = (np.cumsum(large) * large).astype(np.uint16)
    if not large[1:].all():
        coarse = -(-max(mask.shape) // _COARSE)
        sparse = table[found[::coarse, ::coarse]]
        near = nearest(sparse, np.ones(sparse.shape, np.bool_))
        columns, rows = np.rint(centres[~large] / coarse).astype(int).T
        table[~large] = near[np.minimum(rows, near.shape[0] - 1), np.minimum(columns, near.shape[1] - 1)]
        table[0] = 0
    return table[found]


def numbered(mask: Mask, objects: Numbers | None) -> Numbers:
    """(H, W) number of the object at each pixel of a mask: those of a person, or its parts."""
    if objects is None:
        return parts(mask)
    numbers = np.where(mask, objects, 0).astype(np.uint16)
    return nearest(numbers, mask) if numbers.any() else parts(mask)


def count(draft: Draft) -> int:
    """How many objects a draft shows; 0 where it shows nothing."""
    return len(used(numbered(draft.mask, draft.objects))) if draft.mask.any() else 0


def join(numbers: Numbers, members: Sequence[int]) -> Numbers:
    """(H, W) numbers in which several objects are one.

    Raises:
        InputError: fewer than two of them are there.
    """
    there = sorted(set(members) & set(used(numbers)))
    if len(there) < 2:
        raise InputError("Joining takes two objects or more. Choose the parts of one object.")
    return np.where(np.isin(numbers, there), there[0], numbers).astype(np.uint16)


def cut(numbers: Numbers, line: npt.NDArray[np.floating]) -> Numbers:
    """Numbers in which the objects that a line crosses are two or more.

    Args:
        numbers: (H, W).
        line: (N, 2) x, y in pixels, N at least 2.

    Returns:
        Where the line falls into an object without parting it, nothing changes there. Every pixel stays
        in the mask: those under the line go to the nearer side.

    Raises:
        InputError: fewer than two points, or more objects than can be counted.
    """
    if len(line) < 2:
        raise InputError("A cut is a line of two points or more.")
    blade = np.zeros(numbers.shape, np.uint8)
    corners = np.rint(line).astype(np.int32)[None]
    cv2.polylines(blade, corners, isClosed=False, color=1, lineType=cv2.LINE_4)  # parts 8 neighbours
    result, highest = numbers.copy(), int(numbers.max())
    for number in used(numbers[blade > 0]):
        whole = numbers == number
        _, connected = cv2.connectedComponents(whole.view(np.uint8), connectivity=8)
        for part in used(connected[blade > 0]):
            inside = connected == part
            pieces = parts(inside & (blade == 0))  # chips along the line are crumbs
            if len(used(pieces)) < 2:
                continue
            pieces = nearest(pieces, inside)
            order = np.argsort(-np.bincount(pieces[inside].ravel())[1:], kind="stable") + 1
            for piece in order[1:].tolist():  # the largest keeps the number
                highest += 1
                if highest > MOST:
                    raise InputError(f"A draft holds at most {MOST:,} objects.")
                result[inside & (pieces == piece)] = highest
    return result


def carry(objects: Numbers, mask: Mask) -> Numbers | None:
    """(H, W) numbers for a mask that was edited: pixels keep theirs, new ones get that of the nearest.

    Returns:
        None where nothing of the numbered objects is left.
    """
    kept = np.where(mask, objects, 0).astype(np.uint16)
    if not kept.any():
        return None
    number_of = int(kept.max())
    _, connected = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    alone = set(np.unique(connected[mask]).tolist()) - set(np.unique(connected[kept > 0]).tolist())
    for part in sorted(alone):  # drawn apart from all others: objects of their own
        number_of = min(number_of + 1, MOST)
        kept[connected == part] = number_of
    return nearest(kept, mask)


def same(one: Numbers, other: Numbers) -> bool:
    """Whether two (H, W) maps say the same but for the numbers they use."""
    if one.shape != other.shape or not np.array_equal(one > 0, other > 0):
        return False
    pairs = np.unique(np.stack((one[one > 0], other[one > 0])), axis=1)
    return len(set(pairs[0].tolist())) == len(set(pairs[1].tolist())) == pairs.shape[1]


def used(numbers: npt.NDArray[np.integer]) -> list[int]:
    """The numbers that occur in an array of any shape, without 0, in ascending order."""
    return [int(n) for n in np.flatnonzero(np.bincount(numbers.ravel())) if n]


def nearest(numbers: Numbers, mask: Mask) -> Numbers:
    """(H, W) numbers for all pixels of a mask: those that have none get that of the nearest that has one."""
    if not (mask & (numbers == 0)).any():
        return numbers
    away = (numbers == 0).view(np.uint8)
    _, index = cv2.distanceTransformWithLabels(
        away, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(int(index.max()) + 1, np.uint16)
    owner[index[away == 0]] = numbers[away == 0]
    return np.where(mask, owner[index], 0).astype(np.uint16)
