"""Label Studio: one JSON file of tasks, and the labelling configuration that fits it.

Masks are brush strokes (run lengths, every pixel kept) or polygons, a region for each object. Polygons are
in percent of the picture; the parts of one object are tied by a line without width, and holes are cut open
to the outside. A machine's drafts come as predictions of its model, with their score; what a person
accepted or changed comes as an annotation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from ..drafts import Draft
from ..errors import UnknownName
from .labelstudio_reading import read as read
from .outlines import DETAIL, check_settings, trace
from .output import copy_pictures, new_folder, placed, write_json_list
from .palette import colour_of, hexadecimal
from .pieces import How, check_how, pieces
from .plan import ExportPlan, Picture, plan_export
from .provenance import object_seal, sentence, written
from .raster import Points, draw, draw_near
from .rings import bridged
from .rle import Mask, brush

Shapes = Literal["brush", "polygon"]
Regions = Callable[[int], list[dict[str, Any]]]
PREFIX = "/data/local-files/?d="

_INWARDS = 0.01  # of a pixel: half pixels lie where COCO's rule rounds, and percent are never exact
_TAGS = {"brush": "BrushLabels", "polygon": "PolygonLabels"}


def write(
    drafts: Sequence[Draft],
    out: Path,
    *,
    shapes: Shapes = "brush",
    detail: float = DETAIL,
    min_part: int = 1,
    objects: How = "parts",
    prefix: str = PREFIX,
    labels: Sequence[str] | None = None,
    images: bool = False,
) -> list[Path]:
    """Write ``tasks.json`` and ``labeling_config.xml``.

    Args:
        drafts: what to export; see ``plan_export``.
        out: a folder that does not exist yet, or is empty.
        shapes: ``brush`` or ``polygon``.
        detail: how far polygons may leave the mask, in pixels; see ``outlines.trace``.
        min_part: connected parts of fewer pixels are left out of polygons.
        objects: a region for each object (``parts``, ``each``), or one for all; see ``pieces.pieces``.
        prefix: what stands before the file name in a task: where Label Studio finds the picture. The
            default fits a local storage whose folder is the document root; add the folder to it.
        labels: all labels; without it, in order of appearance.
        images: copy the pictures to ``images``.

    Returns:
        The files written.

    Raises:
        ExportError: the drafts cannot be exported, or the folder cannot be written.
        InputError: detail or min_part is out of range.
        UnknownName: no such kind of shapes.
    """
    check_settings(detail, min_part)
    if shapes not in _TAGS:
        raise UnknownName("kind of shapes", shapes, get_args(Shapes))
    check_how(objects)
    plan = plan_export(drafts, labels)

    def regions(place: int) -> list[dict[str, Any]]:
        draft = drafts[place]
        if shapes == "polygon":
            values, outlines = _polygons(draft, objects, detail, min_part)
            drawn = draw(outlines, draft.size, "coco") > 0
            seals = [object_seal([draw_near([outline], draft.size, "coco")]) for outline in outlines]
        else:
            both = [(_brush(mask), object_seal([mask])) for mask in pieces(draft, objects)]
            values, seals, drawn = [v for v, _ in both], [s for _, s in both], draft.mask
        made = written(draft, drawn, objects, seals)
        return [_region(draft, shapes, f"d{place}p{n}", value, made) for n, value in enumerate(values)]

    with new_folder(out) as folder:
        config = folder / "labeling_config.xml"
        config.write_text(_config(plan, shapes), encoding="utf-8", newline="\n")
        write_json_list(
            folder / "tasks.json",
            (_task(p, {i: drafts[i] for i in p.drafts}, prefix, regions) for p in plan.pictures),
        )
        if images:
            copy_pictures(plan.pictures, folder / "images")
        return placed(folder, out)


def _config(plan: ExportPlan, shapes: Shapes) -> str:
    labels = "".join(
        f"    <Label value={quoteattr(label)} background={quoteattr(hexadecimal(colour_of(n)))}/>\n"
        for n, label in enumerate(plan.labels)
    )
    return (
        f'<View>\n  <Image name="image" value="$image" zoom="true" zoomControl="true"/>\n'
        f'  <{_TAGS[shapes]} name="label" toName="image">\n{labels}  </{_TAGS[shapes]}>\n</View>\n'
    )


def _task(picture: Picture, shown: dict[int, Draft], prefix: str, regions: Regions) -> dict[str, Any]:
    made = {place: regions(place) for place in shown}
    data: dict[str, Any] = {"image": prefix + quote(picture.name), "name": picture.original}
    data["lfss"] = {
        "digest": picture.digest,
        "size": list(picture.size),
        "absent": list(picture.absent),
        "exported": [found[0]["meta"]["lfss"]["exported"] for found in made.values() if found],
    }
    scores = [d.score for d in shown.values() if d.score is not None]
    if scores:
        data["lowest_score"] = min(scores)
    if picture.absent:
        data["absent"] = ", ".join(picture.absent)
    predictions: dict[str, dict[str, Any]] = {}
    done: list[dict[str, Any]] = []
    for place, draft in shown.items():
        if draft.status != "proposed":
            done += made[place]
            continue
        model = predictions.setdefault(
            draft.origin.model, {"model_version": draft.origin.model, "result": []}
        )
        model["result"] += made[place]
        if draft.score is not None:
            model["score"] = min(model.get("score", 1.0), draft.score)
    task: dict[str, Any] = {"data": data, "predictions": list(predictions.values())}
    return task | {"annotations": [{"result": done}] if done else []}


def _region(
    draft: Draft, shapes: Shapes, number: str, value: dict[str, Any], made: dict[str, Any]
) -> dict[str, Any]:
    kind = _TAGS[shapes].lower()
    region: dict[str, Any] = {
        "id": number,
        "from_name": "label",
        "to_name": "image",
        "type": kind,
        "original_width": draft.size[1],
        "original_height": draft.size[0],
        "image_rotation": 0,
        "value": value | {kind: [draft.label]},
        "meta": {"text": [sentence(draft)], "lfss": made},
    }
    return region | ({"score": draft.score} if draft.score is not None else {})


def _brush(mask: Mask) -> dict[str, Any]:
    return {"format": "rle", "rle": brush(mask)}


def _polygons(
    draft: Draft, how: How, detail: float, min_part: int
) -> tuple[list[dict[str, Any]], list[Points]]:
    """A region for each object, and its outline as readers find it in the file."""
    height, width = draft.size
    scale = np.array((100 / width, 100 / height))
    regions, drawn = [], []
    outlines = (trace(mask, detail=detail, min_part=min_part) for mask in pieces(draft, how))
    for polygon in (bridged(outline.polygons) for outline in outlines if outline.polygons):
        percent = np.minimum((polygon.astype(np.float64) + _INWARDS) * scale, 100).round(6)
        regions.append({"points": percent.tolist(), "closed": True})
        drawn.append((percent / scale).astype(np.float32))
    return regions, drawn
