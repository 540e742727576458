"""Segmentation mask 1.1, the layout of Pascal VOC: one map of labels and one of objects for a picture.

One pixel holds one label: where masks overlap, the later label lies on top. Colours are those of
VOC: label number n has colour n of its table, and so has object number n of a picture. Who made a
mask, and its score, cannot be held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..drafts import Draft
from ..errors import ExportError
from . import sidecar
from .output import copy_pictures, new_folder, placed, write_index_png
from .palette import colours
from .pieces import How, check_how, pieces
from .plan import Picture, name_key, paint, plan_export
from .provenance import object_seal
from .voc_reading import BACKGROUND
from .voc_reading import read as read

MAX_LABELS = 254  # 0 is the background, 255 marks what is left open
_HEAD = "# label:color_rgb:parts:actions\n"


def write(
    drafts: Sequence[Draft],
    out: Path,
    *,
    objects: How = "together",
    labels: Sequence[str] | None = None,
    images: bool = False,
) -> list[Path]:
    """Write ``labelmap.txt``, ``ImageSets``, ``SegmentationClass`` and ``SegmentationObject``.

    Args:
        drafts: what to export; see ``plan_export``.
        out: a folder that does not exist yet, or is empty.
        objects: how ``SegmentationObject`` numbers them; see ``pieces.pieces``.
        labels: all labels, the topmost last; without it, in order of appearance.
        images: copy the pictures to ``JPEGImages``.

    Returns:
        The files written.

    Raises:
        ExportError: the drafts cannot be exported, there are too many labels or objects for one byte,
            a label cannot stand in a labelmap, or the folder cannot be written.
    """
    check_how(objects)
    plan = plan_export(drafts, labels)
    _check_labels(plan.labels)
    table = colours()
    with new_folder(out) as folder:
        for name in ("ImageSets/Segmentation", "SegmentationClass", "SegmentationObject"):
            (folder / name).mkdir(parents=True)
        lines = [_HEAD] + [
            f"{label}:{','.join(map(str, table[n]))}::\n"
            for n, label in enumerate((BACKGROUND, *plan.labels))
        ]
        (folder / "labelmap.txt").write_text("".join(lines), encoding="utf-8", newline="\n")
        names = "".join(f"{p.stem}\n" for p in plan.pictures)
        listing = folder / "ImageSets" / "Segmentation" / "default.txt"
        listing.write_text(names, encoding="utf-8", newline="\n")
        notes = []
        for picture in plan.pictures:
            shown = [drafts[p] for p in picture.drafts]
            found = [replace(d, mask=m, objects=None) for d in shown for m in pieces(d, objects)]
            _check_count(picture, len(found))
            numbers = paint(found, plan.labels) if found else np.zeros(picture.size, np.int32)
            classes = np.array([0, *(plan.labels.index(d.label) + 1 for d in found)], np.uint8)[numbers]
            file = f"{picture.stem}.png"
            write_index_png(folder / "SegmentationClass" / file, classes, table)
            write_index_png(folder / "SegmentationObject" / file, numbers.astype(np.uint8), table)
            drawn = {d.label: classes == plan.labels.index(d.label) + 1 for d in shown}
            seals = _seals(numbers, [d.label for d in found]) if objects != "together" else {}
            notes.append(sidecar.entry(picture, shown, drawn, objects, seals))
        sidecar.write(folder, notes)
        if images:
            copy_pictures(plan.pictures, folder / "JPEGImages")
        return placed(folder, out)


def _seals(numbers: npt.NDArray[np.int32], owners: Sequence[str]) -> dict[str, list[str]]:
    """``object_seal`` of the objects of each label.

    Args:
        numbers: (H, W) number of the object at each pixel, from 1.
        owners: the label of each object.
    """
    seals: dict[str, list[str]] = {}
    for number, label in enumerate(owners, start=1):
        if (mask := numbers == number).any():  # else other labels cover it
            seals.setdefault(label, []).append(object_seal([mask]))
    return seals


def _check_labels(labels: Sequence[str]) -> None:
    if len(labels) > MAX_LABELS:
        raise ExportError(f"This format holds {MAX_LABELS} labels; there are {len(labels)}. Export fewer.")
    for label in labels:
        if ":" in label or label.startswith("#") or name_key(label) == BACKGROUND:
            raise ExportError(
                f"The label '{label}' cannot stand in a labelmap: '#' at the start, ':', and the name "
                f"'{BACKGROUND}' have a meaning there. Rename it, or choose another format."
            )


def _check_count(picture: Picture, count: int) -> None:
    if count > MAX_LABELS:
        raise ExportError(
            f"This format holds {MAX_LABELS} objects in a picture; '{picture.original}' has {count}. Choose "
            "another format."
        )
