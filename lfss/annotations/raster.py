"""Polygons back to pixels, by the rules of those who will read them.

- ``coco``: a polygon runs along the borders of pixels; a pixel belongs to it if its centre does.
  Coordinates are rounded to a fifth of a pixel first, as COCO's own tools do, so the mask drawn here
  is the mask they see, pixel for pixel.
- ``opencv``: a polygon runs through the centres of the outermost pixels, which belong to it. YOLO and
  supervision fill so.
- ``pillow``: the same, by Pillow's own way to draw slanting lines. labelme fills so.

Points are x, y here, as in the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageDraw

Target = Literal["coco", "opencv", "pillow"]
Points = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

_FINE = 5  # COCO's steps to a pixel
_BEFORE_CENTRE = 2  # a pixel's centre lies between its steps 2 and 3


def draw(polygons: Sequence[Points], size: tuple[int, int], target: Target) -> npt.NDArray[np.int32]:
    """Which polygon covers each pixel.

    Args:
        polygons: (N, 2) x, y in pixels each, N at least 1; the last point joins the first.
        size: (H, W) in pixels; what lies outside is cut off.
        target: the rule.

    Returns:
        (H, W) number of a polygon that covers the pixel, counted from 1; 0 where there is none.
    """
    if target == "coco":
        return _draw_coco(polygons, size)
    if target == "opencv":
        canvas = np.zeros(size, np.int32)
        for number, polygon in enumerate(polygons, start=1):
            cv2.fillPoly(canvas, [np.rint(polygon).astype(np.int32)], number)
        return canvas
    picture = PIL.Image.new("I", size[::-1])
    pen = PIL.ImageDraw.Draw(picture)
    for number, polygon in enumerate(polygons, start=1):
        pen.polygon(polygon.reshape(-1).tolist(), fill=number, outline=number)
    return np.array(picture, np.int32)


def draw_near(
    polygons: Sequence[Points], size: tuple[int, int], target: Target
) -> tuple[npt.NDArray[np.bool_], tuple[int, int]]:
    """The pixels that polygons cover, drawn in their surroundings only: fast where many are drawn one by one.

    Args:
        polygons: as for ``draw``, at least one; no coordinate is below 0.
        size: (H, W) in pixels.
        target: the rule.

    Returns:
        (h, w) bool, a window of what ``draw`` gives, and the window's (top, left).
    """
    points = np.concatenate(polygons)
    left, top = (
        np.floor(points.min(axis=0)).astype(int) // 2 * 2
    ).tolist()  # even: halves are rounded to even
    right, bottom = (np.ceil(points.max(axis=0)).astype(int) + 2).tolist()
    window = (max(min(bottom, size[0]) - top, 1), max(min(right, size[1]) - left, 1))
    moved = [polygon - np.array((left, top), np.float32) for polygon in polygons]
    return draw(moved, window, target) > 0, (top, left)


def ellipse(x: float, y: float, across: float, down: float) -> npt.NDArray[np.float64]:
    """(N, 2) points x, y on an ellipse.

    Args:
        x, y: the centre, in pixels.
        across, down: the radii along the two axes, in pixels.
    """
    turn = np.linspace(0, 2 * np.pi, 128, endpoint=False)
    return np.stack((x + across * np.cos(turn), y + down * np.sin(turn)), axis=1)


def rotated(
    points: npt.NDArray[np.float64], degrees: float, *, about: int | None = None
) -> npt.NDArray[np.float64]:
    """Points turned clockwise, as seen in the picture.

    Args:
        points: (N, 2) x, y.
        degrees: the angle.
        about: the point that stays; the middle of all without it.
    """
    angle = np.deg2rad(degrees)
    turn = np.array(((np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))))
    centre = points.mean(axis=0) if about is None else points[about]
    return (points - centre) @ turn + centre


def _draw_coco(polygons: Sequence[Points], size: tuple[int, int]) -> npt.NDArray[np.int32]:
    height, width = size
    if not polygons:
        return np.zeros(size, np.int32)
    lengths = np.array([len(p) for p in polygons])
    corners = (_FINE * np.concatenate(polygons).astype(np.float64) + 0.5).astype(np.int64)
    edge, column, row = _crossings(corners, corners[following(lengths)])
    owner = np.repeat(np.arange(1, lengths.size + 1), lengths)[edge]
    within = (column >= 0) & (column < width)
    turn = column * height + np.clip(row, 0, height)
    # Down each column, a polygon begins and ends in turns: the first of two crossings opens a run.
    order = np.lexsort((turn[within], owner[within]))
    turn, owner = turn[within][order].reshape(-1, 2), owner[within][order][::2]
    order = np.argsort(turn[:, 0], kind="stable")
    start, end = turn[order].T
    # Where polygons overlap, the first run keeps what it covers.
    start = np.maximum(start, np.maximum.accumulate(np.concatenate(([0], end[:-1]))))
    end = np.maximum(start, end)
    stops = np.concatenate((np.stack((start, end), axis=1).reshape(-1), [height * width]))
    values = np.zeros(stops.size, np.int32)
    values[1::2] = owner[order]
    columns = np.repeat(values, np.diff(stops, prepend=0)).reshape(width, height)
    return np.asarray(cv2.transpose(columns), np.int32).reshape(size)


def following(lengths: npt.NDArray[np.integer]) -> Integers:
    """For points of closed lines, one line after another: the index of each point's successor, (N,).

    ``lengths`` holds the number of points of each line, (L,); N is their sum.
    """
    ends = np.cumsum(lengths)
    index = np.arange(1, ends[-1] + 1)
    index[ends - 1] = ends - lengths
    return index


def _crossings(corners: Integers, nexts: Integers) -> tuple[Integers, Integers, Integers]:
    """Where edges on the fine grid cross the centre lines of pixel columns.

    Args:
        corners: (N, 2) where each edge starts.
        nexts: (N, 2) where it ends.

    Returns:
        Edges, columns, and the first row whose centre lies below the crossing: outside becomes inside
        there, or the other way round.
    """
    steps = np.abs(nexts - corners)
    flat = steps[:, 0] >= steps[:, 1]
    # Every edge is walked towards larger coordinates of its longer axis, one fine step at a time.
    swap = np.where(flat, corners[:, 0] > nexts[:, 0], corners[:, 1] > nexts[:, 1])[:, None]
    start, end = np.where(swap, nexts, corners), np.where(swap, corners, nexts)

    which = np.flatnonzero(flat & (steps[:, 0] > 0))
    (x, y), count = start[which].T, steps[which, 0]
    slope = (end[which, 1] - y) / count
    first = (_BEFORE_CENTRE - x) % _FINE
    edge, t = _ranges(-(-(count - first) // _FINE))
    t = first[edge] + _FINE * t
    level = np.minimum(_at(y[edge], slope[edge], t), _at(y[edge], slope[edge], t + 1))
    edges, columns, levels = [which[edge]], [(x[edge] + t) // _FINE], [level]

    which = np.flatnonzero(~flat & (steps[:, 0] > 0))
    (x, y), count = start[which].T, steps[which, 1]
    slope = (end[which, 0] - x) / count
    edge, t = _ranges(count)
    here, there = _at(x[edge], slope[edge], t), _at(x[edge], slope[edge], t + 1)
    left = np.minimum(here, there)
    hit = (here != there) & (left % _FINE == _BEFORE_CENTRE)
    edges.append(which[edge][hit])
    columns.append(left[hit] // _FINE)
    levels.append((y[edge] + t)[hit])
    rows = (np.concatenate(levels) + _BEFORE_CENTRE) // _FINE
    return np.concatenate(edges), np.concatenate(columns), rows


def _at(start: Integers, slope: npt.NDArray[np.float64], t: Integers) -> Integers:
    return (start + slope * t + 0.5).astype(np.int64)


def _ranges(counts: Integers) -> tuple[Integers, Integers]:
    """0 .. count-1 for each count, one after another, and which count each belongs to."""
    counts = np.maximum(counts, 0)
    owner = np.repeat(np.arange(counts.size), counts)
    return owner, np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts)
