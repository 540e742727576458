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

from ..drafts import Draft, Status
from ..errors import InputError
from . import reading
from .outlines import DETAIL, check_settings, trace
from .output import copy_pictures, new_folder, placed, write_json
from .provenance import describe, restore
from .raster import draw
from .rle import Mask, bounds, coco_counts, from_coco_counts, from_string, to_string
from .survey import Picture, survey

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
        drafts: what to export; see ``survey``.
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
    plan = survey(drafts, labels)

    def annotations() -> Iterator[dict[str, Any]]:
        number = 0
        for image, picture in enumerate(plan.pictures, start=1):
            for draft in (drafts[p] for p in picture.drafts):
                if shape := run_lengths(draft) if rle else _polygons(draft, detail, min_part):
                    number += 1
                    category = plan.labels.index(draft.label) + 1
                    yield {"id": number, "image_id": image, "category_id": category, "iscrowd": 0} | shape

    with new_folder(out) as folder:
        (folder / "annotations").mkdir()
        write_json(
            folder / "annotations" / f"instances_{SUBSET}.json",
            {"info": {"description": "LFSS Studio"}, "licenses": []},
            {
                "categories": categories(plan.labels),
                "images": (image_entry(i, p) for i, p in enumerate(plan.pictures, start=1)),
                "annotations": annotations(),
            },
        )
        if images:
            copy_pictures(plan.pictures, folder / "images" / SUBSET)
        return placed(folder, out)


def categories(labels: Sequence[str]) -> list[dict[str, Any]]:
    """COCO's list of labels, numbered from 1."""
    return [{"id": i, "name": label, "supercategory": ""} for i, label in enumerate(labels, start=1)]


def image_entry(number: int, picture: Picture) -> dict[str, Any]:
    """COCO's entry of a picture."""
    entry: dict[str, Any] = {
        "id": number,
        "file_name": picture.name,
        "height": picture.size[0],
        "width": picture.size[1],
    }
    facts = {"digest": picture.digest, "original": picture.original, "absent": list(picture.absent)}
    return entry | {"lfss": {key: value for key, value in facts.items() if value}}


def run_lengths(draft: Draft) -> dict[str, Any]:
    """Segmentation, box, area, score and provenance of a draft, as run lengths."""
    counts = coco_counts(draft.mask)
    shape = {"segmentation": {"size": list(draft.size), "counts": to_string(counts)}}
    return shape | measures(draft.mask) | _said(draft)


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
    said = _said(draft)
    said["attributes"] |= {"outline_iou": round(outline.iou, 4), "outline_vertices": outline.vertices}
    return shape | said


def _said(draft: Draft) -> dict[str, Any]:
    said = describe(draft)
    score = {"score": said.pop("score")} if "score" in said else {}
    return score | {"attributes": said}


def read(path: Path, *, images: Path | None = None, status: Status = "accepted") -> list[Draft]:
    """Read COCO instances, from this program or another.

    Args:
        path: the JSON file, or a folder with one under ``annotations``.
        images: the folder of the pictures. Their digests are read from them where the file does not
            tell; without it such drafts have the digest "" and are matched by name.
        status: of drafts about which the file does not say whether a person has seen them.

    Returns:
        A draft for each annotation with a mask, and one for each label that is said to be absent.

    Raises:
        InputError: not such a file, damaged, or too large.
    """
    file = reading.only_file(path, "annotations/instances_*.json", "*.json")
    with reading.told_of(file):
        data = reading.load_object(file, "images", "annotations", "categories")
        names = {c["id"]: reading.text(c["name"]) for c in data["categories"]}
        pictures = {i["id"]: i for i in data["images"]}
        sizes = {key: reading.size(i["height"], i["width"]) for key, i in pictures.items()}
        shapes = [a for a in data["annotations"] if a.get("segmentation")]
        reading.check_total(sizes[a["image_id"]] for a in shapes)
        known = {key: _picture_facts(i, sizes[key], images) for key, i in pictures.items()}
        drafts = []
        for shape in shapes:
            key = shape["image_id"]
            said = reading.mapping(shape.get("attributes")) | {"score": shape.get("score")}
            mask = _mask(shape["segmentation"], sizes[key])
            label = names[shape["category_id"]]
            drafts.append(Draft(label=label, mask=mask, **known[key], **restore(said, status=status)))
        for key, picture in pictures.items():
            for label in reading.strings(reading.mapping(picture.get("lfss")).get("absent")):
                empty = np.zeros(sizes[key], np.bool_)
                drafts.append(Draft(label=label, mask=empty, status="absent", **known[key]))
    return drafts


def _picture_facts(entry: dict[str, Any], size: tuple[int, int], images: Path | None) -> dict[str, Any]:
    own = reading.mapping(entry.get("lfss"))
    return reading.picture_facts(reading.text(entry["file_name"]), size, images, digest=own.get("digest"))


def _mask(segmentation: Any, size: tuple[int, int]) -> Mask:
    if isinstance(segmentation, list):
        return draw(reading.polygons(segmentation), size, "coco") > 0
    counts = segmentation["counts"]
    if list(segmentation["size"]) != list(size):
        raise InputError(f"A mask has the size {segmentation['size']}, its picture {list(size)}.")
    runs = from_string(counts) if isinstance(counts, str) else np.array(counts, np.int64)
    return from_coco_counts(runs, size)
