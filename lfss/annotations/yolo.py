"""YOLO segmentation: a text file for each picture, a line for each object.

A line holds one polygon: the parts of one object are tied by a line, there and back, and holes are cut open
to the outside (see ``outlines``). Crumbs (see ``lfss.objects``) are left out. Scores and who made
a mask stand in a file beside the others (see ``sidecar``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..drafts import Draft
from ..objects import CRUMB
from . import sidecar
from .outlines import DETAIL, check_settings, trace
from .output import copy_pictures, dumps, new_folder, placed
from .pieces import How, check_how, pieces
from .plan import Picture, plan_export
from .provenance import object_seal
from .raster import Points, draw, draw_near
from .rings import bridged
from .rle import Mask
from .yolo_reading import read as read

_INWARDS = 0.25  # of a pixel: points are pixel numbers, and neither rounding up nor down may move them


def write(
    drafts: Sequence[Draft],
    out: Path,
    *,
    detail: float = DETAIL,
    min_part: int = 1,
    objects: How = "parts",
    labels: Sequence[str] | None = None,
    images: bool = False,
) -> list[Path]:
    """Write ``data.yaml`` and ``labels/train/*.txt``, an empty file where there is nothing.

    Args:
        drafts: what to export; see ``plan_export``.
        out: a folder that does not exist yet, or is empty.
        detail: how far polygons may leave the mask, in pixels; see ``outlines.trace``.
        min_part: connected parts of fewer pixels are left out.
        objects: a line for each object (``parts``, ``each``), or one for all; see ``pieces.pieces``.
        labels: all labels in the order of their numbers; without it, in order of appearance.
        images: copy the pictures to ``images/train``, where training looks for them.

    Returns:
        The files written.

    Raises:
        ExportError: the drafts cannot be exported, or the folder cannot be written.
        InputError: detail or min_part is out of range.
    """
    check_settings(detail, min_part)
    check_how(objects)
    plan = plan_export(drafts, labels)
    with new_folder(out) as folder:
        (folder / "labels" / "train").mkdir(parents=True)
        (folder / "images" / "train").mkdir(parents=True)
        (folder / "data.yaml").write_text(_settings(plan.labels), encoding="utf-8", newline="\n")
        notes = []
        for picture in plan.pictures:
            lines: list[str] = []
            drawn: dict[str, Mask] = {}
            seals: dict[str, list[str]] = {}
            shown = [drafts[p] for p in picture.drafts]
            for draft in shown:
                smallest = max(min_part, _smallest(draft))
                polygons = [
                    bridged(outline.polygons)
                    for outline in (
                        trace(mask, target="opencv", detail=detail, min_part=smallest)
                        for mask in pieces(draft, objects)
                    )
                    if outline.polygons
                ]
                lines += _lines(plan.labels.index(draft.label), polygons, picture)
                drawn[draft.label] = draw(polygons, draft.size, "opencv") > 0
                seals[draft.label] = [object_seal([draw_near([p], draft.size, "opencv")]) for p in polygons]
            notes.append(sidecar.entry(picture, shown, drawn, objects, seals))
            file = folder / "labels" / "train" / f"{picture.stem}.txt"
            file.write_text("".join(lines), encoding="utf-8", newline="\n")
        sidecar.write(folder, notes)
        if images:
            copy_pictures(plan.pictures, folder / "images" / "train")
        return placed(folder, out)


def _smallest(draft: Draft) -> int:
    """Pixels below which a part is a crumb: tied to its object, it would draw a line through the picture."""
    if draft.objects is not None:  # a person, or another tool, has said what belongs together
        return 1
    stats = cv2.connectedComponentsWithStats(draft.mask.view(np.uint8), connectivity=8)[2]
    return math.ceil(CRUMB * stats[1:, cv2.CC_STAT_AREA].max(initial=1))


def _settings(labels: Sequence[str]) -> str:
    # JSON strings are YAML strings, whatever quotes, colons or emoji a label has.
    names = "".join(f"  {n}: {dumps(label)}\n" for n, label in enumerate(labels))
    return (
        "# All pictures are in 'train'. Move some of them, with their labels, to 'val' to measure on.\n"
        # Without 'path', which would count from the folder where the training program is started.
        f"train: images/train\nval: images/train\nnames:\n{names}"
    )


def _lines(label: int, polygons: Sequence[Points], picture: Picture) -> Iterator[str]:
    height, width = picture.size
    for polygon in polygons:
        numbers = (polygon + _INWARDS) / (width, height)
        yield f"{label} {' '.join(f'{v:.6f}' for v in numbers.reshape(-1))}\n"
