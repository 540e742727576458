"""Label maps in the layout of Pascal VOC read, as CVAT ("Segmentation mask 1.1") and datumaro write it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image

from .. import decode
from ..drafts import Draft, Status
from ..errors import InputError
from ..images import MAX_MEGAPIXELS
from . import reading, sidecar
from .intake import Intake
from .palette import Colour
from .pictures import Pictures
from .report import Report
from .rle import Mask

BACKGROUND = "background"
_OPEN = (224, 224, 192)  # the colour of pixels about which VOC's own files say nothing


def read(
    path: Path,
    *,
    images: Path | Pictures | None = None,
    status: Status | None = None,
    report: Report | None = None,
) -> list[Draft]:
    """Read the label maps of a VOC folder.

    Args:
        path: the folder with ``labelmap.txt`` and ``SegmentationClass``; maps may lie in folders below.
            Maps of the same names in ``SegmentationObject`` tell objects apart, where the two agree.
        images: the folder of the pictures, ``JPEGImages`` by default. Names and digests are read from
            them; a map without its picture has the name without extension, and the digest "".
        status: of all drafts; by default what this program noted beside the maps, or ``accepted``.
        report: takes what is left out; without it the first such thing is an error.

    Returns:
        A draft for each picture and label that is in it.

    Raises:
        InputError: not such a folder, or too large.
    """
    listing = reading.only_file(path / "labelmap.txt")
    maps = path / "SegmentationClass"
    files = reading.files_below(maps, ".png") if maps.is_dir() else []
    if not files:
        raise InputError(f"'{maps}' holds no PNG. Choose the folder above it.")
    with reading.about_file(listing):
        table = _label_colours(listing)
    intake = Intake(Pictures.of(images, path / "JPEGImages"), status=status, report=report)
    notes = sidecar.read(path)
    for file in files:
        name = file.relative_to(maps).with_suffix("").as_posix()
        with intake.entry(f"'{name}.png'"):
            codes = _colour_codes(file, table)
            note = notes.get(Path(name).name, sidecar.NOTHING)
            sheet = intake.picture(name, (codes.shape[0], codes.shape[1]), stem=True, **note.picture)
            intake.absent(sheet, list(note.absent))
            things = _objects(path / "SegmentationObject" / f"{name}.png", codes)
            for code in np.unique(codes).tolist():
                with intake.entry(f"'{name}.png'"):
                    if code not in table:
                        raise InputError(
                            f"Its colour #{code:06x} is not in labelmap.txt. Add the label there."
                        )
                    if (label := table[code]) == BACKGROUND:
                        continue
                    mask, attributes = codes == code, note.attributes.get(label, {})
                    apart = {} if attributes.get("objects") == "together" else _apart(mask, things)
                    for number, thing in apart.items():
                        intake.add(sheet, label, thing, attributes, group=number)
                    if not apart:
                        intake.add(sheet, label, mask, attributes, as_one=True)
    return intake.drafts()


def _label_colours(file: Path) -> dict[int, str]:
    """Labels by colour, 0xrrggbb, in their order in the file."""
    table = {}
    for line in reading.read_text(file).splitlines():
        if line.strip() and not line.startswith("#"):
            name, colour = line.split(":")[:2]
            red, green, blue = (int(c) for c in colour.split(","))
            table[_code((red, green, blue))] = reading.text(name)
    return table | {_code(_OPEN): BACKGROUND, 0: table.get(0, BACKGROUND)}


def _code(colour: Colour) -> int:
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def _colour_codes(file: Path, table: dict[int, str]) -> npt.NDArray[np.int32]:
    """(H, W) colour of each pixel, 0xrrggbb; a grey picture holds numbers of labels."""
    with decode.opened(file, file.name, MAX_MEGAPIXELS) as picture:
        if picture.mode == "L":
            order = list(table)
            numbers = np.asarray(picture)
            numbers = np.where(numbers == 255, order.index(_code(_OPEN)), numbers)
            return np.array(order, np.int32)[numbers]
        return _codes(picture)


def _codes(picture: PIL.Image.Image) -> npt.NDArray[np.int32]:
    channels = np.asarray(picture.convert("RGB")).astype(np.int32)
    return channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]


def _objects(file: Path, like: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """(H, W) a code for each object, 0 where there is none; nothing but 0 where there is no such map."""
    if file.is_file():
        with decode.opened(file, file.name, MAX_MEGAPIXELS) as picture:
            codes = _codes(picture)
        if codes.shape == like.shape:
            return np.where(codes == _code(_OPEN), 0, codes)
    return np.zeros_like(like)


def _apart(mask: Mask, things: npt.NDArray[np.int32]) -> dict[int, Mask]:
    """(H, W) the objects of a label, by their code; none where the map of objects leaves pixels out."""
    numbers = np.unique(things[mask]).tolist()
    return {} if 0 in numbers else {number: mask & (things == number) for number in numbers}
