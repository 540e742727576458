"""Classes of one run compete for pixels: against a loop over pixels, and rule by rule."""

from __future__ import annotations

import numpy as np
import pytest

from lfss.competition import compete


def by_loop(probabilities, claims, together):
    """The rule once more, pixel by pixel."""
    count, height, width = claims.shape
    masks, lost = np.zeros_like(claims), [dict.fromkeys(range(count), 0) for _ in range(count)]
    for row in range(height):
        for column in range(width):
            asking = [n for n in range(count) if claims[n, row, column]]
            asking.sort(key=lambda n: (-probabilities[n, row, column], n))
            kept: list[int] = []
            for n in asking:
                better = [k for k in kept if (n, k) not in together and (k, n) not in together]
                if better:
                    lost[n][better[0]] += 1
                else:
                    kept.append(n)
                    masks[n, row, column] = True
    areas = claims.reshape(count, -1).sum(1)
    return masks, tuple(
        {by: taken / areas[n] for by, taken in lost[n].items() if taken} for n in range(count)
    )


@pytest.mark.parametrize("together", [[], [(0, 1)], [(2, 0), (1, 3)]])
@pytest.mark.parametrize("levels", [3, 1000])  # few levels: many ties
def test_the_rule_is_the_loop_over_pixels(together, levels):
    rng = np.random.default_rng(0)
    probabilities = (rng.integers(0, levels, (4, 7, 9)) / levels).astype(np.float32)
    claims = rng.random((4, 7, 9)) < 0.6
    made = compete(probabilities, claims, may_overlap=together)
    masks, lost = by_loop(probabilities, claims, together)
    assert np.array_equal(made.masks, masks)
    for n in range(4):
        assert made.lost[n] == pytest.approx(lost[n])


def pair(first: float, second: float) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that both claim a row of four pixels; the second claims two more."""
    probabilities = np.zeros((2, 1, 6), np.float32)
    probabilities[0], probabilities[1] = first, second
    claims = np.zeros((2, 1, 6), bool)
    claims[0, :, :4], claims[1] = True, True
    return probabilities, claims


def test_the_larger_probability_wins_and_the_loser_says_what_it_lost():
    made = compete(*pair(0.6, 0.9))
    assert made.masks.sum((1, 2)).tolist() == [0, 6]
    assert made.lost == ({1: 1.0}, {})
    made = compete(*pair(0.9, 0.6))
    assert made.masks.sum((1, 2)).tolist() == [4, 2]
    assert made.lost[1] == pytest.approx({0: 4 / 6})


def test_of_equal_probabilities_the_class_named_first_wins():
    assert compete(*pair(0.7, 0.7)).masks.sum((1, 2)).tolist() == [4, 2]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_pair_that_may_overlap_keeps_both(order):
    probabilities, claims = pair(0.6, 0.9)
    made = compete(probabilities, claims, may_overlap=[order])
    assert np.array_equal(made.masks, claims)
    assert made.lost == ({}, {})


def test_a_class_that_has_lost_a_pixel_takes_it_from_nobody():
    """The middle class beats the last, but it has lost to the first, which may overlap with the last."""
    probabilities = np.array([0.9, 0.8, 0.7], np.float32).reshape(3, 1, 1)
    made = compete(probabilities, np.ones((3, 1, 1), bool), may_overlap=[(0, 2)])
    assert made.masks.ravel().tolist() == [True, False, True]
    assert made.lost == ({}, {0: 1.0}, {})


def test_without_a_contested_pixel_nothing_changes_and_the_inputs_stay():
    claims = np.eye(2, dtype=bool)[:, None]
    probabilities = np.ones((2, 1, 2), np.float32)
    before = claims.copy()
    made = compete(probabilities, claims)
    assert np.array_equal(made.masks, claims)
    made.masks[:] = False
    compete(*pair(0.6, 0.9))
    assert np.array_equal(claims, before)
