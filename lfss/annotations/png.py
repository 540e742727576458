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

from ..drafts import Draft
from ..errors import ExportError
from . import sidecar
from .output import copy_pictures, new_folder, placed, write_index_png, write_json, write_png
from .palette import colour_of, colours, hexadecimal
from .plan import Picture, paint, plan_export, safe_name, unique
from .png_reading import LEGEND
from .png_reading import read as read
from .rle import Mask

MAX_LABELS = 255


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
        drafts: what to export; see ``plan_export``.
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
    plan = plan_export(drafts, labels)
    if len(plan.labels) > MAX_LABELS and not separate:
        raise ExportError(
            f"One map holds {MAX_LABELS} labels; there are {len(plan.labels)}. Choose separate masks."
        )
    entries = _label_entries(plan.labels, separate)
    with new_folder(out) as folder:
        for entry in entries if separate else ({"folder": "."},):
            (folder / "masks" / entry["folder"]).mkdir(parents=True, exist_ok=True)
        listed = []
        for picture in plan.pictures:
            shown = [drafts[p] for p in picture.drafts]
            if separate:
                drawn = _write_separate(folder / "masks", picture, shown, entries)
            else:
                drawn = _write_map(folder / "masks", picture, shown, plan.labels)
            listed.append(sidecar.entry(picture, shown, drawn))
        write_json(folder / LEGEND, {"separate": separate}, {"labels": entries, "pictures": listed})
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


def _write_map(
    folder: Path, picture: Picture, shown: Sequence[Draft], labels: Sequence[str]
) -> dict[str, Mask]:
    """Write the map of a picture; returns what it shows of each label."""
    order = paint(shown, labels) if shown else np.zeros(picture.size, np.int32)
    numbers = np.array([0, *(labels.index(d.label) + 1 for d in shown)], np.uint8)
    written = numbers[order]
    write_index_png(folder / f"{picture.stem}.png", written, colours())
    return {d.label: written == labels.index(d.label) + 1 for d in shown}


def _write_separate(
    folder: Path, picture: Picture, shown: Sequence[Draft], entries: Sequence[dict[str, Any]]
) -> dict[str, Mask]:
    """Write a mask for each label of a picture; returns them."""
    drawn = {}
    for entry in entries:
        masks = [d.mask for d in shown if d.label == entry["name"]]
        if masks:
            drawn[entry["name"]] = mask = np.logical_or.reduce(masks)
            file = folder / entry["folder"] / f"{picture.stem}.png"
            write_png(file, mask.view(np.uint8) * np.uint8(255))
    return drawn
