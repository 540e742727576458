"""Weak annotations: they follow their rules, never contradict the mask, and repeat."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lfss.errors import InputError
from train.data.weak import known_box, known_mask, known_point, known_scribbles, object_box, points, scribbles


def two_blocks() -> np.ndarray:
    """A large block and a small one."""
    mask = np.zeros((100, 140), np.bool_)
    mask[10:60, 20:90] = True
    mask[80:95, 110:130] = True
    return mask


def blob(seed: int, size: tuple[int, int] = (120, 160)) -> np.ndarray:
    """Smooth random shapes, several parts and holes."""
    noise = np.random.default_rng(seed).standard_normal(size)
    smooth = cv2.GaussianBlur(noise, (0, 0), 9)
    return smooth > np.quantile(smooth, 0.7)


def slow_boxes(mask: np.ndarray) -> list[tuple[int, int, int, int, int]]:
    """Area and box of each connected part, by flood fill."""
    left, found = {tuple(p) for p in np.argwhere(mask)}, []
    while left:
        queue, part = [left.pop()], []
        while queue:
            row, column = queue.pop()
            part.append((row, column))
            around = {(row + r, column + c) for r in (-1, 0, 1) for c in (-1, 0, 1)} & left
            left -= around
            queue += around
        rows, columns = np.array(part).T
        found.append((len(part), rows.min(), columns.min(), rows.max() + 1, columns.max() + 1))
    return found


def test_largest_box_is_the_largest_parts_box_by_a_flood_fill() -> None:
    for seed in range(5):
        mask = blob(seed)
        assert object_box(mask) == max(slow_boxes(mask))[1:]


def test_all_box_holds_every_pixel_and_touches_on_all_sides() -> None:
    top, left, bottom, right = object_box(two_blocks(), "all")
    assert (top, left, bottom, right) == (10, 20, 95, 130)


def test_box_trimap_never_calls_object_background() -> None:
    mask = two_blocks()
    largest, whole = known_box(mask), known_box(mask, rule="all")
    assert set(np.unique(largest)) == set(np.unique(whole)) == {-1, 0}
    assert (largest[mask] == -1).all()
    assert (largest == -1).sum() == mask.sum()
    assert (whole == -1).sum() == (95 - 10) * (130 - 20)


def test_mask_trimap_knows_everything_but_the_ignored() -> None:
    mask, ignore = two_blocks(), np.zeros((100, 140), np.bool_)
    ignore[0, :] = True
    known = known_mask(mask, ignore)
    assert known.dtype == np.int8
    assert (known[0] == -1).all()
    np.testing.assert_array_equal(known[1:] == 1, mask[1:])
    assert (known_box(mask, ignore)[0] == -1).all()
    assert (known_scribbles(mask, ignore, seed=0)[0] == -1).all()


@pytest.mark.parametrize("seed", range(6))
def test_scribbles_stay_on_their_sides(seed: int) -> None:
    mask = blob(seed)
    ignore = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))).astype(bool) & ~mask
    inside, outside = scribbles(mask, ignore, seed=seed)
    assert inside.any()
    assert not (inside & ~mask).any()
    assert not (inside & ignore).any()
    assert not (outside & (mask | ignore)).any()


def test_a_scribble_runs_along_the_middle_of_a_bar() -> None:
    mask = np.zeros((120, 200), np.bool_)
    mask[50:80, 10:190] = True
    inside, outside = scribbles(mask, seed=0)
    rows, columns = np.nonzero(inside)
    assert abs(rows[(columns > 60) & (columns < 140)].mean() - 64.5) < 3
    assert columns.max() - columns.min() > 120
    assert cv2.connectedComponents(inside.astype(np.uint8))[0] == 2
    assert cv2.connectedComponents(outside.astype(np.uint8))[0] == 2
    assert inside.sum() < 0.15 * mask.sum()


def test_scribbles_depend_on_the_seed_alone() -> None:
    mask = np.zeros((40, 60), np.bool_)
    mask[5:35, 5:35] = mask[10:30, 40:55] = True  # 900 and 300 pixels
    drawn = [scribbles(mask, seed=seed)[0] for seed in range(24)]
    for seed in range(3):
        np.testing.assert_array_equal(scribbles(mask, seed=seed)[0], drawn[seed])
    on_small = [bool(d[:, 40:].any()) for d in drawn]
    assert 2 <= sum(on_small) <= 10


@pytest.mark.parametrize("shape", ["pixel", "line", "diagonal", "full", "frame"])
def test_odd_masks_get_a_scribble_too(shape: str) -> None:
    mask = np.zeros((200, 90), np.bool_)
    if shape == "pixel":
        mask[57, 33] = True
    elif shape == "line":
        mask[20:180, 40] = True
    elif shape == "diagonal":
        mask[np.arange(80), np.arange(80)] = True
    elif shape == "full":
        mask[:] = True
    else:
        mask[[0, -1], :] = mask[:, [0, -1]] = True
    inside, outside = scribbles(mask, seed=1)
    assert inside.any()
    assert not (inside & ~mask).any()
    assert outside.any() == (shape != "full")
    assert (known_scribbles(mask, seed=1) == 1).sum() == inside.sum()


@pytest.mark.parametrize("seed", [0, 1])
def test_marks_on_the_object_alone_say_nothing_beside_it(seed: int) -> None:
    mask = np.zeros((60, 80), np.bool_)
    mask[10:40, 20:60] = True
    scribble, click = known_scribbles(mask, seed=seed, beside=False), known_point(mask)
    both = known_scribbles(mask, seed=seed)
    np.testing.assert_array_equal(scribble == 1, both == 1)
    for known in (scribble, click):
        assert set(np.unique(known)) == {-1, 1}
        assert not (known[~mask] == 1).any()
    row, column = points(mask, 1)[0]
    assert click[row, column] == 1
    assert 1 <= (click == 1).sum() < (scribble == 1).sum()


def test_a_point_of_a_tiny_picture_is_one_pixel() -> None:
    mask = np.zeros((9, 9), np.bool_)
    mask[2:7, 2:7] = True
    known = known_point(mask)
    assert np.argwhere(known == 1).tolist() == [[4, 4]]
    assert (known == 0).sum() == 0


def test_points_spread_by_the_stated_rule() -> None:
    mask = blob(3, (40, 50))
    clicks = points(mask, 4)
    assert clicks.shape == (4, 2)
    assert mask[tuple(clicks.T)].all()
    outside = np.argwhere(~np.pad(mask, 1)) - 1
    chosen: list[np.ndarray] = []
    for click in clicks:
        room = {
            tuple(p): min(np.hypot(*(q - p).T).min() for q in (outside, *([c] for c in chosen)))
            for p in np.argwhere(mask)
        }
        assert room[tuple(click)] == pytest.approx(max(room.values()), abs=1e-3)
        chosen.append(click)


def test_a_small_mask_gives_no_more_points_than_pixels() -> None:
    mask = np.zeros((9, 9), np.bool_)
    mask[4, 4:6] = True
    assert {tuple(p) for p in points(mask, 10).tolist()} == {(4, 4), (4, 5)}


@pytest.mark.parametrize(
    "make", [object_box, known_box, lambda m: scribbles(m, seed=0), lambda m: points(m, 1)]
)
def test_an_empty_mask_is_refused(make) -> None:
    with pytest.raises(InputError, match="this one is empty"):
        make(np.zeros((9, 9), np.bool_))


def test_inputs_are_unchanged() -> None:
    mask, ignore = two_blocks(), blob(0, (100, 140))
    copies = mask.copy(), ignore.copy()
    known_box(mask, ignore), known_scribbles(mask, ignore, seed=0), known_mask(mask, ignore), points(mask, 3)
    np.testing.assert_array_equal(mask, copies[0])
    np.testing.assert_array_equal(ignore, copies[1])
