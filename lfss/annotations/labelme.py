"""labelme: a JSON file for each picture, a shape for each draft.

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
from .plan import plan_export
from .provenance import describe, exported, sentence
from .raster import draw
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
    plan = plan_export(drafts, labels)
    with new_folder(out) as folder:
        for picture in plan.pictures:
            places = sorted(picture.drafts, key=lambda p: plan.labels.index(drafts[p].label))
            written: list[dict[str, Any]] = []
            seals = []
            for number, draft in enumerate((drafts[p] for p in places), start=1):
                if shapes == "mask":
                    found, drawn = [_mask_shape(draft)], draft.mask
                else:
                    found, drawn = _polygon_shapes(draft, number, detail, min_part)
                if found:
                    seals.append(exported(draft, drawn))
                written += [shape | {"lfss": describe(draft) | {"exported": seals[-1]}} for shape in found]
            own: dict[str, Any] = {"digest": picture.digest, "original": picture.original}
            own |= {"absent": list(picture.absent), "exported": seals}
            head = {
                "version": _VERSION,
                "flags": {},
                "imagePath": picture.name,
                "imageData": None,
                "imageHeight": picture.size[0],
                "imageWidth": picture.size[1],
                "lfss": {key: value for key, value in own.items() if value},
            }
            write_json(folder / f"{picture.stem}.json", head, {"shapes": written})
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


def _mask_shape(draft: Draft) -> dict[str, Any]:
    top, left, height, width = bounds(draft.mask)
    crop = draft.mask[top : top + height, left : left + width].view(np.uint8) * np.uint8(255)
    box = [[float(left), float(top)], [float(left + width - 1), float(top + height - 1)]]
    return _shape(draft, "mask", box, None) | {"mask": base64.b64encode(as_png(crop)).decode("ascii")}


def _polygon_shapes(
    draft: Draft, group: int, detail: float, min_part: int
) -> tuple[list[dict[str, Any]], Mask]:
    """A shape for each connected part, and the mask as readers draw them."""
    polygons = trace(draft.mask, target="pillow", detail=detail, min_part=min_part).polygons
    tied = group if len(polygons) > 1 else None
    shapes = [_shape(draft, "polygon", polygon.tolist(), tied) for polygon in polygons]
    return shapes, draw(polygons, draft.size, "pillow") > 0
