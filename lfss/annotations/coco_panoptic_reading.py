"""COCO panoptic read: the list of segments and the PNG files whose colours are their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import decode
from ..drafts import Draft, Status
from ..errors import InputError
from ..images import MAX_MEGAPIXELS
from . import reading
from .intake import Intake
from .pictures import Pictures, parts_of
from .report import Report
from .sheets import Sheet


def read(
    path: Path,
    *,
    images: Path | Pictures | None = None,
    status: Status | None = None,
    report: Report | None = None,
) -> list[Draft]:
    """Read COCO panoptic, from this program or another.

    Args:
        path: the JSON file, beside which a folder of its name holds the PNG files; or the folder with it
            in ``annotations``.
        images: the folder of the pictures; by default ``images`` in the folder.
        status: of all drafts; by default what the file says, and ``accepted`` where it does not tell.
        report: takes what is left out; without it the first such thing is an error.

    Returns:
        A draft for each picture and label, and one for each label that is said to be absent.

    Raises:
        InputError: not such a file, damaged, or too large.
    """
    file = reading.only_file(path, "annotations/panoptic_*.json", "panoptic*.json", "*.json")
    folder = path if path.is_dir() else None
    intake = Intake(Pictures.of(images, folder and folder / "images"), status=status, report=report)
    with reading.about_file(file):
        data = reading.load_object(file, "images", "annotations", "categories")
        maps = file.with_suffix("") if file.with_suffix("").is_dir() else file.parent
        names = {str(c["id"]): c.get("name") for c in data["categories"]}
        entries = {str(e["id"]): e for e in data["images"]}
        for place, annotation in enumerate(data["annotations"], start=1):
            with intake.entry(f"'{file.name}', annotation {place}"):
                entry = entries.get(str(annotation["image_id"]))
                if entry is None:
                    raise InputError(f"Its image_id {annotation['image_id']!r} is not in the list of images.")
                _read_map(
                    annotation, entry, names, maps, intake, f"'{file.name}', '{entry.get('file_name')}'"
                )
    return intake.drafts()


def _read_map(
    annotation: dict[str, Any],
    entry: dict[str, Any],
    names: dict[str, Any],
    maps: Path,
    intake: Intake,
    where: str,
) -> None:
    own = reading.mapping(entry.get("lfss"))
    segments = annotation["segments_info"]
    numbers = None
    size = reading.size_if_given(entry.get("height"), entry.get("width"))
    if segments or own.get("exported"):
        # Only the last part of the name: a file must not choose paths.
        numbers = _numbers(maps / parts_of(reading.text(annotation["file_name"]))[-1])
        size = size or (numbers.shape[0], numbers.shape[1])
    sheet = intake.picture(
        reading.text(entry["file_name"]),
        size,
        digest=own.get("digest"),
        also=[own["original"]] if isinstance(own.get("original"), str) else [],
        exported=own.get("exported"),
        own="digest" in own,
    )
    if numbers is not None:
        if numbers.shape != sheet.size:
            raise InputError("Its PNG has another size than its picture.")
        _add_segments(segments, numbers, sheet, names, intake, where)
    intake.absent(sheet, own.get("absent"))


def _add_segments(
    segments: list[dict[str, Any]],
    numbers: npt.NDArray[np.int32],
    sheet: Sheet,
    names: dict[str, Any],
    intake: Intake,
    where: str,
) -> None:
    there = set(np.unique(numbers).tolist())
    for segment in segments:
        with intake.entry(f"{where}, segment {segment.get('id')}"):
            label = names.get(str(segment["category_id"]))
            if label is None:
                raise InputError(f"Its category_id {segment['category_id']!r} is not in the categories.")
            if segment["id"] in there:
                attributes = reading.mapping(segment.get("attributes"))
                intake.add(sheet, label, numbers == segment["id"], attributes, group=segment["id"])
            elif not sheet.own:
                raise InputError("Its number is no colour of the PNG.")


def _numbers(file: Path) -> npt.NDArray[np.int32]:
    """(H, W) segment numbers of a PNG: R + 256 G + 65536 B."""
    with decode.opened(file, file.name, MAX_MEGAPIXELS) as picture:
        if picture.format != "PNG":
            raise InputError(f"'{file.name}' is not a PNG: other files do not keep the numbers.")
        channels = np.asarray(picture.convert("RGB")).astype(np.int32)
    return channels[..., 0] | channels[..., 1] << 8 | channels[..., 2] << 16
