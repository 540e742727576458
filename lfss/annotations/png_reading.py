"""PNG masks read: with a legend, as a folder of masks of one label, or as results of ``segment --out``."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import decode
from ..batch.record import RUN_FILE
from ..drafts import Draft, Status
from ..errors import InputError
from ..images import MAX_MEGAPIXELS, SUFFIXES
from . import reading, run_folder
from .intake import Intake
from .pictures import Pictures
from .plan import safe_name
from .report import Report
from .rle import Mask
from .sheets import Sheet

LEGEND = "legend.json"
_RESULT = ".mask.png"  # the ending of masks that ``segment --out`` writes


def read(
    path: Path,
    *,
    label: str | None = None,
    images: Path | Pictures | None = None,
    status: Status | None = None,
    report: Report | None = None,
) -> list[Draft]:
    """Read PNG masks: a folder that ``write`` made, a folder of masks of one label, or one mask.

    Args:
        path: the folder or file; masks in the folders below count too. BMP, TIFF and other pictures
            are read as well as PNG.
        label: what the masks show; needed where neither a legend nor a run of ``segment`` says it.
            Every pixel that is not black is the object.
        images: the folder of the pictures, found by the name of the mask without its ending and
            without ``_mask``. Names and digests are read from them where the legend does not tell.
        status: of all drafts; by default what the legend says, and ``accepted`` without one.
        report: takes what is left out; without it the first such thing is an error.

    Returns:
        A draft for each picture and label that is in it, and one for each label that is said to be
        absent.

    Raises:
        InputError: no masks there, too large, or no label given.
    """
    if (path / LEGEND).is_file():
        intake = Intake(Pictures.of(images, path / "images"), status=status, report=report)
        with reading.about_file(path / LEGEND):
            _read_with_legend(path, intake)
        return intake.drafts()
    if label is None and run_folder.holds_masks(path):
        return run_folder.read(path, Intake(Pictures.of(images), status=status, report=report))
    label = label or _label_of_run(path)
    if label is None:
        raise InputError(f"'{path.name}' has no {LEGEND} to say what its masks show. Give their label.")
    files = _mask_files(path, Pictures.of(images))
    if not files:
        raise InputError(f"'{path}' holds no masks. Choose the folder that holds them.")
    intake = Intake(Pictures.of(images), status=status, report=report)
    for file in files:
        name = file.relative_to(path).as_posix() if path.is_dir() else file.name
        with intake.entry(f"'{name}'"):
            mask = _levels(file) > 0
            sheet = intake.picture(str(PurePosixPath(name).with_suffix("")), mask.shape, stem=True)
            if mask.any():
                intake.add(sheet, label, mask, as_one=True)
            else:
                intake.absent(sheet, [label])
    return intake.drafts()


def _mask_files(path: Path, pictures: Pictures | None) -> list[Path]:
    if not path.is_dir():
        return [reading.only_file(path)]
    if (path / RUN_FILE).is_file():
        return [f for f in reading.files_below(path, ".png") if f.name.lower().endswith(_RESULT)]
    photos = {p.path.resolve() for p in pictures.known if p.path} if pictures else set()
    return [f for f in reading.files_below(path, *SUFFIXES) if f.resolve() not in photos]


def _label_of_run(path: Path) -> str | None:
    """The label of a folder that ``segment --out`` filled."""
    try:
        words = json.loads(reading.read_text(path / RUN_FILE))["settings"]["label"]
        return reading.text(words[0])
    except (OSError, *reading.DAMAGE):
        return None


def _read_with_legend(path: Path, intake: Intake) -> None:
    legend = reading.load_object(path / LEGEND, "labels", "pictures", "separate")
    labels = {reading.text(e["name"]): (e["value"], e.get("folder", "")) for e in legend["labels"]}
    sizes = [reading.size(*p["size"]) for p in legend["pictures"]]
    reading.check_total(
        size for size, p in zip(sizes, legend["pictures"]) for _ in p["drafts"] or p["absent"]
    )
    for entry, size in zip(legend["pictures"], sizes):
        name = safe_name(reading.text(entry["name"]))
        original = entry.get("original")
        with intake.entry(f"'{LEGEND}', '{name}'"):
            sheet = intake.picture(
                name,
                size,
                digest=entry.get("digest"),
                also=[original] if isinstance(original, str) and original.strip() else [],
                exported=entry.get("exported"),
                own="digest" in entry,
            )
            known = {d["label"]: d for d in entry["drafts"]}
            file = f"{Path(name).stem}.png"
            if legend["separate"]:
                for label, (_, folder) in labels.items():
                    mask = path / "masks" / safe_name(folder) / file
                    if label in known or mask.is_file():  # also what was painted since
                        with intake.entry(f"'{LEGEND}', '{name}', {label}"):
                            _add(intake, sheet, label, _levels(mask) > 0, known.get(label))
            elif known or (path / "masks" / file).is_file():
                names = {value: label for label, (value, _) in labels.items()}
                levels = _levels(path / "masks" / file)
                for value in np.unique(levels[levels > 0]).tolist():
                    with intake.entry(f"'{LEGEND}', '{name}', number {value}"):
                        if value not in names:
                            raise InputError("No label has this number. Add it to the list of labels.")
                        _add(intake, sheet, names[value], levels == value, known.get(names[value]))
            intake.absent(sheet, entry["absent"])


def _add(intake: Intake, sheet: Sheet, label: str, mask: Mask, attributes: dict[str, Any] | None) -> None:
    if mask.shape != sheet.size:
        raise InputError("Its mask has another size than its picture.")
    if mask.any():  # else covered, or deleted: the list of what was exported tells
        intake.add(sheet, label, mask, attributes, as_one=True)


def _levels(file: Path) -> npt.NDArray[np.integer]:
    """(H, W) numbers of a mask; of a coloured one, its brightest channel; of a JPEG, 0 or 255."""
    with decode.opened(file, file.name, MAX_MEGAPIXELS) as picture:
        lossy = picture.format in ("JPEG", "MPO")
        levels = decode.to_levels(picture)
    if levels.ndim == 3:
        levels = np.where(levels[..., 3] > 0, levels[..., :3].max(axis=2), 0)
    return np.where(levels >= 128, 255, 0) if lossy else levels
