"""labelme files read, and those of programs that took over its layout, such as X-AnyLabeling."""

from __future__ import annotations

import base64
import io
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageDraw

from ..drafts import Draft, Status
from ..errors import InputError
from . import reading
from .intake import Intake
from .pictures import Pictures
from .raster import draw
from .report import Report
from .rle import Mask


def read(
    path: Path,
    *,
    images: Path | Pictures | None = None,
    status: Status | None = None,
    report: Report | None = None,
) -> list[Draft]:
    """Read labelme files: masks, polygons, rectangles, circles and rotated boxes.

    Args:
        path: a JSON file, or a folder with such files in it and in the folders below.
        images: the folder of the pictures, by default that of the files.
        status: of all drafts; by default what the file says, and ``accepted`` where it does not tell.
        report: takes what is left out; without it the first such thing is an error.

    Returns:
        A draft for each picture and label, and one for each label that is said to be absent.

    Raises:
        InputError: not such files, or too large.
    """
    folder = path if path.is_dir() else path.parent
    files = reading.files_below(path, ".json") if path.is_dir() else [reading.only_file(path)]
    if not files:
        raise InputError(f"'{path}' holds no labelme files. Choose the folder that holds them.")
    intake = Intake(Pictures.of(images, folder), status=status, report=report)
    others = []
    for file in files:
        name = file.relative_to(folder).as_posix()
        with intake.entry(f"'{name}'"):
            try:
                data = reading.load_object(file, "shapes")
            except reading.OtherFile:
                if len(files) == 1:
                    raise
                others.append(name)
                continue
            _read_file(data, intake, name)
    if len(others) == len(files):
        raise InputError(
            f"None of the {len(files)} JSON files in '{path}' is a labelme file: they lack 'shapes'."
        )
    if others:
        listed = ", ".join(f"'{name}'" for name in others[:5])
        intake.report.notes.append(f"Passed over, since they are no labelme files: {listed}.")
    return intake.drafts()


def _read_file(data: dict[str, Any], intake: Intake, file: str) -> None:
    shapes = data["shapes"]
    if not isinstance(shapes, list):
        raise InputError("Its 'shapes' is not a list.")
    own = reading.mapping(data.get("lfss"))
    original = own.get("original")
    below = PurePosixPath(file).parent
    given = data.get("imagePath")
    named = (
        given.replace("\\", "/")
        if isinstance(given, str) and given.strip()
        else f"{PurePosixPath(file).stem}.jpg"
    )
    embedded = data.get("imageData")
    sheet = intake.picture(
        str(below / named),
        reading.size_if_given(data.get("imageHeight"), data.get("imageWidth")),
        digest=own.get("digest"),
        also=[str(below / original)] if isinstance(original, str) and original.strip() else [],
        stem=not isinstance(given, str),
        exported=own.get("exported"),
        own="digest" in own,
        embedded=embedded if isinstance(embedded, str) else None,
    )
    for place, shape in enumerate(shapes, start=1):
        label = shape.get("label") if isinstance(shape, dict) else None
        with intake.entry(f"'{file}', shape {place} ({label})"):
            attributes = reading.mapping(shape.get("lfss"))
            mask = _shape_mask(shape, sheet.size, own="model" in attributes)
            intake.add(sheet, label, mask, attributes, group=shape.get("group_id"))
    intake.absent(sheet, own.get("absent"))


def _shape_mask(shape: dict[str, Any], size: tuple[int, int], *, own: bool) -> Mask:
    kind = shape.get("shape_type") or "polygon"
    if kind in ("polygon", "rotation"):
        rings = reading.polygons([shape["points"]])
        reading.check_pixels(rings, size, own=own)
        return draw(rings, size, "pillow") > 0
    if kind not in ("mask", "rectangle", "circle"):
        raise InputError(
            f"A shape of the kind '{kind}' covers no area, or none that can be drawn. Draw it as a polygon."
        )
    points = np.array(shape["points"], np.float64).reshape(-1, 2)
    if len(points) < 2 or not (np.abs(points) < 1e6).all():
        raise InputError(f"A {kind} needs two points in its picture.")
    reading.check_pixels([points.astype(np.float32)], size, own=own or kind == "mask")
    if kind == "circle":
        return _circle(points, size)
    (left, top), (right, bottom) = points.min(0).astype(int).tolist(), points.max(0).astype(int).tolist()
    if kind == "rectangle":
        # Four corners, as X-AnyLabeling writes them, may come in any order.
        return _pasted(np.True_, left, top, right, bottom, size)
    return _pasted(_crop(shape["mask"], (bottom - top + 1, right - left + 1)), left, top, right, bottom, size)


def _circle(points: npt.NDArray[np.float64], size: tuple[int, int]) -> Mask:
    """A disc from its centre and a point on its rim, painted as labelme does."""
    (x, y), (rim_x, rim_y) = points[0], points[1]
    radius = float(np.hypot(rim_x - x, rim_y - y))
    picture = PIL.Image.new("1", size[::-1])
    box = (x - radius, y - radius, x + radius, y + radius)
    PIL.ImageDraw.Draw(picture).ellipse(box, fill=1, outline=1)
    return np.array(picture, np.bool_)


def _pasted(inside: Any, left: int, top: int, right: int, bottom: int, size: tuple[int, int]) -> Mask:
    """A box filled with ``inside``; what reaches beyond the picture is cut off."""
    mask = np.zeros(size, np.bool_)
    rows = slice(max(top, 0), max(bottom + 1, 0))
    columns = slice(max(left, 0), max(right + 1, 0))
    if np.ndim(inside):
        inside = inside[rows.start - top :, columns.start - left :]
        inside = inside[: max(size[0] - rows.start, 0), : max(size[1] - columns.start, 0)]
    mask[rows, columns] = inside
    return mask


def _crop(text: str, shape: tuple[int, int]) -> Mask:
    with PIL.Image.open(io.BytesIO(base64.b64decode(text)), formats=["PNG"]) as picture:
        if picture.size != shape[::-1]:
            raise InputError("The mask of a shape has another size than its box. Export it again.")
        return np.asarray(picture.convert("L")) > 0
