"""Doubt is a pure function of a prediction: each part against masks that were drawn for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lfss.doubt import doubt, reasons
from lfss.labels import Label
from lfss.stages import Prediction, Stage


def a_prediction(*, initial=None, refined=None, rcm=None, fcm=None, text=None, score=None, presence=1.0):
    square = np.zeros((10, 10), np.float32)
    square[2:8, 2:8] = 1
    maps = {
        "text_evidence": square if text is None else text,
        "initial_mask": square > 0 if initial is None else initial,
        "refined_mask": square > 0 if refined is None else refined,
        "rcm": square if rcm is None else rcm,
        "fcm": square if fcm is None else fcm,
    }
    score = np.kron(square, np.ones((3, 3), np.float32)) if score is None else score
    kinds = {"initial_mask": "mask", "refined_mask": "mask"}
    stages = tuple(Stage(k, k, kinds.get(k, "map"), (), v) for k, v in maps.items())  # type: ignore[arg-type]
    return Prediction(score >= 0.5, score, presence, stages, Label("dog"), "fake", 0.5, 0.1)


def test_stages_that_agree_leave_no_doubt():
    assert doubt(a_prediction()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["refinement", "correlation", "text", "margin", "presence"])
def test_each_disagreement_raises_the_doubt(name):
    half = np.zeros((10, 10), np.float32)
    half[2:8, 2:5] = 1
    worse = {
        "refinement": {"initial": half > 0},
        "correlation": {"rcm": half},
        "text": {"text": half},
        "margin": {"score": np.kron(half, np.ones((3, 3), np.float32)) * 0.5},
        "presence": {"presence": 0.5},
    }[name]
    found = a_prediction(**worse)
    assert reasons(found)[name] > 0.3
    assert doubt(found) > 0.05


def test_refinement_is_one_minus_iou_by_a_plain_loop():
    rng = np.random.default_rng(0)
    a, b = rng.random((10, 10)) > 0.5, rng.random((10, 10)) > 0.5
    both = either = 0
    for row in range(10):
        for column in range(10):
            both += a[row, column] and b[row, column]
            either += a[row, column] or b[row, column]
    found = reasons(a_prediction(initial=a, refined=b))["refinement"]
    assert found == pytest.approx(1 - both / either)


def test_text_is_compared_with_the_mean_score_of_each_cell_by_a_plain_loop():
    rng = np.random.default_rng(1)
    text, score = rng.random((7, 5)).astype(np.float32), rng.random((33, 41)).astype(np.float32)
    rows, columns = np.linspace(0, 33, 8).astype(int), np.linspace(0, 41, 6).astype(int)
    smaller = larger = 0.0
    for r in range(7):
        for c in range(5):
            mean = score[rows[r] : rows[r + 1], columns[c] : columns[c + 1]].mean()
            smaller += min(mean, text[r, c])
            larger += max(mean, text[r, c])
    assert reasons(a_prediction(text=text, score=score))["text"] == pytest.approx(
        1 - smaller / larger, abs=1e-5
    )


def test_empty_maps_raise_no_error():
    empty, score = np.zeros((10, 10), np.float32), np.zeros((20, 20), np.float32)
    maps = {"initial": empty > 0, "refined": empty > 0, "rcm": empty, "fcm": empty, "text": empty}
    found = a_prediction(**maps, score=score, presence=0.0)
    assert 0 <= doubt(found) <= 1


def test_a_prediction_without_stages_still_has_a_margin():
    assert set(reasons(replace(a_prediction(), stages=()))) == {"margin", "presence"}
