"""Where touching objects are parted: each step against a loop, small pieces, and large pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lfss.errors import InputError
from lfss.objects import used
from lfss.separation import _passes, _tops, separate

SIZE = (120, 160)


def discs(*circles: tuple[int, int, int], size: tuple[int, int] = SIZE) -> np.ndarray:
    canvas = np.zeros(size, np.uint8)
    for x, y, radius in circles:
        cv2.circle(canvas, (x, y), radius, 1, -1)
    return canvas > 0


TOUCHING = discs((50, 60, 25), (95, 60, 25))


def test_touching_objects_are_separated_by_how_narrow_their_neck_is() -> None:
    numbers = separate(TOUCHING, 0.7)
    assert used(numbers) == [1, 2]
    np.testing.assert_array_equal(numbers > 0, TOUCHING)
    assert numbers[60, 30] != numbers[60, 110]
    assert used(separate(TOUCHING, 0.0)) == [1]
    one = discs((70, 60, 40))
    assert used(separate(one, 0.9)) == [1], "a disc has no waist"
    counts = [len(used(separate(TOUCHING, s))) for s in (0, 0.25, 0.5, 0.75, 1)]
    assert counts == sorted(counts)
    with pytest.raises(InputError, match="between 0 and 1"):
        separate(TOUCHING, 1.5)


def test_heights_take_the_place_of_the_distance_to_the_border() -> None:
    bar = np.zeros(SIZE, bool)
    bar[50:70, 20:140] = True
    assert used(separate(bar, 0.5)) == [1]
    heights = np.full(SIZE, 0.2, np.float32)
    for x in (45, 115):
        heights += np.float32(0.8) * np.exp(-((np.arange(160) - x) ** 2) / 200).astype(np.float32)
    numbers = separate(bar, 0.5, heights=heights)
    assert used(numbers) == [1, 2]
    assert numbers[60, 45] != numbers[60, 115]


def test_each_pixel_climbs_to_its_highest_neighbour_until_there_is_none() -> None:
    level = np.pad(np.random.default_rng(0).integers(1, 5, (9, 12)).astype(np.float32), 1)  # many ties
    rows, columns = level.shape

    def above(place: int) -> int:
        row, column = divmod(place, columns)
        near = [(row + y, column + x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
        return max((y * columns + x for y, x in near), key=lambda p: (level.flat[p], p))

    found = _tops(level, level > 0)
    for row in range(1, rows - 1):
        for column in range(1, columns - 1):
            place = row * columns + column
            while above(place) != place:
                place = above(place)
            assert found[row, column] == place


def test_the_pass_between_two_hills_is_the_highest_of_their_borders() -> None:
    rng = np.random.default_rng(0)
    level = np.pad(rng.random((8, 9)).astype(np.float32), 1)
    hills = np.pad(rng.integers(-1, 4, (8, 9)), 1, constant_values=-1)
    expected: dict[tuple[int, int], float] = {}
    for row, column in np.argwhere(hills >= 0):
        for near in ((row + y, column + x) for y in (-1, 0, 1) for x in (-1, 0, 1)):
            pair = (int(hills[row, column]), int(hills[near]))
            if 0 <= pair[0] < pair[1]:
                height = float(min(level[row, column], level[near]))
                expected[pair] = max(expected.get(pair, 0.0), height)
    ones, others, heights = _passes(level, hills)
    assert dict(zip(zip(ones.tolist(), others.tolist()), heights.tolist())) == expected


def test_two_small_pieces_that_are_large_enough_together_stay_an_object() -> None:
    """Two pieces of 5 % of the pixels become one of 10 %, which is more than the smallest object has."""
    heights = np.full((1, 100), 0.5, np.float32)
    heights[0, :10] = (0.7, 0.8, 0.9, 0.8, 0.7, 0.65, 0.75, 0.8, 0.75, 0.5)
    heights[0, 10], heights[0, 11:] = 0.45, np.linspace(0.52, 1, 89)
    numbers = separate(np.ones((1, 100), bool), 1.0, heights=heights)[0]
    assert used(numbers) == [1, 2]
    assert (numbers[:10] == numbers[0]).all()
    assert (numbers[10:] != numbers[0]).all()


def test_objects_larger_than_the_working_size_are_parted_at_their_neck() -> None:
    mask = discs((200, 200, 170), (500, 200, 170), size=(400, 900))
    mask[190:210, 600:880] = True  # a handle, so that the whole is longer than the working size
    numbers = separate(mask, 0.7)
    np.testing.assert_array_equal(numbers > 0, mask)
    assert numbers[200, 120] != numbers[200, 560]
    assert set(used(numbers[:, :330])) == {numbers[200, 120]}
