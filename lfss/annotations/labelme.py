"""labelme: a JSON file for each picture, a shape for each draft.

Shapes are masks by default, which keep every pixel. As polygons, every connected part is a shape of
its own, all with the same group number, and holes are cut open to the outside (see ``outlines``).
Each shape says in its note, and in full in ``lfss``, who made it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import PIL.Image

from ..drafts import Draft, Status
from ..errors import InputError, UnknownName
from . import reading
from .outlines import DETAIL, check_settings, trace
from .output import as_png, copy_pictures, new_folder, placed, write_json
from .provenance import describe, restore, sentence
from .raster import draw
from .rle import Mask, bounds
from .survey import survey

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
        drafts: what to export; see ``survey``.
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
    plan = survey(drafts, labels)
    with new_folder(out) as folder:
        for picture in plan.pictures:
            places = sorted(picture.drafts, key=lambda p: plan.labels.index(drafts[p].label))
            found = (drafts[p] for p in places)
            if shapes == "mask":
                written = [_mask_shape(d) for d in found]
            else:
                numbered = enumerate(found, start=1)
                written = [s for n, d in numbered for s in _polygon_shapes(d, n, detail, min_part)]
            own = {"digest": picture.digest, "original": picture.original, "absent": list(picture.absent)}
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
        "lfss": describe(draft),
    }


def _mask_shape(draft: Draft) -> dict[str, Any]:
    top, left, height, width = bounds(draft.mask)
    crop = draft.mask[top : top + height, left : left + width].view(np.uint8) * np.uint8(255)
    box = [[float(left), float(top)], [float(left + width - 1), float(top + height - 1)]]
    return _shape(draft, "mask", box, None) | {"mask": base64.b64encode(as_png(crop)).decode("ascii")}


def _polygon_shapes(draft: Draft, group: int, detail: float, min_part: int) -> Iterator[dict[str, Any]]:
    outline = trace(draft.mask, target="pillow", detail=detail, min_part=min_part)
    for polygon in outline.polygons:
        yield _shape(draft, "polygon", polygon.tolist(), group if len(outline.polygons) > 1 else None)


def read(path: Path, *, images: Path | None = None, status: Status = "accepted") -> list[Draft]:
    """Read labelme files: masks, polygons and rectangles.

    Args:
        path: a JSON file, or a folder of them.
        images: the folder of the pictures, by default that of the files.
        status: of shapes about which the file does not say whether a person has seen them.

    Returns:
        A draft for each shape, or for each group of shapes of one label; and one for each label that
        is said to be absent.

    Raises:
        InputError: not such files, damaged, or too large; a shape without an area, such as a line.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [reading.only_file(path)]
    if not files:
        raise InputError(f"'{path}' holds no labelme files. Choose the folder that holds them.")
    drafts: list[Draft] = []
    pixels: list[tuple[int, int]] = []
    for file in files:
        with reading.told_of(file):
            found = _read_file(file, images or file.parent, status)
            pixels += [d.size for d in found]
            reading.check_total(pixels)
            drafts += found
    return drafts


def _read_file(file: Path, images: Path, status: Status) -> list[Draft]:
    data = reading.load_object(file, "shapes", "imagePath", "imageHeight", "imageWidth")
    size = reading.size(data["imageHeight"], data["imageWidth"])
    own = reading.mapping(data.get("lfss"))
    facts = reading.picture_facts(reading.text(data["imagePath"]), size, images, digest=own.get("digest"))
    reading.check_total(size for _ in data["shapes"])
    groups: dict[tuple[str, Any], list[dict[str, Any]]] = {}
    for place, shape in enumerate(data["shapes"]):
        group = shape.get("group_id")
        groups.setdefault(
            (reading.text(shape["label"]), ("shape", place) if group is None else group), []
        ).append(shape)
    drafts = []
    for (label, _), members in groups.items():
        mask = np.logical_or.reduce([_shape_mask(s, size) for s in members])
        said = restore(reading.mapping(members[0].get("lfss")), status=status)
        drafts.append(Draft(label=label, mask=mask, **facts, **said))
    for label in reading.strings(own.get("absent")):
        drafts.append(Draft(label=label, mask=np.zeros(size, np.bool_), status="absent", **facts))
    return drafts


def _shape_mask(shape: dict[str, Any], size: tuple[int, int]) -> Mask:
    kind = shape.get("shape_type") or "polygon"
    if kind == "polygon":
        return draw(reading.polygons([shape["points"]]), size, "pillow") > 0
    if kind not in ("mask", "rectangle"):
        raise InputError(f"A shape of the kind '{kind}' has no outline. Remove it, or draw it as a polygon.")
    (x1, y1), (x2, y2) = ((int(x), int(y)) for x, y in shape["points"])
    left, right, top, bottom = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    mask = np.zeros(size, np.bool_)
    if min(left, top) < 0 or right >= size[1] or bottom >= size[0]:
        raise InputError(f"A shape of '{shape['label']}' reaches beyond its picture. Draw it again.")
    inside = mask[top : bottom + 1, left : right + 1]
    inside[:] = _crop(shape["mask"], inside.shape) if kind == "mask" else True
    return mask


def _crop(text: str, shape: tuple[int, ...]) -> Mask:
    with PIL.Image.open(io.BytesIO(base64.b64decode(text)), formats=["PNG"]) as picture:
        if picture.size != shape[::-1]:
            raise InputError("The mask of a shape has another size than its box. Export it again.")
        return np.asarray(picture.convert("L")) > 0
