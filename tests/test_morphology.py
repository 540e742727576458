"""Each repair against a plain loop, and on masks drawn in letters."""

from __future__ import annotations

import numpy as np
import pytest

from lfss import morphology


def drawn(*rows: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


def random_mask(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((23, 31)) > 0.7


@pytest.mark.parametrize("radius", [0, 1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_grow_is_every_pixel_within_reach_by_a_plain_loop(radius, seed):
    mask = random_mask(seed)
    expected = np.zeros_like(mask)
    for row, column in zip(*np.nonzero(mask)):
        for r in range(max(0, row - radius), min(23, row + radius + 1)):
            for c in range(max(0, column - radius), min(31, column + radius + 1)):
                if (r - row) ** 2 + (c - column) ** 2 <= radius**2:
                    expected[r, c] = True
    assert np.array_equal(morphology.grow(mask, radius), expected)


def test_shrink_is_grow_of_the_outside():
    mask = random_mask(2)
    assert np.array_equal(morphology.shrink(mask, 2), ~morphology.grow(~mask, 2))


def test_shrink_keeps_what_touches_the_picture_border():
    assert morphology.shrink(np.ones((9, 9), bool), 3).all()


def test_holes_are_filled_and_bays_are_not():
    mask = drawn("#####.", "#...#.", "#.#.#.", "#...#.", "#####.", "##.###")
    filled = morphology.fill_holes(mask)
    assert filled[:5, :5].all()
    assert not filled[5, 2]
    assert not filled[:5, 5].any()


def test_a_gap_at_a_corner_alone_does_not_open_a_hole():
    mask = drawn(".##.", "#..#", "#..#", ".##.")
    assert np.array_equal(morphology.fill_holes(mask), drawn(".##.", "####", "####", ".##."))


def test_the_largest_part_stays():
    mask = drawn("##...#", "##...#", "......", "#.....")
    assert np.array_equal(morphology.keep_largest(mask), drawn("##....", "##....", "......", "......"))


def test_specks_go_and_large_parts_stay():
    mask = np.zeros((50, 50), bool)
    mask[5:25, 5:25] = mask[30:45, 30:45] = mask[2, 40] = True
    cleaned = morphology.remove_specks(mask, 0.02)
    assert not cleaned[2, 40]
    assert cleaned.sum() == mask.sum() - 1


@pytest.mark.parametrize("repair", [morphology.fill_holes, morphology.keep_largest, morphology.remove_specks])
@pytest.mark.parametrize("value", [False, True])
def test_empty_and_full_masks_stay(repair, value):
    mask = np.full((6, 7), value)
    assert np.array_equal(repair(mask), mask)


def test_the_border_snaps_to_a_nearby_edge():
    pixels = np.full((300, 400, 3), 60, np.uint8)
    pixels[80:220, 100:300] = (220, 60, 40)
    true = np.zeros((300, 400), bool)
    true[80:220, 100:300] = True
    rough = morphology.grow(true, 7)
    snapped = morphology.snap_to_edges(rough, pixels)

    def iou(a: np.ndarray, b: np.ndarray) -> float:
        return (a & b).sum() / (a | b).sum()

    assert iou(snapped, true) > 0.95 > iou(rough, true)


def test_far_from_the_border_nothing_snaps():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (200, 200, 3)).astype(np.uint8)
    mask = np.zeros((200, 200), bool)
    mask[50:150, 50:150] = True
    snapped = morphology.snap_to_edges(mask, pixels)
    assert snapped[60:140, 60:140].all()
    assert not snapped[:40].any()


def test_masks_are_not_changed_in_place():
    mask = random_mask(3)
    before = mask.copy()
    for repair in (morphology.fill_holes, morphology.keep_largest, morphology.remove_specks):
        result = repair(mask)
        assert not np.shares_memory(result, mask)
    assert np.array_equal(mask, before)


def test_the_larger_of_two_parts_stays_wherever_it_lies():
    mask = drawn("#...##", "....##", "......")
    assert np.array_equal(morphology.keep_largest(mask), drawn("....##", "....##", "......"))


def test_specks_are_measured_by_the_largest_part_and_a_tenth_of_it_is_none():
    mask = np.zeros((60, 60), bool)
    mask[2:22, 2:22] = mask[30:40, 30:34] = mask[50, 50:55] = True  # 400, 40 and 5 pixels
    cleaned = morphology.remove_specks(mask)
    assert cleaned[2:22, 2:22].all()
    assert cleaned[30:40, 30:34].all()
    assert not cleaned[50].any()


@pytest.mark.parametrize(
    ("size", "cells"),
    [((300, 400), (48, 64)), ((20, 30), (20, 30)), ((3, 5000), (1, 64)), ((5000, 3), (64, 1))],
)
def test_a_border_is_softened_to_64_cells_and_never_enlarged(monkeypatch, size, cells):
    seen = []

    def watched(logits, pixels):
        seen.append(logits.shape)
        return np.zeros(pixels.shape[:2], np.float32)

    monkeypatch.setattr(morphology, "to_pixels", watched)
    mask = np.zeros(size, bool)
    mask[: size[0] // 2 + 1, : size[1] // 2] = True
    morphology.snap_to_edges(mask, np.zeros((*size, 3), np.uint8))
    assert seen == [cells]


def test_a_border_moves_by_at_least_one_pixel_and_no_further_than_it_may(monkeypatch):
    monkeypatch.setattr(morphology, "to_pixels", lambda logits, pixels: np.ones(pixels.shape[:2], np.float32))
    mask = np.zeros((20, 20), bool)
    mask[:, :10] = True
    pixels = np.zeros((20, 20, 3), np.uint8)
    for reach, wide in ((0.0, 1), (0.03, 1), (0.2, 4)):
        assert morphology.snap_to_edges(mask, pixels, reach=reach)[5].sum() == 10 + wide


def test_a_disc_is_round():
    expected = drawn("..#..", ".###.", "#####", ".###.", "..#..")
    assert np.array_equal(morphology._disc(2) > 0, expected)


def test_a_speck_beside_one_part_goes():
    mask = np.zeros((30, 30), bool)
    mask[2:22, 2:22] = mask[28, 28] = True
    assert np.array_equal(morphology.remove_specks(mask), mask & (np.arange(30) < 25))
