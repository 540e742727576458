"""Masks as run lengths, in the three dialects that annotation tools speak.

- COCO: column by column over the whole picture, as a list or as a string.
- CVAT: row by row over the smallest box around the object.
- Label Studio: row by row over four equal channels, packed into a stream of bits.

Every list of counts starts with the zeros, so its first entry is 0 where the first pixel is set.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import InputError

Mask = npt.NDArray[np.bool_]

_STRING_BITS = 5  # of a count in each character of a COCO string; a sixth bit says "goes on"
_STRING_ZERO = 48  # the character "0"
_BRUSH_SIZES = (3, 4, 8, 16)  # bits that a Label Studio run length may take
_BRUSH_LONGEST = 1 << _BRUSH_SIZES[-1]
_BRUSH_CHANNELS = 4


def runs(values: Mask) -> npt.NDArray[np.int64]:
    """Lengths of the runs in (N,) values, zeros first; they add up to N."""
    flat = values.view(np.uint8)
    turns = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.concatenate((turns, [flat.size])) if flat.size else turns
    counts = np.diff(ends, prepend=0)
    return np.concatenate(([0], counts)) if flat.size and flat[0] else counts


def from_runs(counts: npt.NDArray[np.int64], size: int) -> Mask:
    """(size,) values from the lengths of their runs, zeros first.

    Raises:
        InputError: a length is negative, or they do not add up to the size.
    """
    if (counts < 0).any() or (counts > size).any() or counts.sum() != size:
        raise InputError(
            f"A run-length mask does not fit its picture of {size} pixels. Export it again from its tool."
        )
    return np.repeat(np.arange(counts.size) % 2 == 1, counts)


def coco_counts(mask: Mask) -> npt.NDArray[np.int64]:
    """COCO run lengths of a (H, W) mask, column by column."""
    return runs(cv2.transpose(np.ascontiguousarray(mask).view(np.uint8)).reshape(-1).view(np.bool_))


def from_coco_counts(counts: npt.NDArray[np.int64], size: tuple[int, int]) -> Mask:
    """(H, W) mask from COCO run lengths and its size.

    Raises:
        InputError: the counts do not fit the size.
    """
    height, width = size
    columns = from_runs(counts, height * width).reshape(width, height)
    return np.ascontiguousarray(columns.T)


def to_string(counts: npt.NDArray[np.int64]) -> str:
    """COCO's short spelling of run lengths (N,): differences to the count before last, 5 bits a character."""
    values = counts.astype(np.int64)
    values[3:] -= counts[1:-2]
    # Signed, least significant bits first: as many characters as hold the value and its sign.
    magnitude = np.where(values < 0, ~values, values)
    length = np.ones(values.shape, np.int64)
    while (longer := magnitude >> (_STRING_BITS * length - 1) > 0).any():
        length += longer
    place = np.arange(length.max(initial=0))
    characters = (values[:, None] >> (_STRING_BITS * place)) & 31
    characters |= np.where(place < length[:, None] - 1, 32, 0)
    return (characters[place < length[:, None]] + _STRING_ZERO).astype(np.uint8).tobytes().decode("ascii")


def from_string(text: str) -> npt.NDArray[np.int64]:
    """Run lengths, (N,) int64, from COCO's short spelling.

    Raises:
        InputError: a character that the spelling does not have, or a count cut short.
    """
    codes = np.frombuffer(text.encode(errors="replace"), np.uint8).astype(np.int64) - _STRING_ZERO
    ends = (codes & 32) == 0
    if codes.size == 0:
        return codes
    if (codes < 0).any() or (codes > 63).any() or not ends[-1]:
        raise InputError(
            "A COCO run-length string is damaged or cut short. Export the file again from its tool."
        )
    starts = np.flatnonzero(np.concatenate(([True], ends[:-1])))
    length = np.diff(starts, append=codes.size)
    if length.max() > 12:
        raise InputError("A COCO run-length string holds a count that is far too large. Export it again.")
    place = np.arange(codes.size) - np.repeat(starts, length)
    values = np.add.reduceat((codes & 31) << (_STRING_BITS * place), starts)
    negative = codes[ends] & 16 > 0
    values -= np.where(negative, np.int64(1) << (_STRING_BITS * length), 0)
    counts = values.copy()
    counts[1::2] = np.cumsum(values[1::2])
    counts[2::2] = np.cumsum(values[2::2])
    return counts


