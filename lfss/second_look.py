"""A second look at what is small: the part of the picture around it, read again at the network's full size.

The encoders read every picture at one size, so a thing that fills a twentieth of it is a few cells. What the
first pass found says where to look: a window around it is cut out and read as a picture of its own. Where
both looks agree, their mean is the score; where they do not, the first one counts, since a part that is seen
without its surroundings is easily taken for something else.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .edges import Floats

# Chosen on training photos: docs/measured/tried.md.
SMALL = 0.15  # share of the picture up to which what was found is small
REACH = 2.0  # sides of a window as multiples of what it surrounds
LEAST = 0.25  # and at least this share of the picture's sides
MOST = 0.8  # share of the picture that a window may fill
AGREE = 0.5  # IoU of both masks in the window from which the second score counts
SHARE = 0.5  # what it counts then
SOFT = 0.08  # share of a window's side over which its score fades in
FOUND = 0.5  # score from which a pixel counts as found


class Window(NamedTuple):
    """A part of a picture in pixels: from ``top`` and ``left`` up to, without, ``bottom`` and ``right``."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def place(self) -> tuple[slice, slice]:
        """Index of the part in an array of the whole."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def area(self) -> int:
        """In pixels."""
        return (self.bottom - self.top) * (self.right - self.left)


def window_around(score: Floats) -> Window | None:
    """Where to look again; None where nothing small was found, or most of the picture would be read.

    Args:
        score: (H, W) in [0, 1] of the first look.
    """
    found = score >= FOUND
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    if not 0 < np.count_nonzero(found) <= SMALL * found.size:
        return None
    height, width = score.shape
    window = Window(*_reach(rows[0], rows[-1] + 1, height), *_reach(columns[0], columns[-1] + 1, width))
    return window if window.area < MOST * height * width else None


def _reach(start: int, stop: int, length: int) -> tuple[int, int]:
    """The span of a window along one side, cut where the picture ends."""
    half = max(REACH * (stop - start), LEAST * length) / 2
    middle = (start + stop) / 2
    return max(0, round(middle - half)), min(length, round(middle + half))


def blend(score: Floats, closer: Floats, window: Window) -> Floats:
    """The score after both looks: their mean in the window where they agree, else the first one.

    Towards the window's sides that lie inside the picture the second score fades out, so no edge is left.

    Args:
        score: (H, W) in [0, 1].
        closer: (h, w) in [0, 1], of the window.
        window: h x w pixels.

    Returns:
        (H, W) in [0, 1].
    """
    first, second = score[window.place] >= FOUND, closer >= FOUND
    either = np.count_nonzero(first | second)
    if np.count_nonzero(first & second) < AGREE * either:
        return score
    out = score.copy()
    out[window.place] += np.float32(SHARE) * _fade_in(window, score.shape) * (closer - out[window.place])
    return out


def in_place(closer: Floats, window: Window, size: tuple[int, int]) -> Floats:
    """The score of a window in a picture of ``size`` (H, W), and 0 around it; (H, W)."""
    out = np.zeros(size, np.float32)
    out[window.place] = closer
    return out


def _fade_in(window: Window, size: tuple[int, ...]) -> Floats:
    """(h, w) in (0, 1]: 1 inside, less towards the window's sides that are not the picture's own."""
    down = _fade(window.bottom - window.top, window.top > 0, window.bottom < size[0])
    across = _fade(window.right - window.left, window.left > 0, window.right < size[1])
    return down[:, None] * across


def _fade(length: int, first: bool, last: bool) -> Floats:
    """(length,) shares: 1 inside, falling to 0 at the ends that are not the picture's own."""
    steps = np.arange(1, length + 1, dtype=np.float32) / np.float32(max(1.0, SOFT * length) + 1)
    ends = [steps] * first + [steps[::-1]] * last
    return np.minimum.reduce([np.ones(length, np.float32), *ends])
