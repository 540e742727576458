"""The picture that shapes of a file are drawn on: which one it is, its size, and how it is turned."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import decode
from ..errors import InputError
from ..images import MAX_MEGAPIXELS, read_image
from .pictures import Known, Match, Pictures, ambiguous, parts_of
from .provenance import Exported


@dataclass(frozen=True, eq=False)
class Sheet:
    """A picture that shapes are drawn on.

    Attributes:
        sought: its name in the file.
        facts: the fields of a Draft that say which picture it is.
        size: (H, W) in which the file gives coordinates.
        orientation: the EXIF orientation by which masks must be turned; 1: they are upright.
        exported: what this program wrote for the picture, by label.
        own: the file says that this program wrote the picture's entry.
        match: how the picture was found.
    """

    sought: str
    facts: dict[str, Any]
    size: tuple[int, int]
    orientation: int = 1
    exported: dict[str, Exported] = field(default_factory=dict)
    own: bool = False
    match: Match = field(default_factory=Match)


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(H, W) after a picture was turned by its EXIF orientation."""
    return (size[1], size[0]) if orientation in (5, 6, 7, 8) else size


def chosen(name: str, match: Match, digest: str) -> Known | None:
    """The picture that is meant, by its digest where several have the name.

    Raises:
        InputError: several have the name.
    """
    found = match.pictures
    if len(found) > 1 and digest:
        found = tuple(p for p in found if digest == (p.digest or (p.path and read_image(p.path).digest)))
    if len(found) > 1 or (match.pictures and not found):
        raise ambiguous(name, found or match.pictures)
    return found[0] if found else None


def facts_of(
    found: Known | None,
    name: str,
    size: tuple[int, int] | None,
    digest: str,
    pictures: Pictures | None,
) -> tuple[dict[str, Any], tuple[int, int], int]:
    """Fields of a Draft, the size in which the file gives coordinates, and how masks must be turned.

    Args:
        found: the picture, if it is known.
        name: as the file spells it.
        size: (H, W) as the file states it; None if it does not.
        digest: of the picture, as the file states it; empty if it does not.
        pictures: those that may be meant.
    """
    base = parts_of(name)[-1]
    if found is None:
        if size is None:
            lacking = pictures.lacking(name) if pictures else "Name the folder of the pictures."
            raise InputError(
                f"The file does not give the size of '{base}', so its picture is needed. {lacking}"
            )
        return {"image_name": base, "image_digest": digest, "image_path": None}, size, 1
    facts: dict[str, Any] = {"image_name": found.name, "image_path": found.path}
    upright = found.size
    if not found.digest or upright is None:
        assert found.path is not None
        image = read_image(found.path)
        facts["image_digest"], upright = image.digest, image.size
    else:
        facts["image_digest"] = found.digest
    orientation = 1
    if size is not None and size != upright:
        orientation = _orientation(found.path)
        if turned_size(size, orientation) != upright or orientation == 1:
            raise _other_size(found.name, upright, size)
    return facts, size or upright, orientation


def _orientation(path: Path | None) -> int:
    """By which EXIF orientation a stored picture is turned; 1 where it is not, or not known."""
    if path is None or not path.is_file():
        return 1
    with decode.opened(path, path.name, MAX_MEGAPIXELS) as picture:
        return decode.orientation_of(picture)


def _other_size(name: str, picture: tuple[int, int], given: tuple[int, int]) -> InputError:
    ratio = abs(picture[0] * given[1] - picture[1] * given[0]) / (picture[0] * given[1])
    advice = (
        "One of the two was scaled: give the picture" if ratio < 0.02 else "Choose the folder of the pictures"
    )
    return InputError(
        f"The picture '{name}' is {picture[0]} x {picture[1]} (rows x columns), its masks are "
        f"{given[0]} x {given[1]}. {advice} that was annotated."
    )
