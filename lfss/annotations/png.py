"""Plain PNG masks and a legend.

Two layouts: one map of label numbers for each picture, shown in colours (overlaps: the later label
lies on top); or, with ``separate``, a black and white mask for each picture and label, which keeps
overlaps. ``legend.json`` says which number or folder is which label, and where the masks come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import decode
from ..drafts import Draft, Status
from ..errors import ExportError, InputError
from ..images import MAX_MEGAPIXELS
from . import reading
from .output import copy_pictures, new_folder, placed, write_index_png, write_json, write_png
from .palette import colour_of, colours, hexadecimal
from .provenance import describe, restore
from .survey import Picture, fold, paint, safe_name, survey, unique

MAX_LABELS = 255
_LEGEND = "legend.json"


def write(
    drafts: Sequence[Draft],
    out: Path,
    *,
    separate: bool = False,
    labels: Sequence[str] | None = None,
    images: bool = False,
) -> list[Path]:
    """Write ``masks/*.png``, or ``masks/<label>/*.png``, and ``legend.json``.

    Args:
        drafts: what to export; see ``survey``.
        out: a folder that does not exist yet, or is empty.
        separate: a mask for each label instead of one map.
        labels: all labels in the order of their numbers, the topmost last; without it, in order of
            appearance.
        images: copy the pictures to ``images``.

    Returns:
        The files written.

    Raises:
        ExportError: the drafts cannot be exported, there are more than 255 labels for one map, or the
            folder cannot be written.
    """
    plan = survey(drafts, labels)
    if len(plan.labels) > MAX_LABELS and not separate:
        raise ExportError(
            f"One map holds {MAX_LABELS} labels; there are {len(plan.labels)}. Choose separate masks."
        )
    entries = _label_entries(plan.labels, separate)
    with new_folder(out) as folder:
        for entry in entries if separate else ({"folder": "."},):
            (folder / "masks" / entry["folder"]).mkdir(parents=True, exist_ok=True)
        said = []
        for picture in plan.pictures:
            shown = [drafts[p] for p in picture.drafts]
            if separate:
                _write_separate(folder / "masks", picture, shown, entries)
            else:
                _write_map(folder / "masks", picture, shown, plan.labels)
            said.append(_picture_entry(picture, shown))
        write_json(folder / _LEGEND, {"separate": separate}, {"labels": entries, "pictures": said})
        if images:
            copy_pictures(plan.pictures, folder / "images")
        return placed(folder, out)


def _label_entries(labels: Sequence[str], separate: bool) -> list[dict[str, Any]]:
    folders = unique([safe_name(label) for label in labels], [str(n + 1) for n in range(len(labels))])
    entries = []
    for place, (label, folder) in enumerate(zip(labels, folders)):
        entry = {"value": place + 1, "name": label, "color": hexadecimal(colour_of(place))}
        entries.append(entry | {"folder": folder} if separate else entry)
    return entries


def _write_map(folder: Path, picture: Picture, shown: Sequence[Draft], labels: Sequence[str]) -> None:
    order = paint(shown, labels) if shown else np.zeros(picture.size, np.int32)
    numbers = np.array([0, *(labels.index(d.label) + 1 for d in shown)], np.uint8)
    write_index_png(folder / f"{picture.stem}.png", numbers[order], colours())


def _write_separate(
    folder: Path, picture: Picture, shown: Sequence[Draft], entries: Sequence[dict[str, Any]]
) -> None:
    for entry in entries:
        masks = [d.mask for d in shown if d.label == entry["name"]]
        if masks:
            mask = np.logical_or.reduce(masks).view(np.uint8) * np.uint8(255)
            write_png(folder / entry["folder"] / f"{picture.stem}.png", mask)


def _picture_entry(picture: Picture, shown: Sequence[Draft]) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": picture.name, "original": picture.original, "size": list(picture.size)}
    if picture.digest:
        entry["digest"] = picture.digest
    drafts = [{"label": d.label, **describe(d)} for d in shown]
    return entry | {"absent": list(picture.absent), "drafts": drafts}


def read(
    path: Path, *, label: str | None = None, images: Path | None = None, status: Status = "accepted"
) -> list[Draft]:
    """Read PNG masks: a folder that ``write`` made, a folder of masks of one label, or one mask.

    Args:
        path: the folder or file.
        label: what the masks show; needed where there is no legend. Every pixel that is not black is
            the object.
        images: the folder of the pictures, found by the name of the mask without its extension. Names
            and digests are read from them where the legend does not tell.
        status: of drafts about which the legend does not tell.

    Returns:
        A draft for each picture and label that is in it, and one for each label that is said to be
        absent.

    Raises:
        InputError: no masks there, damaged, too large, or no label given.
    """
    if (path / _LEGEND).is_file():
        return _read_with_legend(path, images, status)
    if label is None:
        raise InputError(f"'{path.name}' has no {_LEGEND} to say what its masks show. Give their label.")
    files = sorted(path.glob("*.png")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"'{path}' holds no PNG masks. Choose the folder that holds them.")
    pictures = reading.pictures_by_stem(images)
    with reading.told_of(path):
        reading.check_total(reading.png_size(f) for f in files)
    drafts = []
    for file in files:
        with reading.told_of(file):
            mask = _levels(file) > 0
            found = pictures.get(fold(file.stem))
            facts = reading.picture_facts(found.name if found else file.stem, mask.shape, images)
            drafts.append(Draft(label=label, mask=mask, status=status if mask.any() else "absent", **facts))
    return drafts


def _read_with_legend(path: Path, images: Path | None, status: Status) -> list[Draft]:
    with reading.told_of(path / _LEGEND):
        legend = reading.load_object(path / _LEGEND, "labels", "pictures", "separate")
        labels = {reading.text(e["name"]): (e["value"], e.get("folder", "")) for e in legend["labels"]}
        sizes = [reading.size(*p["size"]) for p in legend["pictures"]]
        reading.check_total(
            size for size, p in zip(sizes, legend["pictures"]) for _ in p["drafts"] or p["absent"]
        )
        drafts = []
        for entry, size in zip(legend["pictures"], sizes):
            name = safe_name(reading.text(entry["name"]))
            facts = reading.picture_facts(name, size, images, digest=entry.get("digest"))
            for shown in {d["label"]: d for d in entry["drafts"]}.values():
                value, folder = labels[shown["label"]]
                file = (
                    path
                    / "masks"
                    / (safe_name(folder) if legend["separate"] else ".")
                    / f"{Path(name).stem}.png"
                )
                levels = _levels(file)
                mask = levels > 0 if legend["separate"] else levels == value
                if mask.shape != size:
                    raise InputError(f"The mask '{file.name}' has another size than its picture.")
                drafts.append(
                    Draft(label=shown["label"], mask=mask, **facts, **restore(shown, status=status))
                )
            for label in reading.strings(entry["absent"]):
                drafts.append(Draft(label=label, mask=np.zeros(size, np.bool_), status="absent", **facts))
    return drafts


def _levels(file: Path) -> npt.NDArray[np.integer]:
    """(H, W) numbers of a mask; of a coloured one, its brightest channel."""
    with decode.opened(file, file.name, MAX_MEGAPIXELS) as picture:
        levels = decode.to_levels(picture)
    if levels.ndim == 3:
        levels = np.where(levels[..., 3] > 0, levels[..., :3].max(axis=2), 0)
    return levels
