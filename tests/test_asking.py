"""Marks on a query ask the model again; what nobody pointed at stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lfss.asking import LEVEL, Marks, ask, combine, level_for
from lfss.errors import InputError
from lfss.images import Image, read_image
from lfss.labels import parse_label
from lfss.predictor import Predictor
from lfss.support import Support
from tests.fakes import preset, scene


def drawing(*rows: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in row] for row in rows])


def marks(drawn: np.ndarray, inside: np.ndarray | None = None, outside: np.ndarray | None = None) -> Marks:
    nothing = np.zeros_like(drawn)
    return Marks(drawn, nothing if inside is None else inside, nothing if outside is None else outside)


def test_only_the_part_that_was_pointed_at_is_added():
    found = drawing("##.##.##", "##.##.##")
    so_far = drawing("##......", "#.......")
    pointed = drawing("......#.", "........")
    expected = drawing("##....##", "#.....##")  # neither the middle part, nor the corner beside the first
    assert np.array_equal(combine(marks(so_far, pointed), found.astype(np.float32)), expected)


def test_only_the_part_that_was_pointed_at_is_taken_away():
    found = drawing("##......", "##......")
    so_far = drawing("##.##.##", "##.##.##")
    pointed = drawing("......#.", "........")
    expected = drawing("##.##...", "##.##...")
    assert np.array_equal(combine(marks(so_far, outside=pointed), found.astype(np.float32)), expected)


def test_what_is_found_does_not_run_over_a_mark_beside_the_object():
    found = drawing("#####", "#####").astype(np.float32)
    inside, outside = drawing("#....", "#...."), drawing("..#..", "..#..")
    mask = combine(marks(drawing(".....", "....."), inside, outside), found)
    assert np.array_equal(mask, drawing("##...", "##..."))


def test_the_level_goes_below_a_mark_on_the_object_that_scores_low():
    score = np.array([[0.9, 0.9, 0.3, 0.3, 0.05, 0.05]], np.float32)
    so_far, inside = drawing("##...."), drawing("...#..")
    assert 0.05 < level_for(marks(so_far, inside), score) < 0.3
    assert np.array_equal(combine(marks(so_far, inside), score), drawing("####.."))
    assert level_for(marks(so_far, drawing("#.....")), score) == LEVEL


def test_the_level_goes_above_a_mark_beside_the_object_that_scores_high():
    score = np.array([[0.95, 0.95, 0.6, 0.6, 0.05, 0.05]], np.float32)
    mask = combine(marks(drawing("####.."), outside=drawing("...#..")), score)
    assert np.array_equal(mask, drawing("##...."))


def test_marks_are_discs_and_the_later_of_two_counts():
    said = Marks.from_points(np.zeros((200, 400), bool), [(0.5, 0.5, True), (0.5, 0.5, False), (1, 1, True)])
    assert said.outside[100, 200]
    assert not said.inside[100, 200]
    assert said.outside.sum() == pytest.approx(np.pi * 6**2, rel=0.2)
    assert said.inside[199, 399]


def test_the_mask_so_far_is_known_until_a_mark_says_that_it_is_wrong():
    so_far = drawing("##...", "##...")
    right = marks(so_far, drawing("....#", ".....")).known
    assert right.tolist() == [[1, 1, -1, -1, 1], [1, 1, -1, -1, -1]]
    wrong = marks(so_far, outside=drawing("#....", ".....")).known
    assert wrong.tolist() == [[0, -1, -1, -1, -1], [-1] * 5]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(preset(), device="cpu")


@pytest.fixture(scope="module")
def three() -> Image:
    """Three red blocks on grey."""
    pixels = scene("red", box=(60, 20, 180, 90))
    for left in (120, 220):
        pixels[60:180, left : left + 70] = pixels[60:180, 20:90]
    return read_image(pixels, name="three.png")


def test_a_point_on_a_second_object_finds_it_and_no_third(predictor, three):
    label, so_far = parse_label("red"), np.zeros(three.size, bool)
    so_far[60:180, 20:90] = True
    prepared = predictor.prepare(label, [Support(read_image(scene("red", seed=5), name="support.png"))])
    query = (three, predictor.encode(three))
    point = ((220 + 35) / 320, 0.5, True)
    mask = ask(predictor, prepared, label, query, Marks.from_points(so_far, [point]))
    assert mask[70:170, 230:280].all()
    assert not mask[:, 120:190].any()
    assert np.array_equal(mask[:, :100], so_far[:, :100])


def test_a_point_is_enough_for_a_word_that_nobody_knows(predictor, three):
    so_far, query = np.zeros(three.size, bool), (three, predictor.encode(three))
    points = [(55 / 320, 0.5, True), (105 / 320, 0.1, False)]
    mask = ask(predictor, None, parse_label("wombat"), query, Marks.from_points(so_far, points))
    assert mask[70:170, 30:80].all()
    assert mask.mean() < 0.3


def test_the_supports_of_the_class_take_part(predictor):
    label = parse_label("red")
    images = [read_image(scene("red", seed=i), name=f"{i}.png") for i in (1, 2)]
    one, other = (predictor.prepare(label, [Support(image)]) for image in images)
    joined = predictor.refreshed(one.joined_with(other))
    together = predictor.prepare(label, [Support(image) for image in images])
    query = read_image(scene("red", seed=3), name="query.png")
    assert joined.digests == together.digests
    assert torch.equal(joined.encoded.supports.thumbnails, together.encoded.supports.thumbnails)
    assert np.array_equal(predictor.predict(joined, query).mask, predictor.predict(together, query).mask)
    with pytest.raises(InputError, match="cannot be used together"):
        one.joined_with(predictor.prepare(parse_label("blue"), [Support(images[0])]))


def test_a_question_without_anything_to_go_by_is_refused(predictor, three):
    query, so_far = (three, predictor.encode(three)), np.zeros(three.size, bool)
    with pytest.raises(InputError, match="Point at the object first"):
        ask(predictor, None, parse_label("red"), query, Marks.from_points(so_far, []))
    with pytest.raises(InputError, match="no supports"):
        ask(predictor, None, parse_label("red"), query, Marks.from_points(so_far, [(0.1, 0.1, False)]))
