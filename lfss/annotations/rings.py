"""Borders of a mask as closed lines of points, and holes cut open to the outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from .raster import Points, Target, following

_CHUNK = 1024  # points compared at once


class Part(NamedTuple):
    """One connected part of a mask.

    ``lines`` is its border: one closed ring, or, where it has holes, a closed walk along all its
    rings, as lines whose ends must stay.
    """

    number: int
    lines: list[Points]


def parts(numbers: npt.NDArray[np.int32], target: Target, *, corners: bool) -> list[Part]:
    """Every connected part and its border, by number.

    Args:
        numbers: (H, W) number of the part that a pixel belongs to, 0 outside.
        target: ``coco`` gives the middle of every pixel edge on the border, the others the centre of
            every pixel on the border.
        corners: for ``coco``, the corners of pixels as well.
    """
    edges = target == "coco"
    inside = (numbers > 0).view(np.uint8)
    grid = _doubled(inside) if edges else np.pad(inside, 1)
    contours, hierarchy = cv2.findContours(grid, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return []
    links = hierarchy[0].tolist()  # next, previous, first child, parent
    borders = [np.asarray(c)[:, 0].astype(np.int32) for c in contours]
    rings = _pixel_edges(borders, corners) if edges else [(b - 1).astype(np.float32) for b in borders]
    found = []
    for index, (_, _, hole, parent) in enumerate(links):
        if parent >= 0:
            continue
        x, y = (borders[index][0] - 1) >> edges
        holes = []
        while hole >= 0:
            holes.append(rings[hole])
            hole = links[hole][0]
        lines = _cut_open(rings[index], holes, numbers, target) if holes else [rings[index]]
        found.append(Part(int(numbers[y, x]), lines))
    return sorted(found, key=lambda part: part.number)


def _doubled(inside: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Every pixel as 2 x 2, so that each of its sides has a border of its own, and a margin of zeros."""
    height, width = inside.shape
    rows = (inside * np.uint16(257)).view(np.uint8)  # both bytes of a number are the pixel
    grid = np.zeros((2 * height + 2, 2 * width + 2), np.uint8)
    grid[1:-1:2, 1:-1] = rows
    grid[2:-1:2, 1:-1] = rows
    return grid


def _pixel_edges(borders: list[npt.NDArray[np.int32]], corners: bool) -> list[Points]:
    lengths = np.array([len(b) for b in borders])
    corner = np.concatenate(borders) >> 1  # in the picture's pixels; some points fall together
    keep = (corner != corner[following(lengths)]).any(axis=1)
    ends = np.cumsum(keep)[np.cumsum(lengths) - 1]
    corner = corner[keep].astype(np.float32)
    middle = (corner + corner[following(np.diff(ends, prepend=0))]) / 2
    if corners:
        return np.split(np.stack((corner, middle), axis=1).reshape(-1, 2), 2 * ends[:-1])
    return np.split(middle, ends[:-1])


def _cut_open(
    outer: Points, holes: list[Points], numbers: npt.NDArray[np.int32], target: Target
) -> list[Points]:
    """One closed walk over all rings.

    A hole is joined to the border that its leftmost pixel sees to its left. That border is the outer
    one or belongs to a hole that reaches further left, so all holes hang together in the end.
    """
    holes = sorted(holes, key=lambda ring: float(ring[:, 0].min()))
    rings = [outer, *(_from(h, int(h[:, 0].argmin())) for h in holes)]
    children: list[list[tuple[int, int]]] = [[] for _ in rings]
    for child, (parent, place) in enumerate(_seen_to_the_left(rings, numbers, target), start=1):
        children[parent].append((place, child))
    for found in children:
        found.sort(reverse=True)

    lines: list[Points] = []
    loops = [np.concatenate((r, r[:1])) for r in rings]
    walk = [(0, 0)]  # rings under way, from the outside in, and the place reached on each
    while walk:
        ring, place = walk.pop()
        loop = loops[ring]
        stop, child = children[ring].pop() if children[ring] else (len(loop) - 1, 0)
        if stop - place == len(loop) - 1:
            lines += _halves(loop)
        elif stop > place:
            lines.append(loop[place : stop + 1])
        if child:  # numbers of holes begin with 1
            lines.append(np.stack((loop[stop], loops[child][0])))
            walk += [(ring, stop), (child, 0)]
        elif walk:
            parent, place = walk[-1]
            lines.append(np.stack((loop[0], loops[parent][place])))
    return lines


