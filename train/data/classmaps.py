"""One class a pixel, from a PNG or from COCO's objects.

A class map is 0 for background. Where COCO's objects overlap, the later one in the file lies on top,
as in the masks that the field's lists were made from. Crowds, COCO's coarse outlines around groups,
count for no class; their pixels are unknown, or background on request.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from lfss.annotations.raster import draw
from lfss.annotations.rle import from_coco_counts, from_string
from lfss.errors import InputError

from .layouts import IGNORE, NOT_SALIENT, SALIENT, MaskFile, Shape, Shapes, Source
from .splits import GRID_START, GRID_STEP

Crowd = Literal["ignore", "background"]
ClassMap = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_ROTATED = (5, 6, 7, 8)  # EXIF orientations that swap rows and columns
_ORIENTATION = 0x0112
_UNREADABLE = (OSError, SyntaxError, PIL.Image.DecompressionBombError)


def read_label(label: MaskFile | Shapes, crowd: Crowd = "ignore") -> tuple[ClassMap, npt.NDArray[np.bool_]]:
    """Class map and unknown pixels of one picture.

    Returns:
        (H, W) uint8, or uint16 where a class number needs it, and (H, W) bool. The class map is 0
        where it is unknown.

    Raises:
        InputError: the mask cannot be read, is in colour, or holds a value that is no class.
    """
    if isinstance(label, Shapes):
        return _paint(label, crowd)
    try:
        with PIL.Image.open(label.path) as file:
            black_and_white = label.white is not None and label.photo is None
            mode, raw = file.mode, np.asarray(file.convert("L") if black_and_white else file)
    except _UNREADABLE as error:
        raise InputError(f"The mask '{label.path}' cannot be read ({error}). Replace it.") from error
    if label.white is not None:
        inside, ignore = raw >= 128, np.zeros(raw.shape, np.bool_)
        if label.photo is not None:
            height, width = _picture_size(label.photo)
            saliency = cv2.resize(raw, (width, height), interpolation=cv2.INTER_LINEAR)
            inside = saliency >= SALIENT
            ignore = ~inside & (saliency > NOT_SALIENT)
        kind = np.uint8 if label.white < IGNORE else np.uint16
        return np.where(inside, kind(label.white), kind(0)), ignore
    if raw.ndim != 2:
        raise InputError(
            f"The mask '{label.path}' is in colour ({mode}); class numbers are expected. "
            "Export it as a palette or grey PNG."
        )
    values = raw.astype(np.uint8 if raw.dtype.itemsize == 1 else np.uint16)
    ignore = values == IGNORE
    strange = set(np.unique(values).tolist()) - label.values - {0, IGNORE}
    if strange:
        raise InputError(f"The mask '{label.path}' holds the value {min(strange)}, which is no class here.")
    return np.where(ignore, values.dtype.type(0), values), ignore


def measure(source: Source) -> dict[str, list[int]]:
    """How much of each class a mask shows, after checking that it has its picture's size.

    Returns:
        For each class that is marked at all, as text: its pixels, and its points of the grid (see
        ``train.data.splits``).

    Raises:
        InputError: as ``read_label``; or mask and picture differ in size.
    """
    label = source.label
    image_size = _picture_size(source.image)
    label_size = label.size if isinstance(label, Shapes) else _picture_size(label.photo or label.path)
    if image_size != label_size:
        where = f"the outlines in '{label.file}'" if isinstance(label, Shapes) else f"its mask '{label.path}'"
        raise InputError(
            f"The picture '{source.image}' is {image_size[0]} x {image_size[1]} (rows x columns), {where} "
            f"{label_size[0]} x {label_size[1]}. Bring the right pair together."
        )
    classes, _ = read_label(label)
    areas = np.bincount(classes.ravel())
    points = np.bincount(classes[GRID_START::GRID_STEP, GRID_START::GRID_STEP].ravel(), minlength=len(areas))
    table = {int(c): [int(areas[c]), int(points[c])] for c in np.flatnonzero(areas) if c}
    if isinstance(label, Shapes):
        table = {shape.class_id: [0, 0] for shape in label.shapes} | table
    return {str(c): table[c] for c in sorted(table)}


def _paint(label: Shapes, crowd: Crowd) -> tuple[ClassMap, npt.NDArray[np.bool_]]:
    highest = max((shape.class_id for shape in label.shapes), default=0)
    kind: type[np.uint8] | type[np.uint16] = np.uint8 if highest < IGNORE else np.uint16
    classes: npt.NDArray = np.zeros(label.size, kind)
    ignore = np.zeros(label.size, np.bool_)
    for shape in label.shapes:
        inside = covered(shape, label)
        if not shape.crowd:
            classes[inside] = shape.class_id
        elif crowd == "ignore":
            ignore |= inside
    return classes, ignore & (classes == 0)


def covered(shape: Shape, label: Shapes) -> npt.NDArray[np.bool_]:
    """(H, W) the pixels of one object of a COCO file.

    Raises:
        InputError: its run lengths do not fit the picture.
    """
    if shape.runs is None:
        return draw(shape.polygons, label.size, "coco") > 0
    try:
        counts = from_string(shape.runs) if isinstance(shape.runs, str) else shape.runs
        return from_coco_counts(counts, label.size)
    except InputError as error:
        raise InputError(f"'{label.file}': {error}") from error


def _picture_size(path: Path) -> tuple[int, int]:
    try:
        with PIL.Image.open(path) as file:
            width, height = file.size
            turned = file.getexif().get(_ORIENTATION) in _ROTATED
    except _UNREADABLE as error:
        raise InputError(f"The picture '{path}' cannot be read ({error}). Replace it.") from error
    return (width, height) if turned else (height, width)
