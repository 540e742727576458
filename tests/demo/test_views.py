from __future__ import annotations

import numpy as np
import pytest

from demo import views

BLUE, ORANGE = (0, 114, 178, 255), (230, 159, 0, 255)


def canvas(shape: tuple[int, int], *strokes) -> np.ndarray:
    layer = np.zeros((*shape, 4), np.uint8)
    for (top, left, bottom, right), colour in strokes:
        layer[top:bottom, left:right] = colour
    return layer


def test_strokes_on_a_small_canvas_fit_the_full_picture():
    value = {"layers": [canvas((100, 50), ((20, 10, 40, 30), BLUE), ((60, 0, 80, 50), ORANGE))]}
    inside, outside = views.read_strokes(value, (1000, 500))
    expected = np.zeros((1000, 500), bool)
    expected[200:400, 100:300] = True
    assert np.mean(inside != expected) < 0.001
    assert outside[600:800].mean() > 0.99
    assert not outside[:590].any()


def test_the_upper_layer_counts():
    value = {"layers": [canvas((10, 10), ((0, 0, 10, 10), BLUE)), canvas((10, 10), ((0, 0, 5, 10), ORANGE))]}
    inside, outside = views.read_strokes(value, (10, 10))
    assert inside[5:].all()
    assert not inside[:5].any()
    assert outside[:5].all()


@pytest.mark.parametrize("value", [None, {}, {"layers": []}, {"layers": [np.zeros((4, 4), np.uint8)]}])
def test_an_untouched_editor_gives_empty_strokes(value):
    strokes = views.read_strokes(value, (6, 8))
    assert strokes.inside.shape == (6, 8)
    assert not strokes.inside.any()
    assert not strokes.outside.any()


def test_an_edit_leaves_untouched_pixels_as_they_were():
    rng = np.random.default_rng(0)
    mask = rng.random((1200, 1600)) > 0.5  # detail that no canvas could carry
    value = {"layers": [canvas((300, 400), ((0, 0, 100, 100), BLUE), ((200, 300, 300, 400), ORANGE))]}
    strokes = views.read_strokes(value, mask.shape)
    edited = views.apply_strokes(mask, strokes)
    touched = strokes.inside | strokes.outside
    assert np.array_equal(edited[~touched], mask[~touched])
    assert edited[strokes.inside].all()
    assert not edited[strokes.outside].any()


def test_the_box_around_strokes_holds_every_pixel():
    mask = np.zeros((30, 40), bool)
    mask[5, 7] = mask[20, 33] = True
    assert views.box_around(mask) == (7, 5, 34, 21)
    assert views.box_around(np.zeros((3, 3), bool)) is None


@pytest.mark.parametrize("size", [(40, 60), (1024, 700), (3000, 2000)])
def test_the_editor_never_gets_more_than_1024_pixels(size):
    background = views.editor_value(np.zeros((*size, 3), np.uint8))["background"]
    assert max(background.shape) == min(1024, max(size))


def test_text_from_people_is_made_harmless():
    assert "<script>" not in views.notes(["<script>alert(1)</script>"])
    assert "<b>" not in views.progress(1, 2, text="<b>x</b>.png")


def test_pictures_are_not_changed_by_drawing():
    pixels = np.full((50, 60, 3), 100, np.uint8)
    views.shown_mask(pixels, np.ones((50, 60), bool))
    views.shown_marks(pixels, np.zeros((50, 60), np.int8))
    assert (pixels == 100).all()


@pytest.mark.parametrize(("seconds", "text"), [(7.6, "8 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations_are_read_by_people(seconds, text):
    assert views.duration(seconds) == text