def _halves(loop: Points) -> tuple[Points, Points]:
    """A closed loop cut at the point furthest from its start: its ends alone do not say where it runs."""
    away = loop - loop[0]
    far = int((away * away).sum(axis=1).argmax())
    return loop[: far + 1], loop[far:]


def _from(ring: Points, start: int) -> Points:
    return np.concatenate((ring[start:], ring[:start]))


def _seen_to_the_left(
    rings: list[Points], numbers: npt.NDArray[np.int32], target: Target
) -> list[tuple[int, int]]:
    """For each hole, the ring that its first point sees to its left, and the place on that ring."""
    seen = []
    for hole in rings[1:]:
        x, y = hole[0]
        outside = np.flatnonzero(numbers[int(y), : int(x) + (target != "coco")] == 0)
        seen.append((outside[-1] + 1 if outside.size else 0, y))
    wide = 2 * numbers.shape[1] + 3
    wanted, which = np.unique(_code(np.asarray(seen), wide), return_inverse=True)
    codes = _code(np.concatenate(rings), wide)
    nearest = np.minimum(np.searchsorted(wanted, codes), len(wanted) - 1)
    places = np.flatnonzero(wanted[nearest] == codes)[::-1]
    # Where borders share a point, the ring that comes first: it hangs together with the outer one.
    first = np.zeros(len(wanted), np.int64)
    first[nearest[places]] = places
    index = first[which]
    lengths = np.array([len(r) for r in rings])
    starts = np.cumsum(lengths) - lengths
    ring = np.searchsorted(starts, index, side="right") - 1
    return list(zip(ring.tolist(), (index - starts[ring]).tolist()))


def _code(points: npt.NDArray[np.floating], wide: int) -> npt.NDArray[np.int64]:
    doubled = (2 * points).astype(np.int64)
    return doubled[:, 1] * wide + doubled[:, 0]


def bridged(polygons: Sequence[Points]) -> Points:
    """Several polygons as one: each is tied to the others by a line without width, there and back.

    Args:
        polygons: (N, 2) x, y each, at least one. The nearest one is tied first, at its nearest points.
    """
    walk, rest = polygons[0], list(polygons[1:])
    while rest:
        near = [_nearest_points(walk, polygon) for polygon in rest]
        place = min(range(len(rest)), key=lambda p: near[p][0])
        _, here, there = near[place]
        loop = _from(rest.pop(place), there)
        walk = np.concatenate((walk[: here + 1], loop, loop[:1], walk[here:]))
    return walk


def _nearest_points(one: Points, other: Points) -> tuple[float, int, int]:
    """The smallest squared distance between points of two polygons, and their places."""
    best = (np.inf, 0, 0)
    for start in range(0, len(one), _CHUNK):
        away = one[start : start + _CHUNK, None] - other[None]
        squared = (away * away).sum(axis=2)
        here, there = np.unravel_index(int(squared.argmin()), squared.shape)
        best = min(best, (float(squared[here, there]), start + int(here), int(there)))
    return best


def simplify(part: Part, detail: float) -> Points:
    """The border of a part as one polygon, without points that lie within ``detail`` of what is kept.

    Returns:
        (N, 2) x, y, N at least 3: a polygon of fewer points repeats its last one.
    """
    if len(part.lines) == 1:
        points = np.asarray(cv2.approxPolyDP(part.lines[0], detail, True), np.float32)[:, 0]
    else:
        points = np.concatenate([_begun(line, detail) for line in part.lines]).astype(np.float32)
        points = points[(points != _from(points, 1)).any(axis=1)]
    return np.concatenate((points, points[[-1] * (3 - len(points))])) if len(points) < 3 else points


def _begun(line: Points, detail: float) -> Points:
    """A line with fewer points, without its last one, with which the next line begins."""
    if len(line) > 2:
        line = np.asarray(cv2.approxPolyDP(line, detail, False), np.float32)[:, 0]
    return line[:-1]
