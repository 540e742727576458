"""Masks, score maps and trimaps as small byte strings, and what follows from a score map.

A mask is kept bit for bit: eight pixels to a byte, each row as its difference from the row above
(only the outline is left), then deflate. One megapixel takes 2 to 4 kB and 0.3 ms to read.

A score map is kept to answer one question later: what is the mask at another threshold? For that
it is reduced to at most 128 x 128 cells of 256 steps, about 4 kB. Networks make their maps on
coarser grids than that and enlarge them, so little is lost: a mask read from the kept map overlaps
the one from the full map by 0.99 and more, except where the map is nearly flat.
"""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import numpy.typing as npt

from .errors import WorkspaceError

SCORE_CELLS = 128
MAX_PIXELS = 1 << 30  # a bound before memory is taken for what a damaged byte string announces

_HEADER = struct.Struct(">cII")  # kind, rows, columns; then the pixels, then a checksum over both
_CHECK = struct.Struct(">I")
_KINDS = {b"m": "mask", b"s": "score map"}
_WORD = 64  # rows are padded to whole words, so that differences run over words


def pack_mask(mask: npt.NDArray[np.bool_]) -> bytes:
    """A (H, W) bool mask as bytes; ``unpack_mask`` returns it bit for bit."""
    rows, columns = mask.shape
    packed = np.zeros((rows, -(-columns // _WORD) * 8), np.uint8)
    packed[:, : -(-columns // 8)] = np.packbits(mask, axis=1)
    words = packed.view(np.uint64)
    outline = words.copy()
    outline[1:] ^= words[:-1]
    return _seal(b"m", (rows, columns), outline)


def unpack_mask(data: bytes) -> npt.NDArray[np.bool_]:
    """The (H, W) bool mask that ``pack_mask`` was given.

    Raises:
        WorkspaceError: these are not the bytes of a mask.
    """
    rows, columns = _read_header(data, b"m")
    words_across = -(-columns // _WORD)
    raw = _inflate(data, rows * words_across * 8, b"m")
    outline = np.frombuffer(raw, np.uint64).reshape(rows, words_across)
    words = np.bitwise_xor.accumulate(outline, axis=0)
    return np.unpackbits(words.view(np.uint8), axis=1, count=columns).view(np.bool_)


def mask_size(data: bytes) -> tuple[int, int]:
    """(H, W) of a packed mask, read from its first bytes alone."""
    return _read_header(data, b"m")


def pack_scores(score: npt.NDArray[np.floating]) -> bytes:
    """A score map as bytes, reduced to at most 128 x 128 cells and 256 steps.

    Args:
        score: (H, W) in [0, 1].
    """
    cells = (min(score.shape[1], SCORE_CELLS), min(score.shape[0], SCORE_CELLS))
    small = cv2.resize(np.ascontiguousarray(score, np.float32), cells, interpolation=cv2.INTER_AREA)
    steps = np.rint(small.clip(0, 1) * 255).astype(np.uint8)
    change = steps.copy()
    change[1:] -= steps[:-1]  # wraps around; so does the sum that undoes it
    across = change.copy()
    across[:, 1:] -= change[:, :-1]
    return _seal(b"s", (steps.shape[0], steps.shape[1]), across)


def unpack_scores(data: bytes) -> npt.NDArray[np.float32]:
    """The reduced map, (h, w) in [0, 1] with h and w at most 128.

    Raises:
        WorkspaceError: these are not the bytes of a score map.
    """
    rows, columns = _read_header(data, b"s")
    across = np.frombuffer(_inflate(data, rows * columns, b"s"), np.uint8).reshape(rows, columns)
    steps = np.add.accumulate(np.add.accumulate(across, axis=1, dtype=np.uint8), axis=0, dtype=np.uint8)
    return steps.astype(np.float32) / np.float32(255)


def pack_known(known: npt.NDArray[np.int8]) -> bytes:
    """What is known of a support as bytes.

    Args:
        known: (H, W) int8; 1 the object, 0 not the object, -1 unknown.
    """
    return pack_mask(np.vstack([known == 1, known == -1]))


def unpack_known(data: bytes) -> npt.NDArray[np.int8]:
    """The (H, W) int8 trimap that ``pack_known`` was given.

    Raises:
        WorkspaceError: these are not the bytes of a trimap.
    """
    both = unpack_mask(data)
    rows, rest = divmod(both.shape[0], 2)
    if rest:
        raise _damaged(b"m")
    return np.where(both[rows:], -1, both[:rows]).astype(np.int8)


def mask_at(
    scores: npt.NDArray[np.float32], size: tuple[int, int], *, threshold: float
) -> npt.NDArray[np.bool_]:
    """The mask of a picture where its score map reaches a threshold.

    Args:
        scores: (h, w) in [0, 1], of any size.
        size: (H, W) of the picture in pixels.
        threshold: a larger one gives a smaller mask.

    Returns:
        (H, W) bool.
    """
    full = cv2.resize(scores, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return full >= threshold


def confidence(scores: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_]) -> float:
    """How sure a score map is of a mask, in [0, 1].

    The mean score inside the mask. For an empty mask it is how far the highest score stays below 1,
    so a picture that shows nothing like the object counts as sure.

    Args:
        scores: (h, w) in [0, 1]; enlarged to the mask where it is smaller.
        mask: (H, W) bool.
    """
    if not mask.any():
        return float(1 - scores.max())
    if scores.shape != mask.shape:
        size = (mask.shape[1], mask.shape[0])
        scores = np.asarray(cv2.resize(scores, size, interpolation=cv2.INTER_LINEAR), np.float32)
    return float(scores[mask].mean(dtype=np.float64).clip(0, 1))


def _seal(kind: bytes, shape: tuple[int, int], pixels: npt.NDArray) -> bytes:
    data = _HEADER.pack(kind, *shape) + zlib.compress(pixels.tobytes(), 6)
    return data + _CHECK.pack(zlib.crc32(data))


def _read_header(data: bytes, kind: bytes) -> tuple[int, int]:
    if len(data) >= _HEADER.size + _CHECK.size:
        found, rows, columns = _HEADER.unpack_from(data)
        if found == kind and 0 < rows * columns <= MAX_PIXELS:
            return rows, columns
    raise _damaged(kind)


def _inflate(data: bytes, length: int, kind: bytes) -> bytes:
    """The pixels, if they are whole and of exactly that length; never takes memory for more."""
    body, (check,) = memoryview(data)[: -_CHECK.size], _CHECK.unpack(data[-_CHECK.size :])
    if zlib.crc32(body) != check:
        raise _damaged(kind)
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(body[_HEADER.size :], length)
        more = stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error:
        raise _damaged(kind) from None
    if len(raw) != length or more or not stream.eof:
        raise _damaged(kind)
    return raw


def _damaged(kind: bytes) -> WorkspaceError:
    return WorkspaceError(
        f"A stored {_KINDS[kind]} is damaged and cannot be read. Undo to an earlier one, or put a copy of "
        "the workspace from before in its place."
    )
