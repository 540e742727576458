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

from lfss import masks
from lfss.errors import WorkspaceError


def shapes(side):
    return arrays.array_shapes(min_dims=2, max_dims=2, max_side=side)


@settings(max_examples=200, deadline=None)
@given(arrays.arrays(np.bool_, shapes(150)))
def test_any_mask_comes_back_bit_for_bit(mask):
    packed = masks.pack_mask(mask)
    back = masks.unpack_mask(packed)
    assert back.dtype == np.bool_
    assert back.shape == mask.shape == masks.mask_size(packed)
    assert (back == mask).all()


@settings(max_examples=50, deadline=None)
@given(
    arrays.arrays(
        np.int8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(-1, 1)
    )
)
def test_any_trimap_comes_back_value_for_value(known):
    back = masks.unpack_known(masks.pack_known(known))
    assert back.dtype == np.int8
    assert (back == known).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900), st.integers(0, 99))
@example(2, 2, 0)
def test_a_kept_map_is_close_to_the_map_and_at_most_640_pixels_a_side(height, width, seed):
    scores = smooth_scores(height, width, seed)
    kept = masks.unpack_scores(masks.pack_scores(scores))
    assert kept.shape == (min(640, height), min(640, width))
    assert 0 <= kept.min() <= kept.max() <= 1
    again = cv2.resize(kept, (width, height), interpolation=cv2.INTER_LINEAR)
    assert np.abs(again - scores).mean() < 0.01


def test_packing_writes_nothing_into_its_input():
    mask, scores = np.eye(9, dtype=bool), np.linspace(0, 1, 81, dtype=np.float32).reshape(9, 9)
    before = mask.copy(), scores.copy()
    masks.pack_mask(mask)
    masks.pack_scores(scores)
    assert (mask == before[0]).all()
    assert (scores == before[1]).all()


def test_a_megapixel_photo_mask_takes_a_few_kilobytes():
    scores = smooth_scores(1000, 1000)
    assert len(masks.pack_mask(scores >= 0.5)) < 5_000
    assert len(masks.pack_scores(scores)) < 16_000


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("size", [(700, 1300), (90, 4000)])
def test_a_mask_from_the_kept_map_is_nearly_the_one_from_the_full_map(size, threshold):
    scores = smooth_scores(*size)
    kept = masks.unpack_scores(masks.pack_scores(scores))
    again, full = masks.mask_at(kept, size, threshold=threshold), scores >= threshold
    assert (again & full).sum() / (again | full).sum() > 0.98


def test_confidence_is_the_mean_score_inside_the_mask():
    scores = np.array([[0.9, 0.7], [0.2, 0.1]], np.float32)
    inside = [scores[r, c] for r in range(2) for c in range(2) if scores[r, c] >= 0.5]
    assert masks.confidence(scores, scores >= 0.5) == pytest.approx(sum(inside) / len(inside))


def test_an_empty_mask_is_sure_when_nothing_comes_near():
    empty = np.zeros((8, 8), bool)
    assert masks.confidence(np.full((4, 4), 0.05, np.float32), empty) == pytest.approx(0.95)
    assert masks.confidence(np.full((4, 4), 0.45, np.float32), empty) == pytest.approx(0.55)


def test_an_empty_mask_is_sure_when_the_object_is_said_to_be_absent():
    empty, high = np.zeros((8, 8), bool), np.full((4, 4), 0.9, np.float32)
    assert masks.confidence(high, empty, presence=0.1) == pytest.approx(0.9)
    assert masks.confidence(high, empty, presence=0.95) == pytest.approx(0.1)


@pytest.mark.parametrize("cut", [0, 5, 9, 12, -4, -1])
def test_cut_bytes_raise_a_sentence(cut):
    packed = masks.pack_mask(np.eye(50, dtype=bool))
    with pytest.raises(WorkspaceError, match="damaged"):
        masks.unpack_mask(packed[:cut])


def test_every_flipped_byte_is_noticed():
    packed = masks.pack_mask(np.eye(30, dtype=bool))
    for place in range(len(packed)):
        bad = bytearray(packed)
        bad[place] ^= 0x10
        with pytest.raises(WorkspaceError):
            masks.unpack_mask(bytes(bad))


def test_bytes_that_unpack_to_far_more_than_they_announce_take_no_memory():
    body = masks.pack_mask(np.zeros((8, 8), bool))[:9] + zlib.compress(bytes(50_000_000))
    bomb = body + zlib.crc32(body).to_bytes(4, "big")
    tracemalloc.start()
    with pytest.raises(WorkspaceError):
        masks.unpack_mask(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_map_is_not_taken_for_a_mask():
    with pytest.raises(WorkspaceError, match="stored mask"):
        masks.unpack_mask(masks.pack_scores(np.zeros((8, 8), np.float32)))
