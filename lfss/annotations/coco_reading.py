"""COCO instances read: from this program, or as the many programs that say COCO write them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..drafts import Draft, Status
from ..errors import InputError
from . import reading
from .intake import Intake
from .pictures import Pictures
from .raster import Points, draw
from .report import Report
from .rle import Mask, from_coco_counts, from_string
from .sheets import Sheet

_KEYS = ("images", "annotations", "categories")


def read(
    path: Path,
    *,
    images: Path | Pictures | None = None,
    status: Status | None = None,
    report: Report | None = None,
) -> list[Draft]:
    """Read COCO instances, from this program or another.

    Args:
        path: the JSON file, or a folder with such files in it or under ``annotations``.
        images: the folder of the pictures; by default ``images`` in the folder. Names, sizes and
            digests are read from them. Without any, drafts have the digest that the file tells, or "".
        status: of all drafts; by default what the file says, and ``accepted`` where it does not tell.
        report: takes what is left out; without it the first such thing is an error.

    Returns:
        A draft for each picture and label, and one for each label that is said to be absent.

    Raises:
        InputError: not such a file, damaged, or too large.
    """
    files = _files(path)
    folder = path if path.is_dir() else None
    intake = Intake(Pictures.of(images, folder and folder / "images"), status=status, report=report)
    for file in files:
        with reading.about_file(file):
            data = reading.load_object(file, *_KEYS)
            # instances_train.json: the pictures of this file may lie in a folder of the same name.
            subset = file.stem.partition("_")[2] if len(files) > 1 else ""
            _read_file(data, intake, file.name, subset)
    return intake.drafts()


def _files(path: Path) -> list[Path]:
    for pattern in ("annotations/instances_*.json", "annotations/*.json", "*/_annotations.coco.json"):
        if path.is_dir() and (found := sorted(path.glob(pattern))):
            return found
    return [reading.only_file(path, "*.json")]


def _read_file(data: dict[str, Any], intake: Intake, file: str, subset: str) -> None:
    names = {_key(c.get("id")): c.get("name") for c in data["categories"] if isinstance(c, dict)}
    entries = {_key(i["id"]): i for i in data["images"]}
    sheets: dict[str, Sheet | None] = {}

    def sheet_of(key: str) -> Sheet | None:
        if key not in sheets:
            sheets[key] = None
            with intake.entry(f"'{file}', {_name_of(entries[key])}"):
                sheets[key] = _sheet(intake, entries[key], subset)
        return sheets[key]

    without = Counter[str]()
    for place, shape in enumerate(data["annotations"]):
        where = f"'{file}', annotation {_number(shape, place)}"
        with intake.entry(where):
            key = _key(shape.get("image_id"))
            if key not in entries:
                raise InputError(f"Its image_id {shape.get('image_id')!r} is not in the list of images.")
            where = f"{where} on {_name_of(entries[key])}"
        if key not in entries:
            continue
        with intake.entry(where):
            if _nothing(shape.get("segmentation")):
                without["box" if shape.get("bbox") else "shape"] += 1
                continue
            category = _key(shape.get("category_id"))
            if category not in names:
                raise InputError(f"Its category_id {shape.get('category_id')!r} is not in the categories.")
            if sheet := sheet_of(key):
                attributes = reading.mapping(shape.get("attributes")) | {"score": shape.get("score")}
                mask = _mask(shape["segmentation"], sheet.size, intake, where, own="model" in attributes)
                intake.add(sheet, names[category], mask, attributes)
    if without:
        intake.pass_over(
            f"'{file}': {sum(without.values())} annotations have no outline (boxes or points alone)."
        )
    for key, entry in entries.items():
        own = reading.mapping(entry.get("lfss"))
        if (own.get("absent") or own.get("exported")) and (sheet := sheet_of(key)):
            intake.absent(sheet, own.get("absent"))


def _sheet(intake: Intake, entry: dict[str, Any], subset: str) -> Sheet:
    own = reading.mapping(entry.get("lfss"))
    name = reading.text(entry.get("file_name"))
    extra = reading.mapping(entry.get("extra"))  # Roboflow keeps the name of the upload there
    also = [n for n in (extra.get("name"), own.get("original")) if isinstance(n, str) and n.strip()]
    return intake.picture(
        f"{subset}/{name}" if subset else name,
        reading.size_if_given(entry.get("height"), entry.get("width")),
        digest=own.get("digest"),
        also=also,
        exported=own.get("exported"),
        own="digest" in own,
    )


def _name_of(entry: Mapping[str, Any]) -> str:
    return f"'{entry.get('file_name')}'"


def _key(number: object) -> str:
    """A number of a picture or label, the same whether it is written as 1, 1.0 or "1"."""
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def _number(shape: Any, place: int) -> object:
    return shape.get("id", place + 1) if isinstance(shape, dict) else place + 1


def _nothing(segmentation: object) -> bool:
    """Whether an annotation has no outline: none, an empty list, or a list of empty lists."""
    return not segmentation or (isinstance(segmentation, list) and all(s in ([], None) for s in segmentation))


def _mask(segmentation: Any, size: tuple[int, int], intake: Intake, where: str, *, own: bool) -> Mask:
    if isinstance(segmentation, list):
        rings = _rings([segmentation] if _is_one_polygon(segmentation) else segmentation, intake, where)
        reading.check_pixels(rings, size, own=own)
        return draw(rings, size, "coco") > 0
    counts = segmentation["counts"]
    given = [reading.whole(v) for v in segmentation["size"]]
    if given != list(size):
        turned = " It is (width, height) where (height, width) is due." if given[::-1] == list(size) else ""
        raise InputError(f"Its mask has the size {given}, its picture {list(size)}.{turned}")
    runs = from_string(counts) if isinstance(counts, str) else np.array(counts, np.int64)
    return from_coco_counts(runs, size)


def _is_one_polygon(segmentation: list[Any]) -> bool:
    """Whether this is one polygon, flat or as a list of points, where a list of polygons is due."""
    if not any(isinstance(part, list | dict) for part in segmentation):
        return True
    return len(segmentation) > 2 and all(isinstance(p, list) and len(p) == 2 for p in segmentation)


def _rings(lists: list[Any], intake: Intake, where: str) -> list[Points]:
    """The polygons of one object; one that cannot be drawn does not cost the others.

    Raises:
        InputError: none can be drawn.
    """
    rings: list[Points] = []
    faults: list[InputError] = []
    for values in lists:
        try:
            rings += reading.polygons([values])
        except InputError as error:
            faults.append(error)
    if not rings:
        raise faults[0]
    for fault in faults:
        intake.leave_out(f"{where}, one of its {len(lists)} polygons: {fault}")
    reading.check_perimeter(rings)
    return rings
