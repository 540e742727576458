"""From pixels in [0, 1] to what a tower was trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def nearest_multiple(length: int, multiple: int) -> int:
    """The multiple closest to a length, at least one; the larger of two equally close ones."""
    return multiple * max(1, math.floor(length / multiple + 0.5))


def to_tower(
    pixels: Tensor, *, multiple: int, mean: Sequence[float], std: Sequence[float], device: torch.device
) -> Tensor:
    """Stretch pictures to whole cells and normalise them.

    A tower drops the rows that fill no cell, and its map then no longer covers the picture; so each
    side is stretched to the nearest multiple of the cell instead (by at most half a cell).

    Args:
        pixels: (B, 3, H, W) floating point in [0, 1].
        multiple: cell size in pixels.
        mean: of each channel in the training pictures, in [0, 1].
        std: likewise.
        device: where the tower is.

    Returns:
        (B, 3, H', W') float32 on ``device``, H' and W' multiples of ``multiple``.

    Raises:
        ValueError: the shape or type is another one.
    """
    if pixels.ndim != 4 or pixels.shape[1] != 3 or not pixels.is_floating_point():
        raise ValueError(
            f"Pixels must be floating point (B, 3, H, W) in [0, 1], not {pixels.dtype} "
            f"{tuple(pixels.shape)}. Divide bytes by 255 and put the channels first."
        )
    pixels = pixels.to(device=device, dtype=torch.float32)
    size = (nearest_multiple(pixels.shape[-2], multiple), nearest_multiple(pixels.shape[-1], multiple))
    if size != tuple(pixels.shape[-2:]):
        pixels = F.interpolate(pixels, size=size, mode="bilinear", antialias=True)
    centre, spread = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (mean, std))
    return (pixels - centre) / spread
