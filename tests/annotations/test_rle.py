"""Run lengths against plain loops written from their descriptions."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import blob, mask, random_masks
from hypothesis import given, settings
from hypothesis import strategies as st

from lfss.annotations import rle
from lfss.errors import InputError


def loop_runs(values: list[bool]) -> list[int]:
    counts, current, length = [], False, 0
    for value in values:
        if value != current:
            counts.append(length)
            current, length = value, 0
        length += 1
    return [*counts, length]


def loop_string(counts: list[int]) -> str:
    characters = []
    for place, count in enumerate(counts):
        rest = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            bits = rest & 31
            rest >>= 5
            more = rest != -1 if bits & 16 else rest != 0
            characters.append(chr(48 + (bits | 32 if more else bits)))
    return "".join(characters)


def loop_brush(data: list[int]) -> list[int]:
    bits = "".join(f"{byte:08b}" for byte in data)
    place = 0

    def take(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    total, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < total:
        run = take(1)
        length = take(sizes[take(2)]) + 1
        values += [take(word)] * length if run else [take(word) for _ in range(length)]
    assert len(bits) - place < 8
    return values


@pytest.mark.parametrize("drawn", random_masks())
def test_coco_counts_run_down_the_columns_and_start_with_zeros(drawn: np.ndarray) -> None:
    counts = rle.coco_counts(drawn)
    assert counts.tolist() == loop_runs(drawn.T.reshape(-1).tolist())
    np.testing.assert_array_equal(rle.from_coco_counts(counts, drawn.shape), drawn)


@pytest.mark.parametrize("drawn", random_masks())
def test_the_short_spelling_is_that_of_a_loop_and_reads_back(drawn: np.ndarray) -> None:
    counts = rle.coco_counts(drawn)
    text = rle.to_string(counts)
    assert text == loop_string(counts.tolist())
    np.testing.assert_array_equal(rle.from_string(text), counts)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 2**31), max_size=12))
def test_counts_of_any_size_survive_the_short_spelling(counts: list[int]) -> None:
    text = rle.to_string(np.array(counts, np.int64))
    assert text == loop_string(counts)
    assert rle.from_string(text).tolist() == counts


@pytest.mark.parametrize("drawn", [m for m in random_masks() if m.any()])
def test_crop_counts_run_along_the_rows_of_the_box(drawn: np.ndarray) -> None:
    counts, (top, left, height, width) = rle.crop_counts(drawn)
    rows, columns = np.nonzero(drawn)
    assert (top, left) == (rows.min(), columns.min())
    assert (top + height - 1, left + width - 1) == (rows.max(), columns.max())
    assert counts.tolist() == loop_runs(drawn[top : top + height, left : left + width].reshape(-1).tolist())


@pytest.mark.parametrize("drawn", random_masks())
def test_brush_strokes_hold_four_equal_channels_of_0_and_255(drawn: np.ndarray) -> None:
    values = np.array(loop_brush(rle.brush(drawn))).reshape(*drawn.shape, 4)
    np.testing.assert_array_equal(values, np.where(drawn[..., None], 255, 0).repeat(4, axis=2))


def test_brush_strokes_longer_than_the_longest_run_are_split() -> None:
    drawn = np.zeros((300, 200), bool)
    drawn[100:250] = True
    values = np.array(loop_brush(rle.brush(drawn))).reshape(300, 200, 4)
    np.testing.assert_array_equal(values[..., 3] == 255, drawn)


def test_bounds_of_an_empty_mask_are_zeros() -> None:
    assert rle.bounds(mask("...", "...")) == (0, 0, 0, 0)
    assert rle.bounds(mask("....", ".##.", "..#.")) == (1, 1, 2, 2)


@pytest.mark.parametrize("counts", [[5], [3, 4], [-1, 7], [7, 2**62, 2**62]])
def test_counts_that_do_not_fit_are_refused_before_memory_is_taken(counts: list[int]) -> None:
    with pytest.raises(InputError, match="does not fit"):
        rle.from_coco_counts(np.array(counts, np.int64), (2, 3))


@pytest.mark.parametrize("text", ["0\x1f", "é", "P", "oooooooooooooooooooooo0"])
def test_damaged_strings_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="COCO run-length string"):
        rle.from_string(text)


def test_masks_are_not_changed_and_may_be_views() -> None:
    base = np.asfortranarray(random_masks()[3])
    before = base.copy()
    view = base[::2, ::-1]
    np.testing.assert_array_equal(rle.from_coco_counts(rle.coco_counts(view), view.shape), view)
    rle.brush(view)
    rle.crop_counts(view)
    np.testing.assert_array_equal(base, before)


def test_brush_strokes_have_the_sizes_of_label_studio_and_use_the_longest() -> None:
    drawn = np.ones((300, 200), bool)
    bits = "".join(f"{byte:08b}" for byte in rle.brush(drawn))
    assert [int(bits[37 + 4 * i : 41 + 4 * i], 2) + 1 for i in range(4)] == [3, 4, 8, 16]
    runs = -(-drawn.size * 4 // 2**16)
    assert len(bits) - 8 < 53 + (3 + 16 + 8) * runs <= len(bits)


def test_a_brush_stroke_comes_back_pixel_for_pixel() -> None:
    for seed in range(4):
        drawn = blob((33, 47), seed, 0.3, 1.0)
        np.testing.assert_array_equal(rle.from_brush(rle.brush(drawn), (33, 47)), drawn)


def test_literal_runs_of_a_brush_stroke_are_read() -> None:
    bits = f"{4 * 2:032b}" + f"{7:05b}" + f"{2:04b}{3:04b}{7:04b}{15:04b}"
    bits += "0" + "00" + f"{7:03b}" + "".join(f"{v:08b}" for v in (0, 0, 0, 0, 9, 9, 9, 200))
    bits += "0" * (-len(bits) % 8)
    stream = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert rle.from_brush(stream, (1, 2)).tolist() == [[False, True]]
