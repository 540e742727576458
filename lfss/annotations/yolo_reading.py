"""YOLO segmentation read: a text file of polygons for each picture, in whatever folders tools put them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ..drafts import Draft, Status
from ..errors import InputError
from . import reading, sidecar
from .intake import Intake
from .pictures import Pictures
from .raster import draw
from .report import Report
from .rle import Mask
from .sheets import Sheet

_DATA_FILES = ("data.yaml", "data.yml", "dataset.yaml")
_SPILL = 0.05  # how far beyond the picture's border a share may lie: tools round


def read(
    path: Path,
    *,
    images: Path | Pictures | None = None,
    status: Status | None = None,
    report: Report | None = None,
) -> list[Draft]:
    """Read a data set in the layout of ultralytics, with all its splits.

    Args:
        path: the folder, or its ``data.yaml``; ``classes.txt`` in its place is read too. Label files lie
            in folders called ``labels``, or in the folder itself.
        images: the folder of the pictures, by default this folder; coordinates are shares of them, so
            they are needed.
        status: of all drafts; by default what this program noted beside the labels, or ``accepted``.
        report: takes what is left out; without it the first such thing is an error.

    Returns:
        A draft for each picture and label.

    Raises:
        InputError: not such a folder, or no names of labels.
    """
    folder = path if path.is_dir() else path.parent
    names = _label_names(path)
    files = [f for f in reading.files_below(folder, ".txt") if f.name != "classes.txt"]
    files = [f for f in files if "labels" in f.relative_to(folder).parts[:-1]] or [
        f for f in files if f.parent == folder
    ]
    if not files:
        raise InputError(f"'{folder}' holds no label files: text files in a folder 'labels'.")
    intake = Intake(Pictures.of(images, folder), status=status, report=report)
    notes = sidecar.read(folder)
    for file in files:
        where = file.relative_to(folder).as_posix()
        with intake.entry(f"'{where}'"):
            lines = [line.split() for line in reading.read_text(file).splitlines()]
            parts = ["images" if part == "labels" else part for part in file.relative_to(folder).parts]
            note = notes.get(file.stem, sidecar.NOTHING)
            if any(lines) or note.exported or note.absent:
                name = "/".join(parts)[: -len(".txt")]
                sheet = intake.picture(name, note.size, stem=True, **note.picture)
                _read_lines(lines, sheet, intake, where, names, note)
                intake.absent(sheet, list(note.absent))
    return intake.drafts()


def _label_names(path: Path) -> dict[int, str]:
    """Names of labels by number.

    Raises:
        InputError: no file says them.
    """
    folder = path if path.is_dir() else path.parent
    listed = [path] if path.is_file() else [folder / name for name in _DATA_FILES]
    for file in (f for f in listed if f.is_file()):
        with reading.about_file(file):
            return _names_of(_yaml(reading.read_text(file)))
    for file in (f for f in (folder / "classes.txt", folder / "labels" / "classes.txt") if f.is_file()):
        with reading.about_file(file):
            lines = (line.strip() for line in reading.read_text(file).splitlines())
            return dict(enumerate(line for line in lines if line))
    raise InputError(f"'{folder}' has no data.yaml or classes.txt to say which number is which label.")


def _yaml(text: str) -> Any:
    import yaml

    if len(text) > 1 << 20:
        raise InputError("It is larger than 1 MB, so it is no list of labels.")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError("It is not YAML. Check its indents and quotes.") from error


def _names_of(data: Any) -> dict[int, str]:
    names = data["names"]
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    return {int(number): str(name) for number, name in pairs}


def _read_lines(
    lines: list[list[str]],
    sheet: Sheet,
    intake: Intake,
    where: str,
    names: dict[int, str],
    note: sidecar.Note,
) -> None:
    boxes = Counter[str]()
    for number, words in enumerate(lines, start=1):
        if not words:
            continue
        with intake.entry(f"'{where}', line {number}"):
            if len(words) == 5:
                boxes[words[0]] += 1
                continue
            label = names.get(int(float(words[0])))
            if label is None:
                raise InputError(f"Its label number {words[0]} has no name in the list of names.")
            intake.add(sheet, label, _mask(words[1:], sheet.size), note.attributes.get(label))
    if boxes:
        intake.pass_over(f"'{where}': {boxes.total()} boxes without an outline.")


def _mask(words: list[str], size: tuple[int, int]) -> Mask:
    shares = np.array(words, np.float64)
    if shares.size % 2:
        raise InputError(f"A polygon has x and y for each point; it has {shares.size} numbers.")
    if (shares < -_SPILL).any() or (shares > 1 + _SPILL).any():
        raise InputError(
            "Its coordinates are no shares of the picture between 0 and 1: they look like pixels."
        )
    points = np.clip(shares.reshape(-1, 2), 0, 1) * (size[1], size[0])
    return draw(reading.polygons([np.floor(points)]), size, "opencv") > 0
