"""Another threshold from the score map that was kept: one rule for the workspace and for the page."""

from __future__ import annotations

import numpy as np
import pytest
from samples import smooth_scores

from lfss.doubt import doubt_of
from lfss.errors import InputError
from lfss.packing import pack_scores, unpack_scores
from lfss.scoremap import ScoreMap, keep_scores, mask_at, settled_scores


def kept(mask=None, *, size=(120, 160), threshold=0.5) -> tuple[ScoreMap, np.ndarray]:
    scores = smooth_scores(*size)
    mask = scores >= threshold if mask is None else mask
    return keep_scores(mask, scores, threshold=threshold, score=0.8, doubt=0.25), scores


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("size", [(700, 1300), (90, 4000)])
def test_a_mask_from_the_kept_map_is_nearly_the_one_from_the_full_map(size, threshold):
    scores = smooth_scores(*size)
    again = mask_at(unpack_scores(pack_scores(scores)), size, threshold=threshold)
    assert iou(again, scores >= threshold) > 0.98


def test_at_its_own_threshold_it_gives_the_models_own_mask_score_and_doubt():
    rough = np.random.default_rng(0).random((120, 160)) < 0.3
    found = kept(rough)[0].cut(0.5)
    assert (found.mask == rough).all()
    assert (found.score, found.doubt) == (0.8, 0.25)


def test_another_threshold_has_a_score_and_a_doubt_of_its_own():
    one, scores = kept()
    found = one.cut(0.7)
    assert iou(found.mask, scores >= 0.7) > 0.98
    assert found.score == pytest.approx(scores[scores >= 0.7].mean(), abs=0.01)
    assert found.doubt == pytest.approx(doubt_of(scores, 0.7), abs=0.02)
    assert abs(found.doubt - 0.25) > 0.05


@pytest.mark.parametrize("threshold", [0.5, 0.6])
def test_a_view_of_another_size_shows_the_same_mask(threshold):
    found = kept()[0].cut(threshold, size=(60, 80)).mask
    assert found.shape == (60, 80)
    assert iou(np.kron(found, np.ones((2, 2), bool)), kept()[0].cut(threshold).mask) > 0.9


def test_an_object_that_was_taken_for_absent_stays_so_until_said_otherwise():
    one, scores = kept(np.zeros((120, 160), bool))
    assert not one.cut(0.3).mask.any()
    assert not one.cut(0.5).mask.any()
    assert iou(one.cut(0.5, present=True).mask, scores >= 0.5) > 0.98
    assert not kept()[0].cut(0.5, present=False).mask.any()
    assert kept()[0].cut(0.5, present=False, presence=0.1).score == pytest.approx(0.9)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, 50])
def test_a_threshold_outside_of_0_to_1_is_refused(threshold):
    with pytest.raises(InputError, match="between 0 and 1"):
        kept()[0].cut(threshold)


def test_where_another_label_got_the_pixel_the_kept_map_is_0():
    masks = [np.array([[True, False, True, False]]), np.array([[False, True, True, False]])]
    scores = [np.array([[0.9, 0.7, 0.8, 0.2]], np.float32), np.array([[0.6, 0.8, 0.9, 0.3]], np.float32)]
    rivals = settled_scores(masks, scores, lambda one, other: True)
    assert rivals[0].tolist() == [pytest.approx([0.9, 0, 0.8, 0.2])]
    assert rivals[1].tolist() == [pytest.approx([0, 0.8, 0.9, 0.3])]
    together = settled_scores(masks, scores, lambda one, other: False)
    assert all(np.array_equal(kept, given) for kept, given in zip(together, scores))
