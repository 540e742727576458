"""Weak annotations made from true masks, by fixed rules, for measuring what each kind is worth.

All rules work on connected parts of the mask (pixels touching at a side or corner); semantic masks do
not tell instances apart.

- Box: around the ``largest`` part, as PANet does, or around ``all`` of them. In a trimap, what lies
  outside the boxes of *all* parts is known not to be the object, the inside of every box is unknown.
- Scribble: a smooth line along the middle of one part, drawn at random by its size, from one end of it to
  the other with a tenth left out at both ends; and one along the middle of the background.
- Points: clicks, each as far from the outline and from the clicks before it as the mask allows.

Trimaps are (H, W) int8: 1 object, 0 not the object, -1 unknown, as supports take them. Ignored pixels
are unknown in every one of them.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from lfss.errors import InputError

from .episodes import Draws

Mask = npt.NDArray[np.bool_]
Trimap = npt.NDArray[np.int8]
Box = tuple[int, int, int, int]
BoxRule = Literal["largest", "all"]

SCRIBBLE_GRID = 64  # lines are found on a mask of at most this many cells a side
SCRIBBLE_TRIM = 0.1  # of a line's length, at each end
SCRIBBLE_WIDTH = 0.012  # of the picture's diagonal
BACKGROUND_MARGIN = 0.02  # of the diagonal, between object and background scribble

_NEIGHBOURS = [(r, c, math.hypot(r, c)) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c]


def known_mask(mask: Mask, ignore: Mask | None = None) -> Trimap:
    """The (H, W) trimap of a full mask: everything is known, ignored pixels excepted."""
    return _with_unknown(mask.astype(np.int8), ignore)


def object_box(mask: Mask, rule: BoxRule = "largest") -> Box:
    """A box around the object.

    Args:
        mask: (H, W) bool, with at least one pixel.
        rule: around its largest part or all of it; of equal parts the uppermost, then leftmost.

    Returns:
        (top, left, bottom, right) in pixels; bottom and right lie just outside.

    Raises:
        InputError: the mask is empty.
    """
    boxes, areas, _ = _parts(mask)
    if rule == "all":
        top, left = boxes[:, :2].min(axis=0).tolist()
        bottom, right = boxes[:, 2:].max(axis=0).tolist()
        return top, left, bottom, right
    top, left, bottom, right = boxes[int(areas.argmax())].tolist()
    return top, left, bottom, right


def known_box(mask: Mask, ignore: Mask | None = None, *, rule: BoxRule = "largest") -> Trimap:
    """The (H, W) trimap of a box: inside unknown, outside not the object.

    With ``largest``, the boxes of the other parts are unknown too: a person who draws one box does not
    say that the rest of the herd is background.
    """
    boxes = _parts(mask)[0] if rule == "largest" else np.array([object_box(mask, "all")])
    known = np.zeros(mask.shape, np.int8)
    for top, left, bottom, right in boxes:
        known[top:bottom, left:right] = -1
    return _with_unknown(known, ignore)


def scribbles(mask: Mask, ignore: Mask | None = None, *, seed: int | str) -> tuple[Mask, Mask]:
    """A scribble on the object and one beside it.

    Args:
        mask: (H, W) bool, with at least one pixel.
        ignore: (H, W) bool; no scribble touches these.
        seed: a number or text; which part is scribbled on, where there are several.

    Returns:
        (H, W) bool each. The first never leaves the mask and is never empty; the second never touches
        it, and is empty where the object leaves no room.

    Raises:
        InputError: the mask is empty.
    """
    hidden = np.zeros_like(mask) if ignore is None else ignore
    _, areas, numbers = _parts(mask & ~hidden if (mask & ~hidden).any() else mask)
    ticket = Draws(f"scribble|{seed}").below(int(areas.sum()))
    part = numbers == int(np.searchsorted(np.cumsum(areas), ticket, side="right")) + 1
    margin = max(1, round(BACKGROUND_MARGIN * math.hypot(*mask.shape)))
    near = cv2.dilate((mask | hidden).astype(np.uint8), np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
    beside = near == 0
    if beside.any():
        _, sizes, numbers = _parts(beside)
        beside = _scribble(numbers == int(sizes.argmax()) + 1)
    return _scribble(part), beside


def known_scribbles(
    mask: Mask, ignore: Mask | None = None, *, seed: int | str, beside: bool = True
) -> Trimap:
    """The (H, W) trimap of scribbles: 1 and 0 under them, unknown elsewhere.

    Args:
        mask, ignore, seed: see ``scribbles``.
        beside: off leaves out the scribble beside the object.
    """
    inside, outside = scribbles(mask, ignore, seed=seed)
    known = np.full(mask.shape, -1, np.int8)
    if beside:
        known[outside] = 0
    known[inside] = 1
    return _with_unknown(known, ignore)


def known_point(mask: Mask, ignore: Mask | None = None) -> Trimap:
    """The (H, W) trimap of a click as wide as a scribble: 1 around the pixel deepest inside, else -1."""
    hidden = np.zeros_like(mask) if ignore is None else ignore
    seen = mask & ~hidden if (mask & ~hidden).any() else mask
    row, column = points(seen, 1)[0].tolist()
    width = max(1, round(SCRIBBLE_WIDTH * math.hypot(*mask.shape)))
    drawn = np.zeros(mask.shape, np.uint8)
    cv2.circle(drawn, (column, row), width // 2, 1, -1)
    known = np.where((drawn > 0) & seen, np.int8(1), np.int8(-1))
    return _with_unknown(known, ignore)


def points(mask: Mask, count: int) -> npt.NDArray[np.int64]:
    """Clicks on the object.

    Args:
        mask: (H, W) bool, with at least one pixel.
        count: number of clicks.

    Returns:
        (P, 2) row, column, P = min(count, pixels of the mask). The first is the pixel deepest inside; each
        further one lies where the smaller of its distances to the outline and to the clicks is largest.

    Raises:
        InputError: the mask is empty.
    """
    _parts(mask)
    room = _depth(mask)
    rows, columns = np.indices(mask.shape)
    clicks = []
    for _ in range(min(count, int(mask.sum()))):
        row, column = divmod(int(room.argmax()), mask.shape[1])
        clicks.append((row, column))
        room = np.minimum(room, np.hypot(rows - row, columns - column))
    return np.array(clicks, np.int64).reshape(-1, 2)


def _scribble(part: Mask) -> Mask:
    """A line along the middle of a connected part, on a coarse grid first."""
    scale = min(1.0, SCRIBBLE_GRID / max(part.shape))
    size = [max(1, round(n * scale)) for n in part.shape]
    # A cell belongs to the part if any of its pixels does, so that thin parts stay in one piece.
    cells = cv2.resize(part.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA) > 0
    line = _middle_line(cells)
    trim = math.floor(SCRIBBLE_TRIM * len(line))
    middle = _smooth(line[trim : len(line) - trim].astype(np.float64))
    pixels = (middle + 0.5) * (np.array(part.shape) / size) - 0.5
    width = max(1, round(SCRIBBLE_WIDTH * math.hypot(*part.shape)))
    drawn = np.zeros(part.shape, np.uint8)
    cv2.polylines(drawn, [np.rint(pixels[:, ::-1]).astype(np.int32)], False, 1, width)
    inside = (drawn > 0) & part
    if not inside.any():
        inside[np.unravel_index(int(_depth(part).argmax()), part.shape)] = True
    return inside


def _middle_line(cells: Mask) -> npt.NDArray[np.int64]:
    """(N, 2) cells of a path between two far ends of a part, keeping to its middle."""
    depth = _depth(cells)
    start = np.unravel_index(int(depth.argmax()), cells.shape)
    first, _ = _farthest(depth, (int(start[0]), int(start[1])))
    _, path = _farthest(depth, first)
    return np.array(path)


def _farthest(
    depth: npt.NDArray[np.float64], start: tuple[int, int]
) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """The cell farthest from the start, by steps that cost more near the outline, and the path to it."""
    cost = {start: 0.0}
    length = {start: 0.0}
    before: dict[tuple[int, int], tuple[int, int]] = {}
    queue = [(0.0, start)]
    done = set()
    while queue:
        spent, cell = heapq.heappop(queue)
        if cell in done:
            continue
        done.add(cell)
        for step, neighbour in _steps(depth, cell):
            total = spent + step / depth[neighbour] ** 2
            if total < cost.get(neighbour, math.inf):
                cost[neighbour], before[neighbour] = total, cell
                length[neighbour] = length[cell] + step
                heapq.heappush(queue, (total, neighbour))
    end = max(done, key=lambda cell: (length[cell], cell))
    path = [end]
    while path[-1] != start:
        path.append(before[path[-1]])
    return end, path


def _steps(depth: npt.NDArray[np.float64], cell: tuple[int, int]) -> Iterator[tuple[float, tuple[int, int]]]:
    for down, right, step in _NEIGHBOURS:
        row, column = cell[0] + down, cell[1] + right
        if 0 <= row < depth.shape[0] and 0 <= column < depth.shape[1] and depth[row, column] > 0:
            yield step, (row, column)


def _smooth(line: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Each point moved to the mean of five; the ends stay."""
    if len(line) < 5:
        return line
    padded = np.pad(line, ((2, 2), (0, 0)), mode="edge")
    smooth = np.mean([padded[i : i + len(line)] for i in range(5)], axis=0)
    smooth[[0, -1]] = line[[0, -1]]
    return smooth


def _depth(mask: Mask) -> npt.NDArray[np.float64]:
    """Distance to the nearest pixel outside the mask or the picture; 0 outside."""
    padded = np.pad(mask, 1).astype(np.uint8)
    return cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1].astype(np.float64)


def _parts(mask: Mask) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray]:
    """Boxes (P, 4), areas (P,) and numbers (H, W), from 1, of a mask's connected parts."""
    if not mask.any():
        raise InputError("A weak annotation needs a mask that marks something; this one is empty.")
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    left, top, width, height, area = stats[1:].astype(np.int64).T
    return np.stack((top, left, top + height, left + width), axis=1), area, numbers


def _with_unknown(known: Trimap, ignore: Mask | None) -> Trimap:
    return known if ignore is None else np.where(ignore, np.int8(-1), known)
