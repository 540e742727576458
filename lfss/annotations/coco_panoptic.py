"""COCO panoptic: one PNG for each picture, whose colours are the numbers of its segments.

One pixel belongs to one segment: where masks overlap, the later label lies on top, and of two drafts
of one label the later one. A draft that is covered wholly is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from .plan import Picture, paint, plan_export
from .provenance import describe, exported


def write(
    drafts: Sequence[Draft], out: Path, *, labels: Sequence[str] | None = None, images: bool = False
) -> list[Path]:
    """Write ``annotations/panoptic_default.json`` and ``annotations/panoptic_default/*.png``.

    Args:
        drafts: what to export; see ``plan_export``.
        out: a folder that does not exist yet, or is empty.
        labels: all labels, the topmost last; without it, in order of appearance.
        images: copy the pictures to ``images/default``.

    Returns:
        The files written.

    Raises:
        ExportError: the drafts cannot be exported, or the folder cannot be written.
    """
    plan = plan_export(drafts, labels)
    things = [c | {"isthing": 1, "color": colour_of(c["id"] - 1)} for c in categories(plan.labels)]
    with new_folder(out) as folder:
        maps = folder / "annotations" / f"panoptic_{SUBSET}"
        maps.mkdir(parents=True)
        annotations = [
            _annotation(number, picture, [drafts[p] for p in picture.drafts], plan.labels, maps)
            for number, picture in enumerate(plan.pictures, start=1)
        ]
        written = [[s["attributes"]["exported"] for s in a["segments_info"]] for a in annotations]
        write_json(
            maps.with_suffix(".json"),
            {"info": {"description": "LFSS Studio"}, "licenses": []},
            {
                "categories": things,
                "images": (
                    image_entry(i, p, w) for i, (p, w) in enumerate(zip(plan.pictures, written), start=1)
                ),
                "annotations": annotations,
            },
        )
        if images:
            copy_pictures(plan.pictures, folder / "images" / SUBSET)
        return placed(folder, out)


def _annotation(
    number: int, picture: Picture, drafts: list[Draft], labels: Sequence[str], folder: Path
) -> dict[str, Any]:
    """Write the map of one picture and list its segments."""
    segments = paint(drafts, labels) if drafts else np.zeros(picture.size, np.int32)
    infos = []
    for segment in (np.flatnonzero(np.bincount(segments.reshape(-1))[1:]) + 1).tolist():
        draft = drafts[segment - 1]
        said = {"id": segment, "category_id": labels.index(draft.label) + 1, "iscrowd": 0}
        shown = segments == segment
        attributes = describe(draft) | {"exported": exported(draft, shown)}
        infos.append(said | measures(shown) | {"attributes": attributes})
    name = f"{picture.stem}.png"
    write_png(folder / name, _as_colours(segments))
    return {"image_id": number, "file_name": name, "segments_info": infos}


def _as_colours(segments: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) RGB of segment numbers: R + 256 G + 65536 B."""
    octets = segments.astype("<i4").view(np.uint8).reshape(*segments.shape, 4)
    return np.asarray(cv2.cvtColor(octets, cv2.COLOR_RGBA2RGB), np.uint8)
