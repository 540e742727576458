"""Files from elsewhere, read with suspicion: sizes are bounded before memory is taken for them.

Everything that is wrong with a file becomes one ``InputError`` that names the file.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from ..errors import InputError
from ..images import MAX_MEGAPIXELS, SUFFIXES, read_image
from .raster import Points
from .survey import fold

MAX_BYTES = 1 << 29  # of a JSON file
MAX_PERIMETER = 2_000_000  # of the polygons of one object, in pixels
MAX_PIXELS = 4_000_000_000  # of all masks read at once: a byte each in memory

# What parsers and decoders raise on files that are damaged or of another kind.
_DAMAGE = (
    LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, SyntaxError,
    EOFError, zlib.error, struct.error, PIL.Image.DecompressionBombError,
)  # fmt: skip


@contextmanager
def told_of(file: Path) -> Iterator[None]:
    """Turn whatever goes wrong inside the block into a sentence about this file.

    Raises:
        InputError: something went wrong.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"'{file.name}' cannot be read. {error}") from error
    except OSError as error:
        raise InputError(f"'{file}' cannot be read ({error.strerror or error}). Check the path.") from error
    except _DAMAGE as error:
        raise InputError(
            f"'{file.name}' is not a file of this format, or it is damaged. Export it again from its tool."
        ) from error


def only_file(path: Path, *patterns: str) -> Path:
    """The file itself, or the one that a folder holds.

    Raises:
        InputError: there is none, or more than one.
    """
    if path.is_file():
        return path
    for pattern in patterns if path.is_dir() else ():
        found = sorted(path.glob(pattern))
        if len(found) > 1:
            raise InputError(f"'{path}' holds {len(found)} files of this format. Name one of them.")
        if found:
            return found[0]
    raise InputError(f"There is no file of this format at '{path}'. Check the path.")


def load_object(file: Path, *keys: str) -> dict[str, Any]:
    """A JSON object with these keys.

    Raises:
        InputError: too large, not JSON, or without the keys.
    """
    if file.stat().st_size > MAX_BYTES:
        raise InputError(f"It is larger than {MAX_BYTES >> 20} MB. Split it.")
    data = json.loads(file.read_bytes().decode("utf-8-sig"))
    if not isinstance(data, dict) or any(key not in data for key in keys):
        raise InputError(f"It lacks {' or '.join(repr(k) for k in keys)}. Choose a file of this format.")
    return data


def size(height: object, width: object) -> tuple[int, int]:
    """(H, W) of a picture.

    Raises:
        InputError: not whole numbers above 0, or too large.
    """
    rows, columns = _whole(height), _whole(width)
    if rows * columns > MAX_MEGAPIXELS * 1e6:
        raise InputError(f"A picture of {rows} x {columns} is too large. Scale it down.")
    return rows, columns


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"Height and width of a picture are whole numbers above 0; {value!r} was found.")
    return value


def check_total(sizes: Iterable[tuple[int, int]]) -> None:
    """Refuse more masks than fit in memory.

    Raises:
        InputError: together they are too large.
    """
    total = 0
    for height, width in sizes:
        total += height * width
        if total > MAX_PIXELS:
            raise InputError(
                f"It holds more than {MAX_PIXELS // 10**6:,} megapixels of masks. Split it and import one "
                "part at a time."
            )


def polygons(lists: Iterable[Any]) -> list[Points]:
    """(N, 2) x, y each, from flat lists or from lists of pairs.

    Raises:
        InputError: an odd count, fewer than three points, numbers that cannot be in a picture, or lines
            too long to be drawn.
    """
    result, perimeter = [], 0.0
    for values in lists:
        flat = np.array(values, np.float64).reshape(-1)
        if flat.size % 2 or flat.size < 6 or not (np.abs(flat) < 1e6).all():
            raise InputError("A polygon needs three points or more, x and y each, inside its picture.")
        pairs = flat.reshape(-1, 2)
        perimeter += float(np.abs(pairs - np.roll(pairs, 1, axis=0)).sum())
        result.append(pairs.astype(np.float32))
    if perimeter > MAX_PERIMETER:
        raise InputError("The outline of a polygon is too long to be that of an object. Draw it again.")
    return result


def text(value: object) -> str:
    """A text that is not blank.

    Raises:
        InputError: it is blank, or no text.
    """
    if not isinstance(value, str) or not value.strip():
        raise InputError("A name is missing, blank, or not text. Give every label and picture a name.")
    return value


def mapping(value: object) -> dict[str, Any]:
    """An object of a file, or an empty one where there is something else."""
    return value if isinstance(value, dict) else {}


def strings(value: object) -> list[str]:
    """The texts in a list of a file."""
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def picture_facts(
    name: str, size: tuple[int, int], images: Path | None, *, digest: object = None
) -> dict[str, Any]:
    """Fields of a Draft that say which picture it belongs to.

    Args:
        name: as the file gives it. Only its last part is used: a file must not choose paths here.
        size: (H, W) as the file gives it.
        images: the folder of the pictures.
        digest: as the file gives it.

    Raises:
        InputError: the picture has another size.
        ImageError: the picture cannot be read.
    """
    base = re.split(r"[\\/]", name)[-1]
    facts = {"image_name": base, "image_digest": "", "image_path": None}
    if isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest):
        facts["image_digest"] = digest
    if images is None or base in ("", ".", "..") or not (images / base).is_file():
        return facts
    image = read_image(images / base)
    if image.size != size:
        raise InputError(
            f"The picture '{base}' is {image.size[0]} x {image.size[1]} (rows x columns), its masks are "
            f"{size[0]} x {size[1]}. Choose the folder of the pictures that were annotated."
        )
    return facts | {"image_digest": image.digest, "image_path": images / base}


def pictures_by_stem(folder: Path | None) -> dict[str, Path]:
    """Pictures of a folder by name without extension, spelled as ``survey.fold`` does."""
    if folder is None or not folder.is_dir():
        return {}
    return {fold(f.stem): f for f in sorted(folder.iterdir()) if f.suffix.lower() in SUFFIXES}


def png_size(file: Path) -> tuple[int, int]:
    """(H, W) of a PNG, read from its first bytes alone.

    Raises:
        InputError: it is no PNG, or too large.
    """
    with told_of(file):
        with file.open("rb") as stream:
            head = stream.read(24)
        if len(head) < 24 or not head.startswith(b"\x89PNG\r\n\x1a\n"):
            raise InputError("It is not a PNG. Export the mask as PNG.")
        width, height = struct.unpack(">II", head[16:24])
        return size(height, width)
