from __future__ import annotations

import numpy as np
import pytest

from lfss.agreement import _episode, agreement, readings
from lfss.images import read_image
from lfss.labels import parse_label
from lfss.methods import Step
from lfss.predictor import Predictor
from lfss.support import Support
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


def test_two_supports_are_compared_with_each_other(predictor):
    scores = agreement(predictor, predictor.prepare(parse_label("red"), supports("red", "red")))
    assert len(scores) == 2
    assert min(scores) > 0.7


def test_a_support_is_read_as_its_refined_mask(predictor):
    prepared = predictor.prepare(parse_label("red"), supports("red", "blue"))
    for i, reading in enumerate(readings(predictor, prepared)):
        steps = {step.key: step for step in predictor.method.steps(_episode(prepared, [i], i))}
        stage = predictor.method.stage_of("refined_mask")
        refined = steps[stage.step].supports(stage.supports)[0][0, 0]
        assert np.array_equal(reading, refined.bool().numpy())


@pytest.mark.parametrize("role", ["first_mask", "refined_mask"])
def test_of_an_unmarked_support_the_mask_of_the_right_step_is_read(predictor, monkeypatch, role):
    prepared = predictor.prepare(parse_label("red"), [Support(read_image(scene("red", seed=0)))])
    stages = {known: predictor.method.stage_of(known) for known in ("first_mask", "refined_mask")}
    steps = {step.key: step for step in predictor.method.steps(_episode(prepared, [0], 0))}
    masks = {known: steps[s.step].supports(s.supports)[0][0, 0].bool().numpy() for known, s in stages.items()}
    assert not np.array_equal(masks["first_mask"], masks["refined_mask"]), "else this test shows nothing"
    only = {role: stages[role]}
    monkeypatch.setattr(type(predictor.method), "stage_of", classmethod(lambda cls, asked: only.get(asked)))
    (reading,) = readings(predictor, prepared)
    assert np.array_equal(reading, masks[role])


def test_scores_are_compared_at_the_size_of_the_readings(predictor, monkeypatch):
    """Cells of another number of rows than columns: each row twice, which changes no share."""
    prepared = predictor.prepare(parse_label("red"), supports("red", "red", "blue"))
    expected = agreement(predictor, prepared)
    twice = tuple(np.repeat(reading, 2, axis=0) for reading in readings(predictor, prepared))
    monkeypatch.setattr("lfss.agreement.readings", lambda *_: twice)
    assert agreement(predictor, prepared) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("role", ["first_mask", None])
def test_where_a_method_refines_nothing_the_first_mask_or_the_marks_are_read(predictor, monkeypatch, role):
    """Without a refined mask the first one is read; without any, cells that are known by more than half."""
    prepared = predictor.prepare(parse_label("red"), supports("red"))
    first = predictor.method.stage_of("first_mask")
    stages = {} if role is None else {"first_mask": first}
    monkeypatch.setattr(type(predictor.method), "stage_of", classmethod(lambda cls, asked: stages.get(asked)))
    prepared.encoded.known[0, 0, 2:4, 3:6], prepared.encoded.known[0, 0, 4, 3] = 0.8, 0.3
    if role is None:
        expected = prepared.encoded.known[0, 0] > 0.5
    else:
        steps = predictor.method.steps(_episode(prepared, [0], 0))
        step = next(step for step in steps if step.key == first.step)
        expected = step.supports(first.supports)[0][0, 0]
    (reading,) = readings(predictor, prepared)
    assert reading.any()
    assert np.array_equal(reading, expected.bool().numpy())


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


def test_a_finer_map_of_a_decoder_changes_nothing(predictor, monkeypatch):
    prepared = predictor.prepare(parse_label("red"), supports("red", "red", "blue"))
    expected, steps = agreement(predictor, prepared), predictor.method.steps

    def finer(episode):
        for step in steps(episode):
            if step.key == "prediction":
                logits = step.query("logits").repeat_interleave(3, 2).repeat_interleave(3, 3)
                step = Step(step.key, {**step.tensors, "logits": logits})
            yield step

    monkeypatch.setattr(predictor.method, "steps", finer)
    assert agreement(predictor, prepared) == pytest.approx(expected, abs=1e-5)
