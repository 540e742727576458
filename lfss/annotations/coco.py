"""COCO instances: one JSON file, an annotation for each draft.

Polygons by default, for the tools that edit them; run lengths (``rle``) where every pixel counts.
Both hold holes and several parts: polygons by way of keyhole cuts (see ``outlines``).

Beyond the format: ``score``, ``attributes`` (who made the draft, and how well its outline fits) on
annotations, and ``lfss`` (digest of the picture, labels that are not in it) on images. Readers that
do not know them pass over them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..drafts import Draft
from .coco_reading import read as read
from .outlines import DETAIL, check_settings, trace
from .output import copy_pictures, new_folder, placed, write_json
from .plan import Picture, plan_export
from .provenance import describe, exported
from .raster import draw
from .rle import Mask, bounds, coco_counts, to_string

SUBSET = "default"


def write(
    drafts: Sequence[Draft],
    out: Path,
    *,
    rle: bool = False,
    detail: float = DETAIL,
    min_part: int = 1,
    labels: Sequence[str] | None = None,
    images: bool = False,
) -> list[Path]:
    """Write ``annotations/instances_default.json``.

    Args:
        drafts: what to export; see ``plan_export``.
        out: a folder that does not exist yet, or is empty.
        rle: run lengths instead of polygons.
        detail: how far polygons may leave the mask, in pixels; see ``outlines.trace``.
        min_part: connected parts of fewer pixels are left out of polygons.
        labels: all labels in the order of their numbers; without it, in order of appearance.
        images: copy the pictures to ``images/default``.

    Returns:
        The files written.

    Raises:
        ExportError: the drafts cannot be exported, or the folder cannot be written.
        InputError: detail or min_part is out of range.
    """
    check_settings(detail, min_part)
    plan = plan_export(drafts, labels)
    written: list[list[str]] = [[] for _ in plan.pictures]

    def annotations() -> Iterator[dict[str, Any]]:
        number = 0
        for image, picture in enumerate(plan.pictures, start=1):
            for draft in (drafts[p] for p in picture.drafts):
                if shape := run_lengths(draft) if rle else _polygons(draft, detail, min_part):
                    number += 1
                    category = plan.labels.index(draft.label) + 1
                    written[image - 1].append(str(shape["attributes"]["exported"]))
                    yield {"id": number, "image_id": image, "category_id": category, "iscrowd": 0} | shape

    with new_folder(out) as folder:
        (folder / "annotations").mkdir()
        write_json(
            folder / "annotations" / f"instances_{SUBSET}.json",
            {"info": {"description": "LFSS Studio"}, "licenses": []},
            {
                "categories": categories(plan.labels),
                "annotations": annotations(),  # before the pictures, whose entries say what was written
                "images": (
                    image_entry(i, p, w) for i, (p, w) in enumerate(zip(plan.pictures, written), start=1)
                ),
            },
        )
        if images:
            copy_pictures(plan.pictures, folder / "images" / SUBSET)
        return placed(folder, out)


def categories(labels: Sequence[str]) -> list[dict[str, Any]]:
    """COCO's list of labels, numbered from 1."""
    return [{"id": i, "name": label, "supercategory": ""} for i, label in enumerate(labels, start=1)]


def image_entry(number: int, picture: Picture, written: Sequence[str] = ()) -> dict[str, Any]:
    """COCO's entry of a picture; ``written``: see ``provenance.exported``."""
    entry: dict[str, Any] = {
        "id": number,
        "file_name": picture.name,
        "height": picture.size[0],
        "width": picture.size[1],
    }
    facts: dict[str, Any] = {
        "digest": picture.digest,
        "original": picture.original,
        "absent": list(picture.absent),
    }
    facts["exported"] = list(written)
    return entry | {"lfss": {key: value for key, value in facts.items() if value}}


def run_lengths(draft: Draft) -> dict[str, Any]:
    """Segmentation, box, area, score and provenance of a draft, as run lengths."""
    counts = coco_counts(draft.mask)
    shape = {"segmentation": {"size": list(draft.size), "counts": to_string(counts)}}
    return shape | measures(draft.mask) | _said(draft, draft.mask)


def measures(mask: Mask) -> dict[str, Any]:
    """Area in pixels and box (x, y, width, height) of a mask."""
    top, left, height, width = bounds(mask)
    return {
        "area": int(np.count_nonzero(mask)),
        "bbox": [float(left), float(top), float(width), float(height)],
    }


def _polygons(draft: Draft, detail: float, min_part: int) -> dict[str, Any] | None:
    outline = trace(draft.mask, detail=detail, min_part=min_part)
    if not outline.polygons:
        return None
    shape = {"segmentation": [p.reshape(-1).tolist() for p in outline.polygons]} | measures(draft.mask)
    said = _said(draft, draw(outline.polygons, draft.size, "coco") > 0)
    said["attributes"] |= {"outline_iou": round(outline.iou, 4), "outline_vertices": outline.vertices}
    return shape | said


def _said(draft: Draft, drawn: Mask) -> dict[str, Any]:
    said = describe(draft) | {"exported": exported(draft, drawn)}
    score = {"score": said.pop("score")} if "score" in said else {}
    return score | {"attributes": said}
