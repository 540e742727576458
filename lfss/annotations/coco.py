"""COCO instances: one JSON file, an annotation for each object.

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
from .pieces import How, check_how, pieces
from .plan import Picture, plan_export
from .provenance import object_seal, written
from .raster import draw, draw_near
from .rle import Mask, bounds, coco_counts, to_string

SUBSET = "default"


def write(
    drafts: Sequence[Draft],
    out: Path,
    *,
    rle: bool = False,
    detail: float = DETAIL,
    min_part: int = 1,
    objects: How = "parts",
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
        objects: an annotation for each object (``parts``, ``each``), or one for all; see ``pieces.pieces``.
        labels: all labels in the order of their numbers; without it, in order of appearance.
        images: copy the pictures to ``images/default``.

    Returns:
        The files written.

    Raises:
        ExportError: the drafts cannot be exported, or the folder cannot be written.
        InputError: detail or min_part is out of range.
    """
    check_settings(detail, min_part)
    check_how(objects)
    plan = plan_export(drafts, labels)
    seals: list[list[str]] = [[] for _ in plan.pictures]

    def annotations() -> Iterator[dict[str, Any]]:
        number = 0
        for image, picture in enumerate(plan.pictures, start=1):
            for draft in (drafts[p] for p in picture.drafts):
                shapes = list(
                    run_lengths(draft, objects) if rle else _polygons(draft, objects, detail, min_part)
                )
                seals[image - 1] += [str(s["attributes"]["exported"]) for s in shapes[:1]]
                category = plan.labels.index(draft.label) + 1
                for shape in shapes:
                    number += 1
                    yield {"id": number, "image_id": image, "category_id": category, "iscrowd": 0} | shape

    with new_folder(out) as folder:
        (folder / "annotations").mkdir()
        write_json(
            folder / "annotations" / f"instances_{SUBSET}.json",
            {"info": {"description": f"LFSS Studio, objects: {objects}"}, "licenses": []},
            {
                "categories": categories(plan.labels),
                "annotations": annotations(),  # before the pictures, whose entries say what was written
                "images": (
                    image_entry(i, p, s) for i, (p, s) in enumerate(zip(plan.pictures, seals), start=1)
                ),
            },
        )
        if images:
            copy_pictures(plan.pictures, folder / "images" / SUBSET)
        return placed(folder, out)


def categories(labels: Sequence[str]) -> list[dict[str, Any]]:
    """COCO's list of labels, numbered from 1."""
    return [{"id": i, "name": label, "supercategory": ""} for i, label in enumerate(labels, start=1)]


def image_entry(number: int, picture: Picture, seals: Sequence[str] = ()) -> dict[str, Any]:
    """COCO's entry of a picture; ``seals``: what was written, from ``provenance.exported``."""
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
    facts["exported"] = list(seals)
    return entry | {"lfss": {key: value for key, value in facts.items() if value}}


def run_lengths(draft: Draft, how: How) -> Iterator[dict[str, Any]]:
    """Segmentation, box, area, score and provenance of each object of a draft, as run lengths."""
    masks = list(pieces(draft, how))
    extra = _extra_keys(draft, draft.mask, how, [object_seal([mask]) for mask in masks])
    for mask in masks:
        counts = to_string(coco_counts(mask))
        yield {"segmentation": {"size": list(draft.size), "counts": counts}} | measures(mask) | extra


def measures(mask: Mask) -> dict[str, Any]:
    """Area in pixels and box (x, y, width, height) of a mask."""
    top, left, height, width = bounds(mask)
    return {
        "area": int(np.count_nonzero(mask)),
        "bbox": [float(left), float(top), float(width), float(height)],
    }


def _polygons(draft: Draft, how: How, detail: float, min_part: int) -> Iterator[dict[str, Any]]:
    """The same as polygons; an object of several parts has a polygon for each."""
    outlined = [(mask, trace(mask, detail=detail, min_part=min_part)) for mask in pieces(draft, how)]
    shown = [outline.polygons for _, outline in outlined if outline.polygons]
    seals = [object_seal([draw_near(polygons, draft.size, "coco")]) for polygons in shown]
    drawn = draw([polygon for polygons in shown for polygon in polygons], draft.size, "coco") > 0
    extra = _extra_keys(draft, drawn, how, seals)
    for mask, outline in outlined:
        if outline.polygons:
            fit = {"outline_iou": round(outline.iou, 4), "outline_vertices": outline.vertices}
            shape = {"segmentation": [p.reshape(-1).tolist() for p in outline.polygons]} | measures(mask)
            yield shape | extra | {"attributes": extra["attributes"] | fit}


def _extra_keys(draft: Draft, drawn: Mask, how: How, objects: Sequence[str]) -> dict[str, Any]:
    """What an annotation holds beyond the format: the score, and the attributes that say who made it."""
    attributes = written(draft, drawn, how, objects)
    score = {"score": attributes.pop("score")} if "score" in attributes else {}
    return score | {"attributes": attributes}
