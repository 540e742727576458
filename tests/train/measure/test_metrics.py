"""Scores: small cases worked out by hand, and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from lfss.errors import InputError, UnknownName
from train.measure.metrics import (
    PROTOCOLS,
    ClassIoU,
    boundary_band,
    overlap,
    resize_mask,
    roc_auc,
)  # fmt: skip


def mask(*rows: str) -> np.ndarray:
    """Drawn with # for true."""
    return np.array([[c == "#" for c in row] for row in rows])


def boundary_overlap(
    prediction: np.ndarray, truth: np.ndarray, ignore: np.ndarray | None = None
) -> tuple[int, int]:
    """Pixels of the intersection and of the union of the bands along the outlines of (H, W) masks."""
    scores = ClassIoU(["cat"])
    scores.update("cat", prediction, truth, ignore)
    both, either = scores.sums[0, 4:6].tolist()
    return both, either


def random_masks(seed: int, shape: tuple[int, int] = (37, 53)) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    coarse = rng.random((3, 6, 8)) < np.array([0.5, 0.5, 0.15])[:, None, None]
    rows, columns = (np.arange(n) * k // n for n, k in zip(shape, (6, 8)))
    return tuple(coarse[:, rows][:, :, columns])


# [T-D1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_perfect_is_one_and_empty_is_zero(protocol: str) -> None:
    truth = random_masks(0)[0]
    scores = ClassIoU(["cat", "dog"], protocol)
    scores.update("cat", truth, truth)
    scores.update("dog", np.zeros_like(truth), truth)
    result = scores.compute()
    assert result.iou == {"cat": 1.0, "dog": 0.0}
    assert result.boundary_iou == {"cat": 1.0, "dog": 0.0}
    assert result.miou == 0.5


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_unknown_pixels_never_matter(protocol: str) -> None:
    for seed in range(5):
        prediction, truth, ignore = random_masks(seed)
        results = []
        for flip_prediction in (False, True):
            for flip_truth in (False, True):
                scores = ClassIoU(["cat"], protocol)
                scores.update(
                    "cat", prediction ^ (ignore & flip_prediction), truth ^ (ignore & flip_truth), ignore
                )
                results.append(scores.sums.tolist())
        assert all(result == results[0] for result in results)


# [T-D2]


def test_classes_sum_areas_over_episodes_and_do_not_average_ious() -> None:
    scores = ClassIoU(["cat"])
    large = np.ones((10, 10), np.bool_)
    scores.update("cat", large, large)  # 100 of 100
    small = np.zeros((10, 10), np.bool_)
    small[0, :4] = True
    half = small.copy()
    half[0, 2:4] = False
    scores.update("cat", half, small)  # 2 of 4
    assert scores.compute().iou["cat"] == pytest.approx(102 / 104)
    assert scores.compute().iou["cat"] != pytest.approx((1 + 0.5) / 2)


def test_a_case_worked_out_by_hand() -> None:
    prediction = mask("##..", "##..", "....")
    truth = mask(".##.", ".##.", "....")
    ignore = mask("...#", "...#", "...#")
    scores = ClassIoU(["cat", "dog"])
    scores.update("cat", prediction, truth, ignore)
    scores.update("dog", truth, truth)
    # cat: 2 of 6; background of its nine known pixels: 3 of 7. dog: 4 of 4; background 8 of 8.
    assert scores.sums[:, :4].tolist() == [[2, 6, 3, 7], [4, 4, 8, 8]]
    result = scores.compute()
    assert result.miou == pytest.approx((2 / 6 + 1) / 2)
    assert result.fb_iou == pytest.approx((6 / 10 + 11 / 15) / 2)
    assert result.episodes == {"cat": 1, "dog": 1}


def test_overlap_equals_a_plain_loop() -> None:
    for seed in range(4):
        prediction, truth, ignore = random_masks(seed)
        both = either = 0
        for p, t, i in zip(prediction.flat, truth.flat, ignore.flat):
            both += bool(p and t and not i)
            either += bool((p or t) and not i)
        assert overlap(prediction, truth, ignore) == (both, either)


# Where the protocols differ


def test_false_alarms_without_the_object_count_in_hsnet_and_not_in_panet() -> None:
    present, absent = np.zeros((40, 40), np.bool_), np.zeros((40, 40), np.bool_)
    present[:20] = True
    results = {}
    for name in PROTOCOLS:
        scores = ClassIoU(["cat"], name)
        scores.update("cat", present, present)
        scores.update("cat", present, absent)
        results[name] = scores.compute().iou["cat"]
    assert results == {"native": 0.5, "hsnet": 0.5, "panet": 1.0}


def test_a_class_never_asked_for_is_zero_in_hsnet_and_left_out_elsewhere() -> None:
    truth = random_masks(1)[0]
    means = {}
    for name in PROTOCOLS:
        scores = ClassIoU(["cat", "dog"], name)
        scores.update("cat", truth, truth)
        assert math.isnan(scores.compute().iou["dog"])
        means[name] = scores.compute().miou
    assert means == {"native": 1.0, "hsnet": 0.5, "panet": 1.0}


def test_pictures_weigh_alike_where_masks_are_resized_and_by_size_natively() -> None:
    small, large = np.ones((10, 10), np.bool_), np.ones((30, 30), np.bool_)
    values = {}
    for name in PROTOCOLS:
        scores = ClassIoU(["cat"], name)
        scores.update("cat", small, small)
        scores.update("cat", ~large, large)
        values[name] = scores.compute().iou["cat"]
    assert values == {"native": 0.1, "hsnet": 0.5, "panet": 0.5}


@pytest.mark.parametrize("shape", [(375, 499), (501, 333), (91, 65), (400, 417)])
def test_resizing_follows_torch_for_hsnet_and_pillow_for_panet(shape: tuple[int, int]) -> None:
    truth = np.random.default_rng(0).random(shape) < 0.5
    torch_way = F.interpolate(torch.from_numpy(truth)[None, None].float(), (400, 400), mode="nearest")
    np.testing.assert_array_equal(resize_mask(truth, PROTOCOLS["hsnet"]), torch_way[0, 0].numpy() > 0)
    pillow_way = Image.fromarray(truth).resize((417, 417), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(resize_mask(truth, PROTOCOLS["panet"]), np.asarray(pillow_way))
    assert resize_mask(truth, PROTOCOLS["native"]) is truth


# Boundary


def slow_band(area: np.ndarray, steps: int) -> np.ndarray:
    """Peel off one layer after another, outside counting as not the object."""
    inner = area.copy()
    for _ in range(steps):
        padded = np.pad(inner, 1)
        inner = np.array([
            [padded[r : r + 3, c : c + 3].all() for c in range(area.shape[1])] for r in range(area.shape[0])
        ])  # fmt: skip
    return area & ~inner


@pytest.mark.parametrize("shape", [(30, 40), (90, 120)])
def test_boundary_band_equals_peeling_layers(shape: tuple[int, int]) -> None:
    area = random_masks(2, shape)[0]
    steps = round(0.02 * math.hypot(*shape))
    np.testing.assert_array_equal(boundary_band(area), slow_band(area, steps))


def test_boundary_iou_by_hand() -> None:
    truth, prediction = np.zeros((30, 40), np.bool_), np.zeros((30, 40), np.bool_)  # d = 1
    truth[5:15, 5:15] = True
    prediction[5:15, 6:16] = True
    # Frames of 36 pixels each, one column apart: top and bottom rows share 9 each.
    assert boundary_overlap(prediction, truth) == (18, 54)


def test_boundary_iou_sees_what_iou_hardly_does() -> None:
    truth, rough = np.zeros((200, 200), np.bool_), np.zeros((200, 200), np.bool_)
    truth[20:180, 20:180] = True
    rough[14:186, 14:186] = True
    (both, either), (b_both, b_either) = overlap(rough, truth), boundary_overlap(rough, truth)
    assert both / either > 0.85
    assert b_both / b_either < 0.1


def test_a_ring_of_unknown_pixels_does_not_give_the_outline_away() -> None:
    truth, ignore = np.zeros((100, 100), np.bool_), np.zeros((100, 100), np.bool_)
    ignore[25:75, 25:75] = True
    ignore[30:70, 30:70] = False
    truth[30:70, 30:70] = True
    both, _ = boundary_overlap(np.ones_like(truth), truth, ignore)
    assert both == 0  # all foreground has an outline at the picture's edge only
    both, either = boundary_overlap(truth | ignore, truth, ignore)
    assert both == either > 0


def test_nothing_known_counts_nothing() -> None:
    truth = np.ones((8, 8), np.bool_)
    scores = ClassIoU(["cat"])
    scores.update("cat", truth, truth, truth)
    assert scores.sums[0].tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert math.isnan(scores.compute().miou)


# Refusals, and what stays as it was


def test_wrong_input_is_told() -> None:
    truth = random_masks(0)[0]
    with pytest.raises(UnknownName, match=r"protocol 'pfenet'. Known: native, hsnet, panet"):
        ClassIoU(["cat"], "pfenet")
    scores = ClassIoU(["cat"])
    with pytest.raises(UnknownName, match="class 'dog'"):
        scores.update("dog", truth, truth)
    with pytest.raises(InputError, match=r"prediction are \(36, 53\), the true mask is \(37, 53\)"):
        scores.update("cat", truth[1:], truth)
    with pytest.raises(InputError, match="ignored pixels are"):
        scores.update("cat", truth, truth, truth[1:])
    assert not scores.sums.any()


def test_inputs_are_unchanged() -> None:
    masks = random_masks(0)
    copies = [m.copy() for m in masks]
    for name in PROTOCOLS:
        ClassIoU(["cat"], name).update("cat", *masks)
    for before, after in zip(copies, masks):
        np.testing.assert_array_equal(before, after)


# ROC


def slow_auc(scores: list[float], positive: list[bool]) -> float:
    wins = [
        1.0 if p > n else 0.5 if p == n else 0.0
        for p, is_p in zip(scores, positive) if is_p
        for n, is_n in zip(scores, positive) if not is_n
    ]  # fmt: skip
    return sum(wins) / len(wins)


def test_auc_by_hand() -> None:
    assert roc_auc([0.9, 0.8, 0.2, 0.1], [True, True, False, False]) == 1
    assert roc_auc([0.1, 0.9], [True, False]) == 0
    assert roc_auc([0.5, 0.5, 0.5], [True, False, False]) == 0.5
    assert roc_auc([0.3, 0.3, 0.9], [False, True, False]) == 0.25


def test_auc_equals_counting_all_pairs_ties_too() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        scores, positive = rng.integers(0, 8, 60).tolist(), (rng.random(60) < 0.3).tolist()
        assert roc_auc(scores, positive) == pytest.approx(slow_auc(scores, positive))


def test_auc_needs_both_kinds_and_real_numbers() -> None:
    with pytest.raises(InputError, match="there are 2 positives of 2"):
        roc_auc([0.1, 0.2], [True, True])
    with pytest.raises(InputError, match="one score, not NaN"):
        roc_auc([0.1, math.nan], [True, False])
    with pytest.raises(InputError, match="one score"):
        roc_auc([0.1], [True, False])
