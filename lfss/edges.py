"""Brings a score from cells to pixels along the picture's own edges."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

WORK_SIDE = 640


def guided_filter(
    guide: npt.NDArray[np.float32], values: npt.NDArray[np.float32], *, radius: int, eps: float
) -> npt.NDArray[np.float32]:
    """Smooth ``values`` so that they change only where the colours of ``guide`` change.

    In every window the output is a linear function of the guide's three colours.

    Args:
        guide: (H, W, 3) in [0, 1].
        values: (H, W).
        radius: half the window's side in pixels; larger reaches further.
        eps: colour variance that counts as an edge; larger smooths more. Useful: 1e-4 to 1e-2.

    Returns:
        (H, W) float32.
    """

    def mean(x: npt.NDArray) -> npt.NDArray:
        return cv2.boxFilter(x, -1, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

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
    offset = level - (slope * average).sum(-1)
    return (mean(slope) * guide).sum(-1) + mean(offset)


def to_pixels(
    logits: npt.NDArray[np.float32],
    pixels: npt.NDArray[np.uint8],
    *,
    snap: bool = True,
    radius: int = 8,
    eps: float = 1e-3,
) -> npt.NDArray[np.float32]:
    """Score at the picture's full size, its border moved to the picture's edges.

    Large pictures are filtered at 640 pixels on the long side and enlarged from there.

    Args:
        logits: (h, w) of the cells.
        pixels: (H, W, 3) uint8.
        snap: off enlarges only.
        radius, eps: of the guided filter, at the working size.

    Returns:
        (H, W) float32 in [0, 1].
    """
    height, width = pixels.shape[:2]
    shrink = min(1.0, WORK_SIDE / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    score = 1 / (1 + np.exp(-cv2.resize(logits, size, interpolation=cv2.INTER_CUBIC)))
    if snap:
        guide = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        score = guided_filter(guide, score.astype(np.float32), radius=radius, eps=eps).clip(0, 1)
    if size == (width, height):
        return np.asarray(score, np.float32)
    return cv2.resize(score, (width, height), interpolation=cv2.INTER_LINEAR)
