"""How sure and how doubtful: each against a plain loop or a mask that was drawn for it."""

from __future__ import annotations

import numpy as np
import pytest

from lfss.doubt import MARGIN, confidence, doubt, doubt_of, warning
from lfss.labels import Label
from lfss.stages import Prediction


def test_scores_far_from_the_threshold_leave_no_doubt():
    scores = np.zeros((8, 8), np.float32)
    scores[2:6, 2:6] = 1
    assert doubt_of(scores, 0.5) == 0
    assert doubt_of(np.zeros((8, 8), np.float32), 0.5) == 0


def test_doubt_is_the_share_of_pixels_that_could_have_gone_either_way_by_a_plain_loop():
    scores = np.random.default_rng(0).random((9, 11)).astype(np.float32)
    near = reach = 0
    for score in scores.ravel():
        reach += score >= 0.6 - MARGIN
        near += abs(score - 0.6) <= MARGIN
    assert doubt_of(scores, 0.6) == pytest.approx(near / reach)
    assert 0 < near < reach


def test_a_mask_of_nearly_everything_is_in_doubt_and_says_so():
    everything = np.ones((10, 10), np.float32)
    assert doubt_of(everything, 0.5) == 1
    everything[:, :2] = 0
    assert doubt_of(everything, 0.5) == 0
    assert "nothing set 'dog' apart" in warning(0.99, "dog")
    assert warning(0.9, "dog") == ""


def test_the_doubt_of_a_prediction_is_that_of_its_map_at_its_threshold():
    scores = np.random.default_rng(1).random((9, 11)).astype(np.float32)
    found = Prediction(scores >= 0.4, scores, 0.9, (), Label("dog"), "fake", 0.4, 0.1)
    assert doubt(found) == doubt_of(scores, 0.4) != doubt_of(scores, 0.5)


def test_confidence_is_the_mean_score_inside_the_mask():
    scores = np.array([[0.9, 0.7], [0.2, 0.1]], np.float32)
    inside = [scores[r, c] for r in range(2) for c in range(2) if scores[r, c] >= 0.5]
    assert confidence(scores, scores >= 0.5) == pytest.approx(sum(inside) / len(inside))


def test_confidence_enlarges_a_small_map_to_the_mask():
    scores, mask = np.array([[0.2, 0.8]], np.float32), np.zeros((3, 8), bool)
    mask[:, 7] = True
    assert confidence(scores, mask) == pytest.approx(0.8)
    mask[:, 0] = True
    assert confidence(scores, mask) == pytest.approx(0.5)


def test_confidence_stays_within_its_range_where_rounding_leads_out_of_it():
    above = np.full((2, 2), np.nextafter(np.float32(1), np.float32(2)))
    assert confidence(above, np.ones((2, 2), bool)) == 1


def test_an_empty_mask_is_sure_when_nothing_comes_near():
    empty = np.zeros((8, 8), bool)
    assert confidence(np.full((4, 4), 0.05, np.float32), empty) == pytest.approx(0.95)
    assert confidence(np.full((4, 4), 0.45, np.float32), empty) == pytest.approx(0.55)


def test_an_empty_mask_is_sure_when_the_object_is_said_to_be_absent():
    empty, high = np.zeros((8, 8), bool), np.full((4, 4), 0.9, np.float32)
    assert confidence(high, empty, presence=0.1) == pytest.approx(0.9)
    assert confidence(high, empty, presence=0.95) == pytest.approx(0.1)
