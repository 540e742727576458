"""Masks as polygons, made for the rule by which the target draws them again (see ``raster``).

1. Trace the borders of each connected part at full detail, holes too.
2. Cut every hole open to the border on its left, so that one closed line holds the part and its holes
   (a "keyhole"). The cut has no width, or runs over object pixels only: it costs no pixel.
3. Leave out points that lie within ``detail`` pixels of the line between those kept (Douglas-Peucker).
4. Draw the result and compare. Where it costs too much of a part, that part gets half the detail, and
   so on.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .raster import Points, Target, draw
from .rings import parts, simplify
from .rle import Mask, bounds

DETAIL = 0.5
MAX_DETAIL = 20.0
LOSS = 0.02  # of a part's pixels that may come out wrong, for each pixel of detail

_FINE = 0.25  # a detail below a pixel centre's distance to the border: hardly ever costs a pixel

_FEW = 4  # wrong pixels allowed: below this the full detail is seldom enough, and not worth trying


@dataclass(frozen=True, eq=False)
class Outline:
    """A mask as polygons, and what that costs.

    Attributes:
        polygons: one for each connected part: (N, 2) float32 x, y in pixels, N at least 3; holes are
            cut open to the outside.
        iou: of the mask with the polygons drawn by the target's rule.
    """

    polygons: tuple[Points, ...]
    iou: float

    @property
    def vertices(self) -> int:
        """Points in all polygons together."""
        return sum(len(p) for p in self.polygons)


def trace(mask: Mask, *, target: Target = "coco", detail: float = DETAIL, min_part: int = 1) -> Outline:
    """The outline of a mask.

    Args:
        mask: (H, W) bool.
        target: the rule by which the reader will fill the polygons.
        detail: how far the outline may leave the mask's own, in pixels. 0 keeps every corner; larger
            values give fewer points. No part gets more than 2 % of its pixels wrong per pixel of
            detail: small and thin parts keep more points.
        min_part: connected parts of fewer pixels are left out.

    Raises:
        InputError: detail outside 0 to 20, or min_part below 1.
    """
    check_settings(detail, min_part)
    top, left, height, width = bounds(mask)
    if not height:
        return Outline((), 1.0)
    crop = np.ascontiguousarray(mask[top : top + height, left : left + width])
    polygons, drawn = _fit(_number_parts(crop, min_part), target, detail)
    iou = np.count_nonzero(drawn & crop) / np.count_nonzero(drawn | crop)
    corner = np.array((left, top), np.float32)
    return Outline(tuple(p + corner for p in polygons), float(iou))


def check_settings(detail: float, min_part: int) -> None:
    """Refuse settings that ``trace`` would refuse, before any work.

    Raises:
        InputError: detail outside 0 to 20, or min_part below 1.
    """
    if not 0 <= detail <= MAX_DETAIL:
        raise InputError(f"Detail lies between 0 and {MAX_DETAIL:g} pixels; {detail:g} was given.")
    if min_part < 1:
        raise InputError(f"The smallest part is 1 pixel or more; {min_part} was given.")


def _number_parts(mask: Mask, min_part: int) -> npt.NDArray[np.int32]:
    """(H, W) numbers, from 1, of the connected parts of at least ``min_part`` pixels; 0 elsewhere."""
    numbers = np.asarray(cv2.connectedComponents(mask.view(np.uint8), connectivity=8)[1], np.int32)
    if min_part == 1:
        return numbers
    large = np.bincount(numbers.reshape(-1)) >= min_part
    large[0] = False
    return (np.cumsum(large, dtype=np.int32) * large)[numbers]


def _fit(numbers: npt.NDArray[np.int32], target: Target, detail: float) -> tuple[list[Points], Mask]:
    """A polygon for each numbered part, and all of them drawn."""
    found = parts(numbers, target, corners=detail == 0)
    allowed = LOSS * detail * np.bincount(numbers.ravel())[1:]
    tolerance = np.where(allowed < _FEW, min(detail, _FINE), detail)
    polygons = [simplify(part, t) for part, t in zip(found, tolerance)]
    while True:
        drawn = draw(polygons, (numbers.shape[0], numbers.shape[1]), target)
        wrong = drawn != numbers
        loss = np.bincount(np.concatenate((drawn[wrong], numbers[wrong])), minlength=len(found) + 1)[1:]
        again = np.flatnonzero((loss > allowed) & (tolerance > 0))
        if not again.size:
            return polygons, drawn > 0
        finer = np.maximum(tolerance[again] / 2, _FINE)
        tolerance[again] = np.where(tolerance[again] <= _FINE, 0, finer)
        for index in again:
            polygons[index] = simplify(found[index], tolerance[index])
