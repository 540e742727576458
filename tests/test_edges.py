"""From cells to pixels: the guided filter against a loop over windows, and each choice around it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lfss import edges
from lfss.edges import guided_filter, to_pixels


def random_guide(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)


def window(row: int, column: int, shape: tuple[int, int], radius: int) -> list[tuple[int, int]]:
    """Places of a window; beyond the border the picture is reflected, the border pixel twice."""

    def inside(i: int, size: int) -> int:
        i = -i - 1 if i < 0 else i
        return 2 * size - i - 1 if i >= size else i

    steps = range(-radius, radius + 1)
    return [(inside(row + r, shape[0]), inside(column + c, shape[1])) for r in steps for c in steps]


def loop_filter(
    guide: np.ndarray, values: np.ndarray, radius: int, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """The filter as its paper states it: a ridge regression in each window, then means over windows."""
    shape = values.shape
    slopes, offsets = np.zeros((*shape, 3)), np.zeros(shape)
    for row, column in np.ndindex(shape):
        places = window(row, column, shape, radius)
        colours = np.array([guide[p] for p in places], np.float64)
        scores = np.array([values[p] for p in places], np.float64)
        spread = np.cov(colours.T, bias=True) + eps * np.eye(3)
        together = (colours * scores[:, None]).mean(0) - colours.mean(0) * scores.mean()
        slopes[row, column] = np.linalg.solve(spread, together)
        offsets[row, column] = scores.mean() - slopes[row, column] @ colours.mean(0)
    mean_slope, mean_offset = np.zeros_like(slopes), np.zeros_like(offsets)
    for row, column in np.ndindex(shape):
        places = window(row, column, shape, radius)
        mean_slope[row, column] = np.mean([slopes[p] for p in places], axis=0)
        mean_offset[row, column] = np.mean([offsets[p] for p in places])
    return mean_slope, mean_offset


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("eps", [1e-3, 1e-1])
def test_the_guided_filter_is_a_ridge_regression_in_every_window(radius, eps):
    guide, values = random_guide(7, 9), random_guide(7, 9, seed=1)[..., 0]
    slope, offset = guided_filter(guide, values, radius=radius, eps=eps)
    expected_slope, expected_offset = loop_filter(guide, values, radius, eps)
    np.testing.assert_allclose(slope, expected_slope, atol=2e-4)
    np.testing.assert_allclose(offset, expected_offset, atol=2e-4)


def test_a_score_that_is_linear_in_the_colours_comes_back():
    guide = random_guide(20, 24)
    values = (guide @ np.array([0.5, -0.25, 0.75], np.float32) + np.float32(0.1)).astype(np.float32)
    slope, offset = guided_filter(guide, values, radius=3, eps=1e-8)
    np.testing.assert_allclose((slope * guide).sum(-1) + offset, values, atol=1e-3)


def test_a_larger_epsilon_follows_the_colours_less():
    guide, values = random_guide(20, 20), random_guide(20, 20, seed=1)[..., 0]
    small, large = (np.abs(guided_filter(guide, values, radius=3, eps=e).slope).mean() for e in (1e-4, 1.0))
    assert large < small / 5


def two_halves(height: int, width: int) -> np.ndarray:
    """Left half dark, right half light."""
    pixels = np.full((height, width, 3), 40, np.uint8)
    pixels[:, width // 2 :] = (210, 190, 120)
    return pixels


def reference(logits: np.ndarray, pixels: np.ndarray, *, radius: int, eps: float = 1e-4) -> np.ndarray:
    """``to_pixels`` for pictures of at most 320 pixels a side, step by step."""
    size = (pixels.shape[1], pixels.shape[0])
    score = 1 / (1 + np.exp(-cv2.resize(logits, size, interpolation=cv2.INTER_CUBIC).astype(np.float64)))
    guide = (pixels / 255).astype(np.float32)
    slope, offset = guided_filter(guide, score.astype(np.float32), radius=radius, eps=eps)
    return cv2.medianBlur(((slope * guide).sum(-1) + offset).astype(np.float32), 5).clip(0, 1)


@pytest.mark.parametrize(("cells", "radius"), [((8, 12), 28), ((64, 40), 28), ((65, 40), 16), ((40, 65), 16)])
def test_the_reach_follows_from_the_number_of_cells(cells, radius):
    rng = np.random.default_rng(0)
    logits = cv2.GaussianBlur(rng.normal(0, 30, cells).astype(np.float32), (0, 0), 2)
    pixels = rng.integers(0, 255, (60, 80, 3)).astype(np.uint8)
    made = to_pixels(logits, pixels)
    np.testing.assert_allclose(made, reference(logits, pixels, radius=radius), atol=1e-4)
    other = reference(logits, pixels, radius=44 - radius)
    assert np.abs(made - other).max() > 1e-3, "the other reach gives another score"


def test_reach_and_epsilon_can_be_chosen():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 4, (8, 10)).astype(np.float32)
    pixels = rng.integers(0, 255, (50, 70, 3)).astype(np.uint8)
    made = to_pixels(logits, pixels, radius=5, eps=1e-2)
    np.testing.assert_allclose(made, reference(logits, pixels, radius=5, eps=1e-2), atol=1e-4)


def test_without_snapping_a_score_is_enlarged_only():
    logits = np.random.default_rng(2).normal(0, 3, (6, 7)).astype(np.float32)
    made = to_pixels(logits, two_halves(30, 50), snap=False)
    enlarged = cv2.resize(logits, (50, 30), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(made, 1 / (1 + np.exp(-enlarged)), rtol=1e-6)
    assert made.dtype == np.float32


@pytest.mark.parametrize("size", [(60, 90), (400, 900), (1500, 700), (2, 3)])
def test_a_border_moves_to_the_edge_of_the_picture(size):
    """The score turns a cell to the right of the middle, the picture turns in the middle."""
    logits = np.full((20, 40), -6, np.float32)
    logits[:, 21:] = 6
    score = to_pixels(logits, two_halves(*size))
    assert score.shape == size
    assert score.dtype == np.float32
    assert 0 <= score.min() <= score.max() <= 1
    if min(size) > 2:
        height, width = size
        row = score[height // 2]
        assert abs(np.flatnonzero(row >= 0.5)[0] - width // 2) <= max(2, width // 200)
        assert row[width // 4] < 0.2
        assert row[-width // 4] > 0.8


def test_spots_of_two_pixels_do_not_show():
    pixels = two_halves(100, 100)
    pixels[50:52, 20:22] = pixels[0, -1]
    logits = np.full((10, 10), -5, np.float32)
    logits[:, 5:] = 5
    score = to_pixels(logits, pixels, radius=8, eps=1e-5)
    assert score[50:52, 20:22].max() < 0.5
    spot = guided_filter(
        (pixels / 255).astype(np.float32),
        (1 / (1 + np.exp(-cv2.resize(logits, (100, 100))))).astype(np.float32), radius=8, eps=1e-5,
    )  # fmt: skip
    assert ((spot.slope * pixels / 255).sum(-1) + spot.offset)[50:52, 20:22].max() > score[50:52, 20:22].max()


def test_the_filter_is_solved_small_and_applied_large(monkeypatch):
    sizes = {}
    real_filter, real_colours = edges.guided_filter, edges._unit_colours

    def watched_filter(guide, values, **choices):
        sizes["solved"] = guide.shape[:2], values.shape
        return real_filter(guide, values, **choices)

    def watched_colours(pixels, size):
        sizes["applied"] = size[::-1]
        return real_colours(pixels, size)

    monkeypatch.setattr(edges, "guided_filter", watched_filter)
    monkeypatch.setattr(edges, "_unit_colours", watched_colours)
    assert to_pixels(np.zeros((4, 6), np.float32), two_halves(2048, 1024)).shape == (2048, 1024)
    assert sizes == {"solved": ((320, 160), (320, 160)), "applied": (1024, 512)}


@pytest.mark.parametrize(
    ("size", "side", "fitted"),
    [((640, 480), 320, (320, 240)), ((480, 640), 320, (240, 320)), ((100, 50), 320, (100, 50)),
     ((5000, 3), 320, (320, 1)), ((3, 5000), 320, (1, 320)), ((320, 320), 320, (320, 320))],
)  # fmt: skip
def test_pictures_are_shrunk_to_the_long_side_and_never_enlarged(size, side, fitted):
    assert edges._fit(size, side) == fitted


def test_colours_are_between_zero_and_one():
    pixels = np.array([[[0, 128, 255]]], np.uint8)
    np.testing.assert_allclose(edges._unit_colours(pixels, (1, 1)), [[[0, 128 / 255, 1]]], rtol=1e-6)


def test_a_score_never_leaves_zero_to_one():
    """Colours beyond those of both sides: the line through them would give more than 1, or less than 0."""
    pixels = np.full((60, 80, 3), 100, np.uint8)
    pixels[:, 40:] = 140
    pixels[20:40, 45:60], pixels[20:40, 20:35] = 255, 0
    logits = np.full((6, 8), -9, np.float32)
    logits[:, 4:] = 9
    score = to_pixels(logits, pixels, radius=12)
    assert score.max() == 1
    assert score.min() == 0
