from __future__ import annotations

import pytest

from lfss.agreement import agreement
from lfss.images import read_image
from lfss.labels import parse_label
from lfss.predictor import Predictor, Support
from tests.fakes import scene


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load("tests.fakes:preset", device="cpu")


def supports(*colours: str) -> list[Support]:
    box = (60, 80, 180, 220)
    return [
        Support.from_box(read_image(scene(c, seed=i)), (box[1], box[0], box[3], box[2]))
        for i, c in enumerate(colours)
    ]


def test_one_support_has_nothing_to_agree_with(predictor):
    assert agreement(predictor, predictor.prepare(parse_label("red"), supports("red"))) == ()


def test_supports_of_one_kind_agree(predictor):
    scores = agreement(predictor, predictor.prepare(parse_label("red"), supports("red", "red", "red")))
    assert len(scores) == 3
    assert min(scores) > 0.7


def test_the_support_that_hurts_agrees_least(predictor):
    prepared = predictor.prepare(parse_label("red"), supports("red", "red", "blue", "red"))
    scores = agreement(predictor, prepared)
    assert min(scores) == scores[2]
    assert scores[2] < 0.5
    assert all(0 <= s <= 1 for s in scores)
