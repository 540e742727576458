"""Repairs of a mask at full resolution: each takes a mask and gives a new one."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .edges import to_pixels

Mask = npt.NDArray[np.bool_]

SNAP_CELLS = 64  # cells on the long side that a border is softened to before it snaps
_SURE = 0.98


def grow(mask: Mask, radius: int) -> Mask:
    """Add every pixel within ``radius`` of the mask, (H, W) bool."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), _disc(radius)), bool)


def shrink(mask: Mask, radius: int) -> Mask:
    """(H, W): take away every pixel within ``radius`` of the outside; the picture's border is no outside."""
    return np.asarray(cv2.erode(mask.astype(np.uint8), _disc(radius)), bool)


def fill_holes(mask: Mask) -> Mask:
    """(H, W): add the parts of the outside that do not reach the picture's border."""
    around = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    _, parts = cv2.connectedComponents(around, connectivity=4)
    return np.asarray(parts[1:-1, 1:-1] != parts[0, 0])


def keep_largest(mask: Mask) -> Mask:
    """(H, W): the largest connected part alone; of equal ones the first from the top."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask.copy()
    return np.asarray(parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def remove_specks(mask: Mask, share: float = 0.02) -> Mask:
    """Take away connected parts smaller than a share of the largest one.

    Args:
        mask: (H, W) bool.
        share: in [0, 1]; 0 keeps everything.
    """
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask.copy()
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = areas >= share * areas[1:].max()
    kept[0] = False
    return np.asarray(kept[parts])


def snap_to_edges(mask: Mask, pixels: npt.NDArray[np.uint8], *, reach: float = 0.03) -> Mask:
    """Move the mask's border to the picture's own edges nearby.

    Args:
        mask: (H, W) bool.
        pixels: (H, W, 3) uint8.
        reach: how far the border may move, as a share of the longer side.

    Returns:
        (H, W) bool; pixels farther from the old border than ``reach`` stay as they were.
    """
    if mask.all() or not mask.any():
        return mask.copy()
    height, width = mask.shape
    shrink_by = min(1.0, SNAP_CELLS / max(height, width))
    cells = (max(1, round(width * shrink_by)), max(1, round(height * shrink_by)))
    share = cv2.resize(mask.astype(np.float32), cells, interpolation=cv2.INTER_AREA)
    share = share.clip(1 - _SURE, _SURE)
    snapped = to_pixels(np.log(share / (1 - share)).astype(np.float32), pixels) >= 0.5
    radius = max(1, round(reach * max(height, width)))
    band = _distance(mask) <= radius
    return np.asarray(np.where(band, snapped, mask))


def _distance(mask: Mask) -> npt.NDArray[np.float32]:
    """How far each pixel is from the other side of the border."""
    inside = mask.astype(np.uint8)
    near = [cv2.distanceTransform(region, cv2.DIST_L2, 3) for region in (inside, 1 - inside)]
    return np.asarray(np.maximum(near[0], near[1]), np.float32)


def _disc(radius: int) -> npt.NDArray[np.uint8]:
    steps = np.arange(-radius, radius + 1)
    return np.asarray(steps[:, None] ** 2 + steps[None] ** 2 <= radius**2, np.uint8)
