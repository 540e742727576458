"""Brings a score from cells to pixels along the picture's own edges.

A cell is eight or sixteen pixels wide, so an enlarged score ends in blobs. A guided filter makes the
score, within every window, a linear function of the picture's colours: it then changes where the
picture does. ``python -m train.edges`` compares it with other ways.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from .images import halve

RADIUS, FINE_RADIUS = 28, 16  # at SOLVE_SIDE; a decoder's logits, finer than FINE_CELLS, need less
FINE_CELLS = 64
SOLVE_SIDE = 320
APPLY_SIDE = 1024

Floats = npt.NDArray[np.float32]


class Linear(NamedTuple):
    """At each place: score = ``slope`` (H, W, 3) . colour + ``offset`` (H, W)."""

    slope: Floats
    offset: Floats


def guided_filter(guide: Floats, values: Floats, *, radius: int, eps: float) -> Linear:
    """Fit ``values`` by the colours of ``guide`` in every window, and average over windows.

    Args:
        guide: (H, W, 3) in [0, 1].
        values: (H, W).
        radius: half the window's side in pixels; larger reaches further.
        eps: colour variance that counts as an edge; larger smooths more. Useful: 1e-5 to 1e-2.
    """
    window = (2 * radius + 1, 2 * radius + 1)

    def mean(x: npt.NDArray) -> npt.NDArray:
        return cv2.boxFilter(x, -1, window, borderType=cv2.BORDER_REFLECT)

    average, level = mean(guide), mean(values)
    covariance = mean(guide * values[..., None]) - average * level[..., None]
    r, g, b = (guide[..., i] for i in range(3))
    ra, ga, ba = (average[..., i] for i in range(3))
    # The inverse of a symmetric 3 x 3 matrix in every window, written out.
    rr = mean(r * r) - ra * ra + eps
    gg = mean(g * g) - ga * ga + eps
    bb = mean(b * b) - ba * ba + eps
    rg, rb, gb = mean(r * g) - ra * ga, mean(r * b) - ra * ba, mean(g * b) - ga * ba
    i00, i01, i02 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    i11, i12, i22 = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    scale = 1 / (rr * i00 + rg * i01 + rb * i02)
    cr, cg, cb = (covariance[..., i] for i in range(3))
    slope = np.stack(
        (i00 * cr + i01 * cg + i02 * cb, i01 * cr + i11 * cg + i12 * cb, i02 * cr + i12 * cg + i22 * cb), -1
    )
    slope *= scale[..., None]
    return Linear(mean(slope), mean(level - (slope * average).sum(-1)))


def to_pixels(
    logits: Floats,
    pixels: npt.NDArray[np.uint8],
    *,
    snap: bool = True,
    radius: int | None = None,
    eps: float = 1e-4,
) -> Floats:
    """Score at the picture's full size, its border moved to the picture's edges.

    The filter is solved at 320 pixels on the long side, since its windows are wide, and applied to the
    picture's colours at up to 1,024; larger pictures are enlarged from there.

    Args:
        logits: (h, w) of the cells.
        pixels: (H, W, 3) uint8.
        snap: off enlarges only.
        radius, eps: of the guided filter, at 320 pixels; the radius follows from the number of cells if None.

    Returns:
        (H, W) float32 in [0, 1].
    """
    full = (pixels.shape[1], pixels.shape[0])
    if radius is None:
        radius = RADIUS if max(logits.shape) <= FINE_CELLS else FINE_RADIUS
    if not snap:
        return _sigmoid(cv2.resize(logits, full, interpolation=cv2.INTER_LINEAR))
    small, large = _fit(full, SOLVE_SIDE), _fit(full, APPLY_SIDE)
    score = _sigmoid(cv2.resize(logits, small, interpolation=cv2.INTER_CUBIC))
    guide = _unit_colours(pixels, large)
    coarse = np.asarray(cv2.resize(guide, small, interpolation=cv2.INTER_AREA), np.float32)
    slope, offset = guided_filter(coarse, score, radius=radius, eps=eps)
    out = np.einsum("hwc,hwc->hw", cv2.resize(slope, large), guide) + cv2.resize(offset, large)
    # Spots of a fur are edges too; the median takes out what is smaller than about five pixels.
    out = cv2.medianBlur(np.asarray(out, np.float32), 5)
    out = np.asarray(out if large == full else cv2.resize(out, full), np.float32)
    return np.clip(out, 0, 1, out=out)


def _fit(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(width, height) shrunk, never enlarged, to ``longest`` pixels on the long side."""
    shrink = min(1.0, longest / max(size))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


def _sigmoid(x: npt.NDArray) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)


def _unit_colours(pixels: npt.NDArray[np.uint8], size: tuple[int, int]) -> Floats:
    shrunk = cv2.resize(halve(pixels, min(size)), size, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.float32) / np.float32(255)