def bounds(mask: Mask) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the smallest box around a mask; zeros where it is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return 0, 0, 0, 0
    top, bottom = int(rows[0]), int(rows[-1])
    columns = np.flatnonzero(mask[top : bottom + 1].any(axis=0))
    left, right = int(columns[0]), int(columns[-1])
    return top, left, bottom - top + 1, right - left + 1


def crop_counts(mask: Mask) -> tuple[npt.NDArray[np.int64], tuple[int, int, int, int]]:
    """CVAT run lengths of a mask, row by row over its own box.

    Returns:
        Counts, and (top, left, height, width) of the box.
    """
    top, left, height, width = box = bounds(mask)
    crop = np.ascontiguousarray(mask[top : top + height, left : left + width])
    return runs(crop.reshape(-1)), box


def brush(mask: Mask) -> list[int]:
    """Label Studio's brush format of a (H, W) mask: bytes of a bit stream, as integers.

    The stream holds H * W * 4 values of 8 bits, 255 inside and 0 outside, as runs: a bit 1, two bits
    for the size of the length, the length less one, the value.
    """
    counts = runs(np.ascontiguousarray(mask).reshape(-1)) * _BRUSH_CHANNELS
    inside = np.arange(counts.size) % 2 == 1
    pieces = -(-counts // _BRUSH_LONGEST)
    inside = np.repeat(inside, pieces)
    length = np.full(inside.size, _BRUSH_LONGEST)
    last = np.cumsum(pieces)[counts > 0] - 1
    length[last] = (counts[counts > 0] - 1) % _BRUSH_LONGEST + 1

    size = np.searchsorted([1 << bits for bits in _BRUSH_SIZES], length)
    bits = np.take(_BRUSH_SIZES, size)
    code = ((4 + size) << bits | (length - 1)) << 8 | np.where(inside, 255, 0)
    head = [(mask.size * _BRUSH_CHANNELS, 32), (8 - 1, 5), *((b - 1, 4) for b in _BRUSH_SIZES)]
    codes = np.concatenate(([c for c, _ in head], code)).astype(np.int64)
    widths = np.concatenate(([w for _, w in head], 3 + bits + 8)).astype(np.int64)
    return _pack(codes, widths).tolist()


def from_brush(stream: Sequence[int], size: tuple[int, int]) -> Mask:
    """(H, W) mask from Label Studio's brush format: what is at least half opaque.

    Raises:
        InputError: the stream is damaged, or of another size.
    """
    octets = np.array(stream, np.int64)
    if octets.ndim != 1 or (octets < 0).any() or (octets > 255).any():
        raise InputError("A brush stroke is not a list of bytes. Export the file again from its tool.")
    bits = "".join(format(b, "08b") for b in octets.tolist())
    at = 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return int(bits[at - count : at], 2)

    total, word = take(32), take(5) + 1
    widths = [take(4) + 1 for _ in _BRUSH_SIZES]
    if total != size[0] * size[1] * _BRUSH_CHANNELS or word != 8:
        raise InputError(
            f"A brush stroke holds {total // _BRUSH_CHANNELS} pixels, its picture {size[0] * size[1]}. "
            "Choose the picture that was annotated."
        )
    values: list[int] = []
    lengths: list[int] = []
    left = total
    while left > 0:
        run, width = take(1), widths[take(2)]
        length = take(width) + 1
        if length > left:
            raise InputError("A brush stroke is damaged: it runs beyond its picture. Export it again.")
        left -= length
        values += [take(word)] if run else [take(word) for _ in range(length)]
        lengths += [length] if run else [1] * length
    flat = np.repeat(np.array(values, np.uint8), lengths)
    return np.ascontiguousarray(flat[_BRUSH_CHANNELS - 1 :: _BRUSH_CHANNELS].reshape(size) > 127)


def _pack(codes: npt.NDArray[np.int64], widths: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Codes of given widths in bits, most significant bit first, one after another."""
    starts = np.cumsum(widths) - widths
    owner = np.repeat(np.arange(codes.size), widths)
    place = np.arange(widths.sum()) - starts[owner]
    return np.packbits((codes[owner] >> (widths[owner] - 1 - place)) & 1)
