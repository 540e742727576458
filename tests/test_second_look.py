"""A second look at small objects: where, how it is blended in, and when it is not taken."""

from __future__ import annotations

import numpy as np
import pytest

from lfss import Predictor, Prepared, Support, parse_label
from lfss.encoding import Encoded
from lfss.images import Image
from lfss.second_look import LEAST, SHARE, Window, blend, in_place, window_around
from lfss.stages import Prediction
from tests.fakes import preset, scene

SMALL = (43, 123, 73, 163)  # top, left, bottom, right of an object in a picture of SIZE
SIZE = (240, 320)


def query(box: tuple[int, int, int, int] = SMALL) -> Image:
    return Image(scene("red", size=SIZE, box=box), "query.png")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(preset())


@pytest.fixture(scope="module")
def red(predictor: Predictor) -> Prepared:
    return predictor.prepare(parse_label("red"), [Support(query((40, 40, 200, 280)))])


def keys(prediction: Prediction) -> list[str]:
    return [stage.key for stage in prediction.stages]


# -- where ---------------------------------------------------------------------------------------------


def test_the_window_is_twice_as_long_as_what_was_found() -> None:
    score = np.zeros((400, 600), np.float32)
    score[150:250, 300:450] = 0.5
    assert window_around(score) == Window(100, 300, 225, 525)


def test_the_window_ends_where_the_picture_ends_and_is_never_tiny() -> None:
    score = np.zeros((400, 600), np.float32)
    score[0, 599] = 1
    assert window_around(score) == Window(0, round(0.5 + LEAST * 200), round(599.5 - LEAST * 300), 600)
    score[0, 599] = 0
    score[300:310, 50:550] = 1
    assert window_around(score) == Window(255, 355, 0, 600)


@pytest.mark.parametrize("value", [0.0, 0.49])
def test_where_nothing_was_found_there_is_nothing_to_look_at(value: float) -> None:
    assert window_around(np.full((40, 60), value, np.float32)) is None


@pytest.mark.parametrize("end", [70, 69])
def test_only_what_is_small_is_read_again(end: int) -> None:
    score = np.zeros((100, 100), np.float32)
    score[30:end, 30:70] = 1  # 40 x 40 of 100 x 100 is more than 15 %
    assert window_around(score) is None
    score[30:end, 30:69] = 0
    assert window_around(score) is not None


def test_small_things_that_lie_far_apart_are_not_read_again() -> None:
    score = np.zeros((100, 100), np.float32)
    score[5:10, 5:10] = score[90:95, 90:95] = 1
    assert window_around(score) is None


# -- blending ------------------------------------------------------------------------------------------


def test_where_both_looks_agree_their_mean_counts() -> None:
    score, window = np.full((100, 120), 0.6, np.float32), Window(20, 80, 0, 60)
    out = blend(score, np.ones((60, 60), np.float32), window)
    # The left side is the picture's own: nothing fades there.
    np.testing.assert_allclose(out[30:70, :50], 0.6 + SHARE * 0.4, atol=1e-6)
    outside = np.ones_like(score, bool)
    outside[window.place] = False
    assert (out[outside] == np.float32(0.6)).all()
    assert (score == np.float32(0.6)).all()


@pytest.mark.parametrize("start", [1, 20, 39])
def test_no_edge_is_left_at_the_window(start: int) -> None:
    window = Window(start, start + 60, start, start + 60)
    out = blend(np.full((100, 100), 0.5), np.ones((60, 60), np.float32), window)
    assert 0 < np.abs(np.diff(out, axis=0)).max() < 0.1
    assert 0 < np.abs(np.diff(out, axis=1)).max() < 0.1


@pytest.mark.parametrize(("length", "same"), [(29, True), (31, False)])
def test_where_the_looks_disagree_the_first_one_counts(length: int, same: bool) -> None:
    score, closer = np.zeros((100, 100), np.float32), np.zeros((60, 60), np.float32)
    score[20:80, 20:80] = 0.9
    closer[:length] = 0.9  # of 60 rows
    closer[length:] = 0.2
    assert np.array_equal(blend(score, closer, Window(20, 80, 20, 80)), score) == same


def test_the_part_lies_where_it_was_cut_out() -> None:
    placed = in_place(np.ones((2, 3), np.float32), Window(1, 3, 0, 3), (4, 5))
    assert placed.sum() == 6
    assert (placed[1:3, :3] == 1).all()


# -- in a prediction -----------------------------------------------------------------------------------


def test_a_small_object_is_read_again_and_its_outline_is_finer(predictor: Predictor, red: Prepared) -> None:
    truth = np.zeros(SIZE, bool)
    truth[SMALL[0] : SMALL[2], SMALL[1] : SMALL[3]] = True

    def iou(mask: np.ndarray) -> float:
        return np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth)

    again = predictor.predict(red, query(), snap=False, second_look=True)
    once = predictor.predict(red, query(), snap=False)
    assert "second_look" in keys(again)
    assert "second_look" not in keys(once)
    assert iou(again.mask) > iou(once.mask) + 0.01


def test_a_large_object_and_an_absent_one_are_not_read_again(predictor: Predictor, red: Prepared) -> None:
    large, green = query((20, 20, 220, 300)), Image(scene("green", size=SIZE, box=SMALL), "green.png")
    assert "second_look" not in keys(predictor.predict(red, large, second_look=True))
    empty = predictor.predict(red, green, second_look=True)
    assert empty.presence < predictor.preset.presence_threshold
    assert "second_look" not in keys(empty)


def test_the_part_is_not_taken_for_a_picture_of_the_run(predictor: Predictor, red: Prepared) -> None:
    seen: list[Image] = []

    def note(image: Image, encoded: Encoded) -> None:
        seen.append(image)

    predictor.seen = note
    predictor.predict(red, query(), second_look=True)
    predictor.seen = lambda image, encoded: None
    assert [image.size for image in seen] == [SIZE]
