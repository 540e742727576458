"""What supports, their marks and the words do to a class."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from rectangles import SIZE, iou, picture, truth

from lfss.errors import SupportError
from lfss.images import read_image
from lfss.labels import competitors, parse_label
from lfss.predictor import Predictor
from lfss.presets import Encoders
from lfss.support import Support, shares_of_cells
from tests.fakes import ColourFeatures, ColourWords, preset, scene


def test_copies_of_a_support_change_nothing(predictor, red):
    copies = predictor.prepare(parse_label("red"), [Support(picture())] * 3)
    query = picture(seed=1)
    np.testing.assert_allclose(
        predictor.predict(copies, query).score, predictor.predict(red, query).score, atol=1e-4
    )


def test_the_order_of_supports_changes_nothing(predictor):
    supports = [
        Support(picture(seed=1)),
        Support.from_mask(picture(seed=2), truth()),
        Support.from_box(picture(seed=3), (80, 60, 220, 180)),
    ]
    query, label = picture(seed=4), parse_label("red")
    straight = predictor.predict(predictor.prepare(label, supports), query)
    turned = predictor.predict(predictor.prepare(label, supports[::-1]), query)
    np.testing.assert_allclose(turned.score, straight.score, atol=1e-4)


@pytest.mark.parametrize("kind", ["mask", "box", "scribbles", "a scribble alone", "a point alone"])
def test_an_unknown_word_with_marks_finds_what_is_marked(predictor, kind):
    image = picture("blue")
    stroke, ground, point = (np.zeros(SIZE, bool) for _ in range(3))
    stroke[115:125, 100:200], ground[20:30, 20:300] = True, True
    point[116:124, 146:154] = True
    support = {
        "mask": lambda: Support.from_mask(image, truth()),
        "box": lambda: Support.from_box(image, (80, 60, 220, 180)),
        "scribbles": lambda: Support.from_scribbles(image, stroke, ground),
        "a scribble alone": lambda: Support.from_scribbles(image, stroke),
        "a point alone": lambda: Support.from_scribbles(image, point),
    }[kind]()
    prepared = predictor.prepare(parse_label("gizmo"), [support])
    assert prepared.text_trust == 0
    made = predictor.predict(prepared, picture("blue", box=(20, 30, 120, 150)), assume_present=True)
    assert iou(made.mask, truth((20, 30, 120, 150))) > 0.8


def test_without_trust_in_the_text_the_mask_decides_against_the_typed_word(predictor):
    support = Support.from_mask(picture("blue"), truth())
    prepared = predictor.prepare(parse_label("red"), [support]).without_text()
    two = scene("blue", box=(20, 30, 120, 150))
    two[150:220, 200:300] = scene("red", box=(150, 200, 220, 300))[150:220, 200:300]
    made = predictor.predict(prepared, read_image(two), assume_present=True)
    assert iou(made.mask, truth((20, 30, 120, 150))) > 0.8


def test_a_known_synonym_makes_an_unknown_word_usable(predictor):
    prepared = predictor.prepare(parse_label("crimson thing, red"), [Support(picture())])
    assert prepared.phrases.own == ("red",)
    assert iou(predictor.predict(prepared, picture(seed=1)).mask, truth()) > 0.85


def test_not_words_compete_and_never_stand_for_the_label(predictor):
    prepared = predictor.prepare(parse_label("red", not_words="blue, gizmo"), [Support(picture())])
    words = prepared.phrases.words
    assert words[:2] == ("red", "blue")
    assert "gizmo" not in words
    assert len(set(words)) == len(words)
    assert prepared.text.shape[0] == len(words) == len(prepared.phrases.roles)


def test_a_tower_without_own_competitors_gets_the_background_words():
    words = ColourWords()
    plain = SimpleNamespace(
        name="plain",
        dim=words.dim,
        logit_scale=words.logit_scale,
        encode_text=words.encode_text,
        encode_dense=words.encode_dense,
        text_trust=lambda phrase: 1.0,
    )
    predictor = Predictor.load(replace(preset(), load=lambda *_: Encoders(plain, ColourFeatures())))
    label = parse_label("red", not_words="wolf")
    prepared = predictor.prepare(label, [Support(picture())])
    assert prepared.phrases.words == ("red", *competitors(label))


def test_a_mask_support_knows_every_pixel():
    support = Support.from_mask(picture(), truth())
    assert support.known.dtype == np.int8
    assert np.array_equal(support.known == 1, truth())
    assert np.array_equal(support.known == 0, ~truth())


def test_a_box_knows_its_outside_only():
    support = Support.from_box(picture(), (80, 60, 220, 180))
    assert np.array_equal(support.known == -1, truth())
    assert np.array_equal(support.known == 0, ~truth())


@pytest.mark.parametrize("box", [(220, 180, 80, 60), (79.6, 60.4, 220.4, 179.6)])
def test_corners_of_a_box_may_be_swapped_and_need_not_be_whole_pixels(box):
    assert np.array_equal(Support.from_box(picture(), box).known == -1, truth())


@pytest.mark.parametrize("box", [(0, 0, 320, 240), (-50, -50, 900, 900)])
def test_a_box_around_everything_is_a_label_only_support(box):
    assert Support.from_box(picture(), box).known is None


def test_scribbles_leave_the_rest_unknown_and_background_wins_where_they_cross():
    stroke, ground = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    stroke[100, 90:200], ground[:, 95] = True, True
    known = Support.from_scribbles(picture(), stroke, ground).known
    assert (known[100, 95], known[100, 96], known[5, 95], known[5, 5]) == (0, 1, 0, -1)


def test_a_cell_that_a_stroke_crosses_is_known_and_the_others_are_not():
    known = np.full((16, 24), -1, np.int8)
    known[3, :16], known[12, 8:] = 1, 0  # eight by eight pixels a cell
    known[12, :8] = 1
    inside, unknown = shares_of_cells(known, (2, 3))
    np.testing.assert_allclose(inside, [[1, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(unknown, [[0, 0, 1], [0, 0, 0]])


def test_tiny_supports_and_queries_work(predictor):
    one = read_image(np.full((8, 8, 3), (230, 25, 25), np.uint8))
    prepared = predictor.prepare(parse_label("red"), [Support.from_mask(one, np.ones((8, 8), bool))])
    assert predictor.predict(prepared, one).mask.shape == (8, 8)
    assert iou(predictor.predict(prepared, picture()).mask, truth()) > 0.8


def test_no_support_is_an_error(predictor):
    with pytest.raises(SupportError, match="at least one support"):
        predictor.prepare(parse_label("red"), [])


def test_an_unknown_word_without_marks_is_an_error(predictor):
    with pytest.raises(SupportError, match=r"'gizmo'.*box, a scribble or a mask"):
        predictor.prepare(parse_label("gizmo"), [Support(picture())])


def test_marks_of_another_size_are_an_error():
    with pytest.raises(SupportError, match=r"\(240, 321\).*\(240, 320\)"):
        Support.from_mask(picture(), np.ones((240, 321), bool))


@pytest.mark.parametrize("value", [0, -1])
def test_marks_without_an_object_are_an_error(value):
    with pytest.raises(SupportError, match="show no object"):
        Support(picture(), np.full(SIZE, value, np.int8))


@pytest.mark.parametrize("box", [(50, 50, 50, 90), (400, 10, 500, 20), (-9, -9, -1, -1)])
def test_a_box_without_area_inside_the_picture_is_an_error(box):
    with pytest.raises(SupportError, match=r"no area inside 'red\.png'"):
        Support.from_box(picture(), box)
