"""labelme: a JSON file for each picture, a shape for each object.

Shapes are masks by default, which keep every pixel. As polygons, every connected part is a shape of
its own, all with the same group number, and holes are cut open to the outside (see ``outlines``).
Each shape says in its note, and in full in ``lfss``, who made it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ..drafts import Draft
from ..errors import UnknownName
from .labelme_reading import read as read
from .outlines import DETAIL, check_settings, trace
from .output import as_png, copy_pictures, new_folder, placed, write_json
from .pieces import How, check_how, pieces
from .plan import plan_export
from .provenance import Value, object_seal, sentence, written
from .raster import Points, draw, draw_near
from .rle import Mask, bounds

Shapes = Literal["mask", "polygon"]
_VERSION = "6.3.1"  # of the layout


def write(
    drafts: Sequence[Draft],
    out: Path,
    *,
    shapes: Shapes = "mask",
    detail: float = DETAIL,
    min_part: int = 1,
    objects: How = "parts",
    labels: Sequence[str] | None = None,
    images: bool = False,
) -> list[Path]:
    """Write ``<picture>.json`` for each picture; labelme wants them beside the pictures.

    Args:
        drafts: what to export; see ``plan_export``.
        out: a folder that does not exist yet, or is empty.
        shapes: ``mask`` or ``polygon``.
        detail: how far polygons may leave the mask, in pixels; see ``outlines.trace``.
        min_part: connected parts of fewer pixels are left out of polygons.
        objects: a group of shapes for each object (``parts``, ``each``), or one for all; see
            ``pieces.pieces``.
        labels: all labels, the topmost last; without it, in order of appearance.
        images: copy the pictures beside the files.

    Returns:
        The files written.

    Raises:
        ExportError: the drafts cannot be exported, or the folder cannot be written.
        InputError: detail or min_part is out of range.
        UnknownName: no such kind of shapes.
    """
    check_settings(detail, min_part)
    if shapes not in get_args(Shapes):
        raise UnknownName("kind of shapes", shapes, get_args(Shapes))
    check_how(objects)
    plan = plan_export(drafts, labels)
    with new_folder(out) as folder:
        for picture in plan.pictures:
            places = sorted(picture.drafts, key=lambda p: plan.labels.index(drafts[p].label))
            listed: list[dict[str, Any]] = []
            exported: list[Value] = []
            for draft in (drafts[p] for p in places):
                if shapes == "polygon":
                    group = 1 + max((s["group_id"] or 0 for s in listed), default=0)
                    found, outlines = _polygon_shapes(draft, objects, group, detail, min_part)
                    drawn = draw([ring for rings in outlines for ring in rings], draft.size, "pillow") > 0
                    parts = [[draw_near([r], draft.size, "pillow") for r in rings] for rings in outlines]
                    seals = [object_seal(one) for one in parts]
                else:
                    both = [(_mask_shape(draft, m), object_seal([m])) for m in pieces(draft, objects)]
                    found, seals, drawn = [f for f, _ in both], [s for _, s in both], draft.mask
                made = written(draft, drawn, objects, seals)
                exported += [made["exported"]] if found else []
                listed += [shape | {"lfss": made} for shape in found]
            own: dict[str, Any] = {"digest": picture.digest, "original": picture.original}
            own |= {"absent": list(picture.absent), "exported": exported}
            head = {
                "version": _VERSION,
                "flags": {},
                "imagePath": picture.name,
                "imageData": None,
                "imageHeight": picture.size[0],
                "imageWidth": picture.size[1],
                "lfss": {key: value for key, value in own.items() if value},
            }
            write_json(folder / f"{picture.stem}.json", head, {"shapes": listed})
        if images:
            copy_pictures(plan.pictures, folder)
        return placed(folder, out)


def _shape(draft: Draft, kind: Shapes, points: list[list[float]], group: int | None) -> dict[str, Any]:
    return {
        "label": draft.label,
        "points": points,
        "group_id": group,
        "description": sentence(draft),
        "shape_type": kind,
        "flags": {draft.status: True},
    }


def _mask_shape(draft: Draft, mask: Mask) -> dict[str, Any]:
    top, left, height, width = bounds(mask)
    crop = mask[top : top + height, left : left + width].view(np.uint8) * np.uint8(255)
    box = [[float(left), float(top)], [float(left + width - 1), float(top + height - 1)]]
    return _shape(draft, "mask", box, None) | {"mask": base64.b64encode(as_png(crop)).decode("ascii")}


def _polygon_shapes(
    draft: Draft, how: How, group: int, detail: float, min_part: int
) -> tuple[list[dict[str, Any]], list[list[Points]]]:
    """A shape for each connected part of each object, and the outlines of each object.

    Args:
        group: the first free number; it ties the parts of one object.
    """
    shapes: list[dict[str, Any]] = []
    outlines: list[list[Points]] = []
    for mask in pieces(draft, how):
        polygons = trace(mask, target="pillow", detail=detail, min_part=min_part).polygons
        tied = group if len(polygons) > 1 else None
        group += len(polygons) > 1
        shapes += [_shape(draft, "polygon", polygon.tolist(), tied) for polygon in polygons]
        if polygons:
            outlines.append(list(polygons))
    return shapes, outlines
