"""COCO panoptic: one PNG for each picture, whose colours are the numbers of its segments.

One pixel belongs to one segment: where masks overlap, the later label lies on top, and of two drafts
of one label the later one. A draft that is covered wholly is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..drafts import Draft
from .coco import SUBSET, categories, image_entry, measures
from .coco_panoptic_reading import read as read
from .output import copy_pictures, new_folder, placed, write_json, write_png
from .palette import colour_of
from .pieces import How, check_how, pieces
from .plan import Picture, paint, plan_export
from .provenance import object_seal, written


def write(
    drafts: Sequence[Draft],
    out: Path,
    *,
    objects: How = "together",
    labels: Sequence[str] | None = None,
    images: bool = False,
) -> list[Path]:
    """Write ``annotations/panoptic_default.json`` and ``annotations/panoptic_default/*.png``.

    Args:
        drafts: what to export; see ``plan_export``.
        out: a folder that does not exist yet, or is empty.
        objects: a segment for each object (``parts``, ``each``), or one for all; see ``pieces.pieces``.
        labels: all labels, the topmost last; without it, in order of appearance.
        images: copy the pictures to ``images/default``.

    Returns:
        The files written.

    Raises:
        ExportError: the drafts cannot be exported, or the folder cannot be written.
    """
    check_how(objects)
    plan = plan_export(drafts, labels)
    things = [c | {"isthing": 1, "color": colour_of(c["id"] - 1)} for c in categories(plan.labels)]
    with new_folder(out) as folder:
        maps = folder / "annotations" / f"panoptic_{SUBSET}"
        maps.mkdir(parents=True)
        annotations = [
            _annotation(number, picture, [drafts[p] for p in picture.drafts], plan.labels, maps, objects)
            for number, picture in enumerate(plan.pictures, start=1)
        ]
        seals = [
            list(dict.fromkeys(s["attributes"]["exported"] for s in a["segments_info"])) for a in annotations
        ]
        write_json(
            maps.with_suffix(".json"),
            {"info": {"description": "LFSS Studio"}, "licenses": []},
            {
                "categories": things,
                "images": (
                    image_entry(i, p, s) for i, (p, s) in enumerate(zip(plan.pictures, seals), start=1)
                ),
                "annotations": annotations,
            },
        )
        if images:
            copy_pictures(plan.pictures, folder / "images" / SUBSET)
        return placed(folder, out)


def _annotation(
    number: int, picture: Picture, drafts: list[Draft], labels: Sequence[str], folder: Path, how: How
) -> dict[str, Any]:
    """Write the map of one picture and list its segments."""
    shown = [(draft, replace(draft, mask=m, objects=None)) for draft in drafts for m in pieces(draft, how)]
    segments = paint([piece for _, piece in shown], labels) if shown else np.zeros(picture.size, np.int32)
    there = (np.flatnonzero(np.bincount(segments.reshape(-1))[1:]) + 1).tolist()
    infos: list[dict[str, Any]] = []
    for draft in drafts:
        own = [segment for segment in there if shown[segment - 1][0] is draft]
        attributes = written(draft, np.isin(segments, own), how, [object_seal([segments == n]) for n in own])
        for segment in own:
            info = {"id": segment, "category_id": labels.index(draft.label) + 1, "iscrowd": 0}
            infos.append(info | measures(segments == segment) | {"attributes": attributes})
    name = f"{picture.stem}.png"
    write_png(folder / name, _as_colours(segments))
    return {"image_id": number, "file_name": name, "segments_info": infos}


def _as_colours(segments: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) RGB of segment numbers: R + 256 G + 65536 B."""
    octets = segments.astype("<i4").view(np.uint8).reshape(*segments.shape, 4)
    return np.asarray(cv2.cvtColor(octets, cv2.COLOR_RGBA2RGB), np.uint8)
