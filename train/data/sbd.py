"""SBD's masks as PNGs: the larger training list of PASCAL-5i, ``trainaug``.

SBD (Semantic Boundaries Dataset) outlines 11,355 pictures of VOC 2012 and stores them as MATLAB files. What
the field trains on is VOC's own ``train`` list and all pictures of SBD that are not in VOC's ``val``:
10,582. The pictures themselves are VOC's; only masks and the list are made here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image
from tqdm import tqdm

from lfss.annotations.palette import colours
from lfss.atomic import write_atomically
from lfss.errors import InputError

from .datasets import write_text

FOLDER = Path("benchmark_RELEASE") / "dataset"  # in SBD's archive
VOC = Path("VOCdevkit") / "VOC2012"  # in VOC's

_MATRIX, _COMPRESSED, _STRUCT, _UINT8 = 14, 15, 2, 9
_HEADER = 128
_LARGEST = 1 << 26  # bytes of one unpacked variable; a mask has a quarter of a million

Element = tuple[int, memoryview]


def read_sbd_mask(path: Path) -> npt.NDArray[np.uint8]:
    """The class map of one of SBD's files, (H, W) uint8: 0 is background, 1 to 20 are VOC's classes.

    Reads the fifth version of MATLAB's format as far as these files use it: a structure ``GTcls`` with a
    field ``Segmentation``.

    Raises:
        InputError: the file is not one of these.
    """
    try:
        data = memoryview(path.read_bytes())[_HEADER:]
        for kind, content in _elements(data):
            if kind == _COMPRESSED:
                unpacker = zlib.decompressobj()
                unpacked = unpacker.decompress(content, _LARGEST)
                kind, content = next(_elements(memoryview(unpacked)))
            name, fields = _structure(content) if kind == _MATRIX else ("", {})
            if name == "GTcls" and "Segmentation" in fields:
                return _bytes_of(fields["Segmentation"])
    except (zlib.error, struct.error, StopIteration, ValueError, IndexError) as error:
        raise InputError(f"'{path}' is no file of SBD ({error!r}). Unpack the archive again.") from error
    raise InputError(f"'{path}' holds no structure GTcls with a Segmentation. Unpack the archive again.")


def convert(root: Path) -> Path:
    """Make ``SegmentationClassAug`` and the list ``trainaug`` from the unpacked archives of VOC and SBD.

    What is there already is not made again.

    Args:
        root: holds ``VOCdevkit`` and ``benchmark_RELEASE``.

    Returns:
        The list.

    Raises:
        InputError: an archive is missing or a mask cannot be read.
    """
    voc, sbd = root / VOC, root / FOLDER
    lists = voc / "ImageSets" / "Segmentation"
    train, val = (_names(lists / f"{split}.txt") for split in ("train", "val"))
    drawn = {name for split in ("train", "val") for name in _names(sbd / f"{split}.txt")} - set(val)
    folder = voc / "SegmentationClassAug"
    folder.mkdir(parents=True, exist_ok=True)
    # VOC's own masks are finer and know the border; SBD's are used where VOC has none.
    for name in tqdm(sorted(drawn - set(train)), desc="SBD masks", unit="mask"):
        target = folder / f"{name}.png"
        if not target.exists():
            save_mask(read_sbd_mask(sbd / "cls" / f"{name}.mat"), target)
    path = lists / "trainaug.txt"
    write_text(path, "".join(f"{name}\n" for name in sorted(drawn | set(train))))
    return path


def save_mask(classes: npt.NDArray[np.uint8], path: Path) -> None:
    """Write (H, W) class numbers as a palette PNG, as VOC does."""
    image = PIL.Image.fromarray(classes)
    image.putpalette([value for colour in colours() for value in colour])
    write_atomically(path, lambda part: image.save(part, "png"))


def _names(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(
            f"There is no list '{path}'. Unpack the archives of VOC 2012 and SBD below one folder."
        )
    return path.read_text(encoding="utf-8").split()


def _elements(data: memoryview) -> Iterator[Element]:
    """Type and content of one element after the other."""
    place = 0
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<II", data, place)
        if kind >> 16:  # up to four bytes stand in the tag itself
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise ValueError("a small element of more than four bytes")
            yield kind, data[place + 4 : place + 4 + size]
            place += 8
            continue
        place += 8
        if place + size > len(data):
            raise ValueError("an element is cut short")
        yield kind, data[place : place + size]
        place += size if kind == _COMPRESSED else size + -size % 8


def _structure(content: memoryview) -> tuple[str, dict[str, memoryview]]:
    """Name of a variable and, if it is a structure, its fields' matrices."""
    flags, _, name, *rest = _elements(content)
    if flags[1][0] != _STRUCT:
        return bytes(name[1]).decode("latin-1"), {}
    length, names, *values = rest
    (size,) = struct.unpack("<i", length[1])
    if size <= 0:
        raise ValueError("field names of no length")
    starts = range(0, len(names[1]), size)
    keys = [bytes(names[1][i : i + size]).split(b"\0")[0].decode("latin-1") for i in starts]
    return bytes(name[1]).decode("latin-1"), dict(zip(keys, (value for _, value in values)))


def _bytes_of(content: memoryview) -> npt.NDArray[np.uint8]:
    """A matrix of bytes, (rows, columns)."""
    flags, size, _, values = _elements(content)
    if flags[1][0] != _UINT8 or len(size[1]) != 8:
        raise ValueError("the Segmentation is no matrix of bytes")
    rows, columns = struct.unpack("<ii", size[1])
    if rows <= 0 or columns <= 0 or rows * columns != len(values[1]):
        raise ValueError(f"{len(values[1])} values for {rows} x {columns}")
    return np.frombuffer(values[1], np.uint8).reshape(columns, rows).T.copy()  # column by column
