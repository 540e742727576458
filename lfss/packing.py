"""Masks, score maps and marks as small byte strings.

A mask is kept bit for bit: eight pixels to a byte, each row as its difference from the row above
(only the outline is left), then deflate. One megapixel takes 2 to 4 kB and 0.3 ms to read.

A score map is kept to answer one question later: what is the mask at another threshold? For that it is
reduced to at most 1,024 pixels a side, the size at which it is made, and kept as a grey JPEG.
"""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import numpy.typing as npt

from .errors import WorkspaceError

SCORE_SIDE = 1024
SCORE_QUALITY = 85  # of the JPEG; 70 loses twice as much and saves a third
SMALL = 4096  # pixels of a map that is kept without loss
MAX_PIXELS = 1 << 30  # a bound before memory is taken for what a damaged byte string announces

_HEADER = struct.Struct(">cII")  # kind, rows, columns; then the pixels, then a checksum over both
_CHECK = struct.Struct(">I")
_KINDS = {b"m": "mask", b"s": "score map", b"o": "map of objects"}
_WORD = 64  # rows are padded to whole words, so that differences run over words


def pack_mask(mask: npt.NDArray[np.bool_]) -> bytes:
    """A (H, W) bool mask as bytes; ``unpack_mask`` returns it bit for bit."""
    rows, columns = mask.shape
    packed = np.zeros((rows, -(-columns // _WORD) * 8), np.uint8)
    packed[:, : -(-columns // 8)] = np.packbits(mask, axis=1)
    words = packed.view(np.uint64)
    outline = words.copy()
    outline[1:] ^= words[:-1]
    return _seal(b"m", (rows, columns), zlib.compress(outline.tobytes(), 6))


def unpack_mask(data: bytes) -> npt.NDArray[np.bool_]:
    """The (H, W) bool mask that ``pack_mask`` was given.

    Raises:
        WorkspaceError: these are not the bytes of a mask.
    """
    (rows, columns), deflated = _open(data, b"m")
    words_across = -(-columns // _WORD)
    raw = _inflate(deflated, rows * words_across * 8)
    outline = np.frombuffer(raw, np.uint64).reshape(rows, words_across)
    words = np.bitwise_xor.accumulate(outline, axis=0)
    return np.unpackbits(words.view(np.uint8), axis=1, count=columns).view(np.bool_)


def pack_objects(numbers: npt.NDArray[np.uint16]) -> bytes:
    """(H, W) numbers of objects as bytes; ``unpack_objects`` returns them as they are."""
    outline = numbers.astype("<u2")
    outline[1:] ^= numbers[:-1].astype("<u2")
    return _seal(b"o", (numbers.shape[0], numbers.shape[1]), zlib.compress(outline.tobytes(), 6))


def unpack_objects(data: bytes) -> npt.NDArray[np.uint16]:
    """The (H, W) numbers that ``pack_objects`` was given.

    Raises:
        WorkspaceError: these are not the bytes of such a map.
    """
    (rows, columns), deflated = _open(data, b"o")
    outline = np.frombuffer(_inflate(deflated, rows * columns * 2), "<u2").reshape(rows, columns)
    return np.bitwise_xor.accumulate(outline, axis=0).astype(np.uint16)


def pack_scores(score: npt.NDArray[np.floating]) -> bytes:
    """A score map as bytes, reduced to at most 1,024 pixels a side and 256 steps.

    Args:
        score: (H, W) in [0, 1].
    """
    size = (min(score.shape[1], SCORE_SIDE), min(score.shape[0], SCORE_SIDE))
    full = cv2.convertScaleAbs(np.ascontiguousarray(score, np.float32), alpha=255)
    steps = cv2.resize(full, size, interpolation=cv2.INTER_AREA)
    if steps.size <= SMALL:  # a few blocks of JPEG are no smaller, and off by more
        _, packed = cv2.imencode(".png", steps)
    else:
        _, packed = cv2.imencode(".jpg", steps, (cv2.IMWRITE_JPEG_QUALITY, SCORE_QUALITY))
    return _seal(b"s", (steps.shape[0], steps.shape[1]), packed.tobytes())


def unpack_scores(data: bytes) -> npt.NDArray[np.float32]:
    """The reduced map, (h, w) in [0, 1] with h and w at most 1,024.

    Raises:
        WorkspaceError: these are not the bytes of a score map.
    """
    shape, packed = _open(data, b"s")
    steps = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_GRAYSCALE) if len(packed) else None
    if steps is None or steps.shape != shape:
        raise _damaged(b"s")
    return steps.astype(np.float32) / np.float32(255)


def pack_marks(known: npt.NDArray[np.int8]) -> bytes:
    """The marks of a support as bytes.

    Args:
        known: (H, W) int8; 1 the object, 0 not the object, -1 unknown.
    """
    return pack_mask(np.vstack([known == 1, known == -1]))


def unpack_marks(data: bytes) -> npt.NDArray[np.int8]:
    """The (H, W) int8 marks that ``pack_marks`` was given.

    Raises:
        WorkspaceError: these are not the bytes of marks.
    """
    both = unpack_mask(data)
    rows, rest = divmod(both.shape[0], 2)
    if rest:
        raise _damaged(b"m")
    return np.where(both[rows:], -1, both[:rows]).astype(np.int8)


def _seal(kind: bytes, shape: tuple[int, int], payload: bytes) -> bytes:
    data = _HEADER.pack(kind, *shape) + payload
    return data + _CHECK.pack(zlib.crc32(data))


def _read_header(data: bytes, kind: bytes) -> tuple[int, int]:
    if len(data) >= _HEADER.size + _CHECK.size:
        found, rows, columns = _HEADER.unpack_from(data)
        if found == kind and 0 < rows * columns <= MAX_PIXELS:
            return rows, columns
    raise _damaged(kind)


def _open(data: bytes, kind: bytes) -> tuple[tuple[int, int], memoryview]:
    """Shape and payload, if they are as they were sealed."""
    shape = _read_header(data, kind)
    body, (check,) = memoryview(data)[: -_CHECK.size], _CHECK.unpack(data[-_CHECK.size :])
    if zlib.crc32(body) != check:
        raise _damaged(kind)
    return shape, body[_HEADER.size :]


def _inflate(deflated: memoryview, length: int) -> bytes:
    """Bytes of exactly that length; never takes memory for more."""
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(deflated, length)
        more = stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error:
        raise _damaged(b"m") from None
    if len(raw) != length or more or not stream.eof:
        raise _damaged(b"m")
    return raw


def _damaged(kind: bytes) -> WorkspaceError:
    return WorkspaceError(
        f"A stored {_KINDS[kind]} is damaged and cannot be read. Undo to an earlier one, or put a copy of "
        "the workspace from before in its place."
    )
