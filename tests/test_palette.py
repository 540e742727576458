"""Colours of labels: apart in every kind of colour vision, never twice."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from lfss.palette import LABEL_COLOURS, free_colour, rgb

# What is left of light, linear RGB, for people who lack one kind of cone (Machado, Oliveira, Fernandes 2009).
VISION = {
    "all cones": np.eye(3),
    "no long": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no middle": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no short": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.119192, 0.9503041]]
)


def seen(colour: str, vision: str) -> np.ndarray:
    """CIELAB of a colour as somebody sees it."""
    share = np.array(rgb(colour)) / 255
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(np.array(VISION[vision]) @ light, 0, 1) / np.array([0.95047, 1, 1.08883])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISION)
def test_label_colours_are_apart_for_everybody(vision):
    for one, other in combinations(LABEL_COLOURS, 2):
        assert np.linalg.norm(seen(one, vision) - seen(other, vision)) > 18, (one, other)
    for one, other in combinations(LABEL_COLOURS[:4], 2):
        assert np.linalg.norm(seen(one, vision) - seen(other, vision)) > 30, (one, other)


def test_no_colour_comes_twice():
    used: list[str] = []
    for _ in range(40):
        used.append(free_colour(used))
    assert len(set(used)) == 40
    assert tuple(used[:8]) == LABEL_COLOURS
    assert "#000000" not in used
