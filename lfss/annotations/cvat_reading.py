"""CVAT for images 1.1 read: masks, polygons, boxes and ellipses, from this program, CVAT or datumaro."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..drafts import Draft, Status
from ..errors import InputError
from . import reading
from .intake import Intake
from .pictures import Pictures
from .raster import draw, ellipse, rotated
from .report import Report
from .rle import Mask, from_runs

_SHAPES = ("mask", "polygon", "box", "ellipse")


def read(
    path: Path,
    *,
    images: Path | Pictures | None = None,
    status: Status | None = None,
    report: Report | None = None,
) -> list[Draft]:
    """Read CVAT's XML of a task of pictures.

    Args:
        path: the XML file, or the folder with it, such as an unpacked export.
        images: the folder of the pictures; by default ``images`` in the folder.
        status: of all drafts; by default what the file says, and ``accepted`` where it does not tell.
        report: takes what is left out; without it the first such thing is an error.

    Returns:
        A draft for each picture and label.

    Raises:
        InputError: not such a file, damaged, or too large.
    """
    file = reading.only_file(path, "annotations.xml", "*.xml")
    intake = Intake(Pictures.of(images, file.parent / "images"), status=status, report=report)
    with reading.about_file(file):
        root = _parsed(reading.read_text(file))
        for number, image in enumerate(root.findall("image"), start=1):
            with intake.entry(f"'{file.name}', image {number} ('{image.get('name')}')"):
                _read_image(image, intake, file.name)
        if tracks := root.findall("track"):
            intake.pass_over(
                f"'{file.name}': {len(tracks)} tracks of a video. Export the task as 'CVAT for images 1.1'."
            )
    return intake.drafts()


def _parsed(text: str) -> ElementTree.Element:
    # No file of CVAT defines entities: those that do are meant to fill memory or to open other files.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError("It defines entities, which files of CVAT never do. Export it again from CVAT.")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"It is not XML, or it is cut short ({error}). Export it again.") from error
    if root.tag != "annotations":
        raise reading.OtherFile(f"It begins with <{root.tag}>, a file of CVAT with <annotations>.")
    return root


def _read_image(image: ElementTree.Element, intake: Intake, file: str) -> None:
    name = reading.text(image.get("name"))
    shapes = list(_shapes(image))
    if not shapes:
        return
    size = reading.size_if_given(image.get("height"), image.get("width"))
    sheet = intake.picture(name, size)
    for number, shape in enumerate(shapes, start=1):
        with intake.entry(f"'{file}', '{name}', shape {number} ({shape.get('label')})"):
            attributes: dict[str, Any] = {a.get("name", ""): a.text or "" for a in shape.findall("attribute")}
            own = "exported" in attributes
            intake.add(
                sheet,
                shape.get("label"),
                _mask(shape, sheet.size, own=own),
                attributes,
                group=shape.get("group_id"),
            )
            if shape.tag == "box":
                intake.filled_boxes += 1


def _shapes(image: ElementTree.Element) -> Iterator[ElementTree.Element]:
    return (child for child in image if child.get("label") and child.tag != "tag")


def _mask(shape: ElementTree.Element, size: tuple[int, int], *, own: bool) -> Mask:
    if shape.tag == "mask":
        return _run_lengths(shape, size)
    if shape.tag not in _SHAPES:
        raise InputError(f"A shape of the kind '{shape.tag}' covers no area. Draw it as a polygon or mask.")
    if shape.tag == "polygon":
        points = [pair.split(",") for pair in (shape.get("points") or "").split(";")]
        rings = reading.polygons([points])
        reading.check_pixels(rings, size, own=own)
    elif shape.tag == "box":
        left, top, right, bottom = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
        corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
        rings = reading.polygons([rotated(corners, _angle(shape))])
    else:
        x, y, across, down = _numbers(shape, "cx", "cy", "rx", "ry")
        rings = reading.polygons([rotated(ellipse(x, y, across, down), _angle(shape))])
    return draw(rings, size, "coco") > 0


def _numbers(shape: ElementTree.Element, *names: str) -> list[float]:
    return [float(shape.get(name, "")) for name in names]


def _angle(shape: ElementTree.Element) -> float:
    return float(shape.get("rotation") or 0)


def _run_lengths(shape: ElementTree.Element, size: tuple[int, int]) -> Mask:
    """A mask from run lengths over its box; what reaches beyond the picture is cut off."""
    left, top, width, height = (int(v) for v in _numbers(shape, "left", "top", "width", "height"))
    if width < 1 or height < 1 or left < 0 or top < 0 or width > 2 * size[1] or height > 2 * size[0]:
        raise InputError(f"The box of its mask, {width} x {height} at {left}, {top}, is not in the picture.")
    counts = np.array([int(count) for count in (shape.get("rle") or "").split(",")], np.int64)
    crop = from_runs(counts, width * height).reshape(height, width)
    mask = np.zeros(size, np.bool_)
    inside = mask[top : top + height, left : left + width]
    inside[:] = crop[: inside.shape[0], : inside.shape[1]]
    return mask
