"""Packed masks come back bit for bit; packed score maps answer at any threshold."""

from __future__ import annotations

import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from samples import smooth_scores

from lfss import packing
from lfss.errors import WorkspaceError


def shapes(side):
    return arrays.array_shapes(min_dims=2, max_dims=2, max_side=side)


@settings(max_examples=200, deadline=None)
@given(arrays.arrays(np.bool_, shapes(150)))
def test_any_mask_comes_back_bit_for_bit(mask):
    packed = packing.pack_mask(mask)
    back = packing.unpack_mask(packed)
    assert back.dtype == np.bool_
    assert back.shape == mask.shape
    assert (back == mask).all()


@settings(max_examples=50, deadline=None)
@given(
    arrays.arrays(
        np.int8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(-1, 1)
    )
)
def test_any_marks_come_back_value_for_value(known):
    back = packing.unpack_marks(packing.pack_marks(known))
    assert back.dtype == np.int8
    assert (back == known).all()


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.uint16, shapes(40)))
@example(np.array([[1, 2, 0], [2, 2, 65_535]], np.uint16))
def test_any_numbers_of_objects_come_back_value_for_value(numbers):
    back = packing.unpack_objects(packing.pack_objects(numbers))
    assert back.dtype == np.uint16
    assert np.array_equal(back, numbers)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900), st.integers(0, 99))
@example(2, 2, 0)
def test_a_kept_map_is_close_to_the_map_and_at_most_1024_pixels_a_side(height, width, seed):
    scores = smooth_scores(height, width, seed)
    kept = packing.unpack_scores(packing.pack_scores(scores))
    assert kept.shape == (min(1024, height), min(1024, width))
    assert 0 <= kept.min() <= kept.max() <= 1
    again = cv2.resize(kept, (width, height), interpolation=cv2.INTER_LINEAR)
    assert np.abs(again - scores).mean() < 0.01


def test_packing_writes_nothing_into_its_input():
    mask, scores = np.eye(9, dtype=bool), np.linspace(0, 1, 81, dtype=np.float32).reshape(9, 9)
    before = mask.copy(), scores.copy()
    packing.pack_mask(mask)
    packing.pack_scores(scores)
    assert (mask == before[0]).all()
    assert (scores == before[1]).all()


def test_a_megapixel_photo_mask_takes_a_few_kilobytes():
    scores = smooth_scores(1000, 1000)
    assert len(packing.pack_mask(scores >= 0.5)) < 5_000
    assert len(packing.pack_scores(scores)) < 32_000


@pytest.mark.parametrize("cut", [0, 5, 9, 12, -4, -1])
def test_cut_bytes_raise_a_sentence(cut):
    packed = packing.pack_mask(np.eye(50, dtype=bool))
    with pytest.raises(WorkspaceError, match="damaged"):
        packing.unpack_mask(packed[:cut])


def test_every_flipped_byte_is_noticed():
    packed = packing.pack_mask(np.eye(30, dtype=bool))
    for place in range(len(packed)):
        bad = bytearray(packed)
        bad[place] ^= 0x10
        with pytest.raises(WorkspaceError):
            packing.unpack_mask(bytes(bad))


def test_bytes_that_unpack_to_far_more_than_they_announce_take_no_memory():
    body = packing.pack_mask(np.zeros((8, 8), bool))[:9] + zlib.compress(bytes(50_000_000))
    bomb = body + zlib.crc32(body).to_bytes(4, "big")
    tracemalloc.start()
    with pytest.raises(WorkspaceError):
        packing.unpack_mask(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_map_is_not_taken_for_a_mask():
    with pytest.raises(WorkspaceError, match="stored mask"):
        packing.unpack_mask(packing.pack_scores(np.zeros((8, 8), np.float32)))


@pytest.mark.parametrize("size", [(1500, 40), (40, 3000)])
def test_a_kept_map_has_at_most_1024_pixels_a_side(size):
    kept = packing.unpack_scores(packing.pack_scores(smooth_scores(*size)))
    assert kept.shape == (min(1024, size[0]), min(1024, size[1]))


def test_small_maps_are_kept_without_loss_and_larger_ones_are_not():
    noise = (np.random.default_rng(0).integers(0, 256, (64, 64)) / 255).astype(np.float32)
    assert np.array_equal(packing.unpack_scores(packing.pack_scores(noise)), noise)
    wider = np.hstack([noise, noise[:, :1]])
    assert not np.array_equal(packing.unpack_scores(packing.pack_scores(wider)), wider)


def test_a_map_that_is_no_picture_or_another_picture_is_damaged():
    picture = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
    for shape, payload in (((8, 8), b"no picture"), ((9, 8), picture), ((8, 8), b"")):
        with pytest.raises(WorkspaceError, match="stored score map"):
            packing.unpack_scores(packing._seal(b"s", shape, payload))


def test_more_pixels_than_any_picture_has_are_refused_before_they_are_read():
    most = packing._HEADER.pack(b"m", 1 << 15, 1 << 15) + bytes(4)
    assert packing._read_header(most, b"m") == (1 << 15, 1 << 15)
    for kind, rows, columns in ((b"m", 1 << 15, (1 << 15) + 1), (b"s", 8, 8), (b"m", 0, 8)):
        with pytest.raises(WorkspaceError):
            packing._read_header(packing._HEADER.pack(kind, rows, columns) + bytes(4), b"m")
