"""Files from elsewhere, read with suspicion: sizes are bounded before memory is taken for them.

Everything that is wrong with a file becomes one ``InputError`` that names the file.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from ..errors import InputError
from ..files import read_bytes
from ..images import MAX_MEGAPIXELS
from ..text import decode
from .raster import Points

MAX_BYTES = 1 << 29  # of a JSON file
MAX_PERIMETER = 2_000_000  # of the polygons of one object, in pixels
MAX_PIXELS = 4_000_000_000  # of all masks read at once: a byte each in memory

# What parsers and decoders raise on files that are damaged or of another kind.
DAMAGE = (
    LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, SyntaxError,
    EOFError, zlib.error, struct.error, PIL.Image.DecompressionBombError,
)  # fmt: skip


class TooMuch(InputError):
    """More masks than fit into memory: no single entry is to blame."""

    def __init__(self) -> None:
        super().__init__(
            f"It holds more than {MAX_PIXELS // 10**6:,} megapixels of masks. Split it and import one "
            "part at a time."
        )


class OtherFile(InputError):
    """A file that is well-formed and of another kind."""


@contextmanager
def about_file(file: Path) -> Iterator[None]:
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
    except DAMAGE as error:
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


def files_below(folder: Path, *endings: str) -> list[Path]:
    """Files with one of these endings in a folder and the folders below it, sorted; none that are hidden."""
    found = (f for f in sorted(folder.rglob("*")) if f.suffix.lower() in endings and f.is_file())
    return [f for f in found if not any(p.startswith(".") for p in f.relative_to(folder).parts)]


def read_text(file: Path) -> str:
    """The text of a file.

    Raises:
        InputError: it cannot be opened, is too large, or is in an encoding that is not known.
    """
    return decode(read_bytes(file, most=MAX_BYTES), "It")


def load_object(file: Path, *keys: str) -> dict[str, Any]:
    """A JSON object with these keys.

    Raises:
        OtherFile: without the keys.
        InputError: too large, or not JSON.
    """
    try:
        data = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise InputError(
            f"It is not JSON (line {error.lineno}), or it is cut short. Export it again."
        ) from error
    if not isinstance(data, dict) or any(key not in data for key in keys):
        raise OtherFile(f"It lacks {' or '.join(repr(k) for k in keys)}. Choose a file of this format.")
    return data


def size(height: object, width: object) -> tuple[int, int]:
    """(H, W) of a picture.

    Raises:
        InputError: not whole numbers above 0, or too large.
    """
    found = size_if_given(height, width)
    if found is None:
        raise InputError(
            f"Height and width of a picture are whole numbers above 0; {height!r} and {width!r} were found."
        )
    return found


def size_if_given(height: object, width: object) -> tuple[int, int] | None:
    """(H, W) of a picture; None where a file leaves it open: missing, null or 0.

    Raises:
        InputError: not whole numbers, below 0, or too large.
    """
    rows, columns = whole(height), whole(width)
    if not rows or not columns:
        return None
    if rows * columns > MAX_MEGAPIXELS * 1e6:
        raise InputError(f"A picture of {rows} x {columns} is too large. Scale it down.")
    return rows, columns


def whole(value: object) -> int:
    """A whole number from 0, also from ``160.0`` and ``"160"``, which other programs write; None is 0.

    Raises:
        InputError: it is something else.
    """
    if value is None:
        return 0
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1
    except (ValueError, OverflowError):
        number = -1
    if not 0 <= number < 1e9 or number != int(number):
        raise InputError(f"Height and width of a picture are whole numbers above 0; {value!r} was found.")
    return int(number)


def check_total(sizes: Iterable[tuple[int, int]]) -> None:
    """Refuse more masks than fit in memory.

    Raises:
        TooMuch: together they are too large.
    """
    total = 0
    for height, width in sizes:
        total += height * width
        if total > MAX_PIXELS:
            raise TooMuch()


def polygons(lists: Iterable[Any]) -> list[Points]:
    """(N, 2) x, y each, from flat lists or from lists of pairs.

    Raises:
        InputError: an odd count, fewer than three points, numbers that cannot be in a picture, or lines
            too long to be drawn.
    """
    result = []
    for values in lists:
        flat = np.array(values, np.float64).reshape(-1)
        if flat.size % 2:
            raise InputError(
                f"A polygon has x and y for each point, so an even count of numbers; it has {flat.size}."
            )
        if flat.size < 6:
            raise InputError(f"A polygon needs three points or more; it has {flat.size // 2}.")
        if not (np.abs(flat) < 1e6).all():
            raise InputError("A polygon has numbers that cannot lie in a picture. Draw it again.")
        result.append(flat.reshape(-1, 2).astype(np.float32))
    check_perimeter(result)
    return result


def check_perimeter(rings: Sequence[Points]) -> None:
    """Refuse polygons, (N, 2) x, y each, whose lines are too long to be drawn in a sensible time.

    Raises:
        InputError: they are.
    """
    length = sum(float(np.abs(ring - np.roll(ring, 1, axis=0)).sum(dtype=np.float64)) for ring in rings)
    if length > MAX_PERIMETER:
        raise InputError("The outline of a polygon is too long to be that of an object. Draw it again.")


def check_pixels(rings: Sequence[Points], picture: tuple[int, int], *, own: bool) -> None:
    """Refuse coordinates that are shares of the picture where pixels are meant.

    Args:
        rings: the polygons of one object.
        picture: (H, W) in pixels.
        own: this program wrote the polygons: a single pixel in the corner is possible.

    Raises:
        InputError: all coordinates lie between 0 and 1.
    """
    if not rings or min(picture) <= 2:
        return
    values = np.concatenate(rings)
    if (values >= 0).all() and (values <= 1).all() and not (own and (values * 2 % 1 == 0).all()):
        raise InputError(
            "All its coordinates lie between 0 and 1: they look like shares of the picture, where "
            "this format has pixels. Multiply x by the width and y by the height, or export it again."
        )


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


def is_digest(value: str) -> bool:
    """Whether a text is a SHA-256 as this program writes it."""
    return re.fullmatch("[0-9a-f]{64}", value) is not None
