"""A preset without weights: towers that know eight colours and nothing else. Milliseconds a picture.

Usable by name wherever a preset is: ``--preset tests.fakes:preset``. A picture is segmented by typing
the colour of an object, for instance ``red``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.presets import Encoders, Preset

STRIDE = 8
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.9, 0.1, 0.1),
    "green": (0.1, 0.7, 0.2),
    "blue": (0.1, 0.2, 0.9),
    "yellow": (0.95, 0.9, 0.1),
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
    "gray": (0.5, 0.5, 0.5),
    "brown": (0.5, 0.3, 0.1),
}


def colour_cells(pixels: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> (B, 8, H/8, W/8): how much of each colour, unit length per cell."""
    mean = F.avg_pool2d(pixels, STRIDE)
    table = torch.tensor(list(COLOURS.values()), device=pixels.device)
    distance = (mean[:, None] - table[None, :, :, None, None]).square().sum(2)
    return F.normalize((-distance / 0.05).softmax(1) + 1e-3, dim=1)


class ColourWords:
    """A VisionLanguage tower whose words are the eight colours."""

    name = "colour words"
    dim = len(COLOURS)
    logit_scale = 16.0

    def encode_text(self, phrases: Sequence[str]) -> Tensor:
        rows = torch.zeros(len(phrases), self.dim)
        for row, phrase in zip(rows, phrases):
            if phrase in COLOURS:
                row[list(COLOURS).index(phrase)] = 1
        return rows

    def encode_dense(self, pixels: Tensor) -> Tensor:
        return colour_cells(pixels)

    def text_trust(self, phrase: str) -> float:
        return float(phrase in COLOURS)

    def competitors(self, phrases: Sequence[str]) -> tuple[str, ...]:
        return tuple(word for word in COLOURS if word not in phrases)


class ColourFeatures:
    """A Backbone with one level: the colours of each cell."""

    name = "colour features"
    channels = (len(COLOURS),)

    def __call__(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return (colour_cells(pixels),)


def preset() -> Preset:
    """The preset; a new one for each call."""

    def load(_device: str, _models_dir: Path | None) -> Encoders:
        return Encoders(ColourWords(), ColourFeatures())

    return Preset(
        name="fake", summary="eight colours, for tests", licence="Apache-2.0", load=load, size=192, weights=""
    )


def scene(
    colour: str = "red",
    *,
    size: tuple[int, int] = (240, 320),
    box: tuple[int, int, int, int] = (60, 80, 180, 220),
    ground: str = "gray",
    seed: int = 0,
) -> np.ndarray:
    """A picture with one coloured rectangle.

    Args:
        colour: of the rectangle, one of ``COLOURS``.
        size: (H, W) in pixels.
        box: top, left, bottom, right of the rectangle.
        ground: colour around it.
        seed: of the noise; pictures of different seeds differ.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    noise = np.random.default_rng(seed).normal(0, 0.02, (*size, 3))
    picture = np.asarray(COLOURS[ground]) + noise
    top, left, bottom, right = box
    picture[top:bottom, left:right] += np.asarray(COLOURS[colour]) - np.asarray(COLOURS[ground])
    return (picture.clip(0, 1) * 255).astype(np.uint8)


class OneSession:
    """Stands in for the sessions of the app: every key opens the same one."""

    def __init__(self, session: object):
        self.session = session

    def get(self, key: str) -> object:
        """The session, whatever the key."""
        return self.session
