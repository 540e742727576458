"""Segmentation mask 1.1, the layout of Pascal VOC: one map of labels and one of objects for a picture.

One pixel holds one label: where masks overlap, the later label lies on top. Colours are those of
VOC: label number n has colour n of its table, and so has object number n of a picture. Who made a
mask, and its score, cannot be held.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .. import decode
from ..drafts import Draft, Status
from ..errors import ExportError, InputError
from ..images import MAX_MEGAPIXELS
from . import reading
from .output import copy_pictures, new_folder, placed, write_index_png
from .palette import Colour, colours
from .survey import Picture, fold, paint, survey

BACKGROUND = "background"
MAX_LABELS = 254  # 0 is the background, 255 marks what is left open
_OPEN = (224, 224, 192)  # the colour of pixels about which VOC's own files say nothing
_HEAD = "# label:color_rgb:parts:actions\n"


def write(
    drafts: Sequence[Draft], out: Path, *, labels: Sequence[str] | None = None, images: bool = False
) -> list[Path]:
    """Write ``labelmap.txt``, ``ImageSets``, ``SegmentationClass`` and ``SegmentationObject``.

    Args:
        drafts: what to export; see ``survey``.
        out: a folder that does not exist yet, or is empty.
        labels: all labels, the topmost last; without it, in order of appearance.
        images: copy the pictures to ``JPEGImages``.

    Returns:
        The files written.

    Raises:
        ExportError: the drafts cannot be exported, there are too many labels or objects for one byte,
            a label cannot stand in a labelmap, or the folder cannot be written.
    """
    plan = survey(drafts, labels)
    _check(plan.labels, plan.pictures)
    table = colours()
    with new_folder(out) as folder:
        for name in ("ImageSets/Segmentation", "SegmentationClass", "SegmentationObject"):
            (folder / name).mkdir(parents=True)
        lines = [_HEAD] + [
            f"{label}:{','.join(map(str, table[n]))}::\n"
            for n, label in enumerate((BACKGROUND, *plan.labels))
        ]
        (folder / "labelmap.txt").write_text("".join(lines), encoding="utf-8", newline="\n")
        names = "".join(f"{p.stem}\n" for p in plan.pictures)
        listing = folder / "ImageSets" / "Segmentation" / "default.txt"
        listing.write_text(names, encoding="utf-8", newline="\n")
        for picture in plan.pictures:
            shown = [drafts[p] for p in picture.drafts]
            objects = paint(shown, plan.labels) if shown else np.zeros(picture.size, np.int32)
            classes = np.array([0, *(plan.labels.index(d.label) + 1 for d in shown)], np.uint8)[objects]
            file = f"{picture.stem}.png"
            write_index_png(folder / "SegmentationClass" / file, classes, table)
            write_index_png(folder / "SegmentationObject" / file, objects.astype(np.uint8), table)
        if images:
            copy_pictures(plan.pictures, folder / "JPEGImages")
        return placed(folder, out)


def _check(labels: Sequence[str], pictures: Sequence[Picture]) -> None:
    if len(labels) > MAX_LABELS:
        raise ExportError(f"This format holds {MAX_LABELS} labels; there are {len(labels)}. Export fewer.")
    for label in labels:
        if ":" in label or label.startswith("#") or fold(label) == BACKGROUND:
            raise ExportError(
                f"The label '{label}' cannot stand in a labelmap: '#' at the start, ':', and the name "
                f"'{BACKGROUND}' have a meaning there. Rename it, or choose another format."
            )
    for picture in pictures:
        if len(picture.drafts) > MAX_LABELS:
            raise ExportError(
                f"This format holds {MAX_LABELS} objects in a picture; '{picture.original}' has "
                f"{len(picture.drafts)}. Choose another format."
            )


def read(path: Path, *, images: Path | None = None, status: Status = "accepted") -> list[Draft]:
    """Read the label maps of a VOC folder.

    Args:
        path: the folder with ``labelmap.txt`` and ``SegmentationClass``.
        images: the folder of the pictures, ``JPEGImages`` by default. Names and digests are read from
            them; a map without its picture has the name without extension, and the digest "".
        status: given to all drafts, since the format does not tell.

    Returns:
        A draft for each picture and label that is in it.

    Raises:
        InputError: not such a folder, damaged, or too large; a colour that the labelmap lacks.
    """
    folder = images or path / "JPEGImages"
    listing = reading.only_file(path / "labelmap.txt")
    files = sorted((path / "SegmentationClass").glob("*.png"))
    if not files:
        raise InputError(f"'{path / 'SegmentationClass'}' holds no PNG. Choose the folder above it.")
    with reading.told_of(listing):
        table = _label_colours(listing)
    pictures = reading.pictures_by_stem(folder)
    reading.check_total(reading.png_size(f) for f in files)
    drafts = []
    for file in files:
        with reading.told_of(file):
            codes = _colour_codes(file, table)
            for code in np.unique(codes).tolist():
                if code not in table:
                    raise InputError(f"Its colour #{code:06x} is not in labelmap.txt. Add the label there.")
                if table[code] != BACKGROUND:
                    mask = codes == code
                    found = pictures.get(fold(file.stem))
                    name = found.name if found else file.stem
                    facts = reading.picture_facts(name, (mask.shape[0], mask.shape[1]), folder)
                    drafts.append(Draft(label=table[code], mask=mask, status=status, **facts))
    return drafts


def _label_colours(file: Path) -> dict[int, str]:
    """Labels by colour, 0xrrggbb, in their order in the file."""
    table = {}
    for line in file.read_text(encoding="utf-8-sig").splitlines():
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
        channels = np.asarray(picture.convert("RGB")).astype(np.int32)
    return channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
