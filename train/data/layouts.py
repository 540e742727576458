"""What lies in a data set's folder: pictures, where their classes are marked, and the class names.

Five layouts are known. Nothing here decodes a picture; ``train.data.classmaps`` does.

- ``voc``: ``JPEGImages/ID.jpg``, ``SegmentationClass/ID.png`` (or ``SegmentationClassAug``), lists of
  IDs in ``ImageSets/Segmentation/SPLIT.txt``. Values 1-20 are classes, 255 is unknown.
- ``coco``: ``annotations/instances*.json``; pictures in ``images/``, or in a folder named as the split.
  A picture's split is its field ``split``, or what follows ``instances_`` in the file's name.
- ``folder``: ``labels.csv`` with the columns image, mask, split, classes; classes as ``1=belt;14=dress``.
  Values not named there are an error, except 0 (background) and 255 (unknown).
- ``fss``: FSS-1000's own: a folder for each class, in it ``N.jpg`` and ``N.png``, white is the object.
- ``saliency``: rough masks of the salient object, made by a network: ``masks/CLASS/NAME_NUMBER.png``, squares
  of 16 grey levels for the photos ``../photos/caltech101/CLASS_NUMBER.jpg``. For training only.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfss.errors import InputError, UnknownName

from .splits import COCO_NAMES, VOC_NAMES

IGNORE = 255
SALIENT, NOT_SALIENT = 9, 4  # of saliencies from 0 to 15: object from here on, background up to here


@dataclass(frozen=True)
class MaskFile:
    """Classes marked by the values of a PNG.

    Attributes:
        path: the file.
        values: the values it may hold besides 0 and 255.
        white: if given, the file is black and white, and white is this class.
        photo: if given, the file is a square of saliencies from 0 to 15 for this photo, to be stretched over
            it: ``white`` from ``SALIENT`` on, background up to ``NOT_SALIENT``, unknown between them.
    """

    path: Path
    values: frozenset[int] = frozenset()
    white: int | None = None
    photo: Path | None = None


@dataclass(frozen=True, eq=False)
class Shape:
    """One object of a COCO file.

    Attributes:
        class_id: its category.
        crowd: marked as a group, coarsely.
        polygons: (N, 2) float32 x, y each; empty if it has runs.
        runs: run lengths, as numbers or as COCO's string; None if it has polygons.
    """

    class_id: int
    crowd: bool
    polygons: tuple[npt.NDArray[np.float32], ...] = ()
    runs: npt.NDArray[np.int64] | str | None = None


@dataclass(frozen=True, eq=False)
class Shapes:
    """Classes marked by the objects of a COCO file.

    Attributes:
        size: (H, W) that the file states, in pixels.
        shapes: the objects, in the file's order.
        file: the file, for messages.
    """

    size: tuple[int, int]
    shapes: tuple[Shape, ...]
    file: Path


@dataclass(frozen=True, eq=False)
class Source:
    """One picture, and where its classes are marked.

    Attributes:
        id: names the picture within its data set; the same on every machine.
        image: the picture's file.
        label: where its classes are marked.
        split: the list it belongs to, or "".
    """

    id: str
    image: Path
    label: MaskFile | Shapes
    split: str = ""


@dataclass(frozen=True, eq=False)
class Listing:
    """What ``scan`` found: the folder, class names by number, and pictures in order of their ids."""

    root: Path
    classes: dict[int, str]
    sources: tuple[Source, ...]


def scan(root: Path, layout: str, split: str | None = None) -> Listing:
    """List a data set without opening its pictures.

    Args:
        root: its folder.
        layout: one of ``LAYOUTS``.
        split: only pictures of this list; all of them if None.

    Raises:
        UnknownName: no such layout, or no such split.
        InputError: the folder is no data set of that layout, or names files that are not there.
    """
    if layout not in LAYOUTS:
        raise UnknownName("layout", layout, LAYOUTS)
    if not root.is_dir():
        raise InputError(f"There is no folder '{root}'. Check the path given as --data.")
    listing = LAYOUTS[layout](root, split)
    if not listing.sources:
        raise InputError(f"'{root}' lists no picture. Check that it is a data set of layout {layout}.")
    ordered = tuple(sorted(listing.sources, key=lambda source: source.id))
    for first, second in itertools.pairwise(ordered):
        if first.id == second.id:
            raise InputError(f"'{root}' lists the picture '{first.id}' twice. Remove one of the two.")
    return Listing(listing.root, listing.classes, ordered)


def _scan_voc(root: Path, split: str | None) -> Listing:
    inner = (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012")
    root = next((r for r in inner if (r / "ImageSets" / "Segmentation").is_dir()), root)
    lists = {p.stem: p for p in sorted((root / "ImageSets" / "Segmentation").glob("*.txt"))}
    if not lists:
        raise _no_data_set(root, "voc", "ImageSets/Segmentation/*.txt")
    chosen = [_pick(split, lists)] if split is not None else list(lists)
    splits: dict[str, str] = {}
    for name in chosen:
        for line in lists[name].read_text(encoding="utf-8").split():
            splits.setdefault(line, name)
    images = {p.stem: p for p in _files(root / "JPEGImages")}
    folders = (root / "SegmentationClassAug", root / "SegmentationClass")  # the second wins
    masks = {path.stem: path for folder in folders for path in _files(folder)}
    _all_there(splits, images, root / "JPEGImages", ".jpg", "picture")
    _all_there(splits, masks, root / "SegmentationClass", ".png", "mask")
    known = frozenset(VOC_NAMES)
    sources = (Source(i, images[i], MaskFile(masks[i], known), s) for i, s in splits.items())
    return Listing(root, dict(VOC_NAMES), tuple(sources))


def _scan_folder(root: Path, split: str | None) -> Listing:
    table = root / "labels.csv"
    if not table.is_file():
        raise _no_data_set(root, "folder", "labels.csv")
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"image", "mask", "split", "classes"} <= set(rows[0]):
        raise InputError(f"'{table}' needs the columns image, mask, split, classes and at least one row.")
    classes: dict[int, str] = {}
    for row in rows:
        for number, name in _class_names(row["classes"] or "", table):
            if classes.setdefault(number, name) != name:
                raise InputError(f"'{table}' calls class {number} both '{classes[number]}' and '{name}'.")
    if split is not None:
        _pick(split, sorted({row["split"] for row in rows}))
        rows = [row for row in rows if row["split"] == split]
    images = {row["image"]: _inside(root, row["image"], table) for row in rows}
    masks = {row["image"]: _inside(root, row["mask"], table) for row in rows}
    if len(images) < len(rows):
        raise InputError(f"'{table}' names a picture in two rows. Merge the rows.")
    for image in images:
        for kind, path in (("picture", images[image]), ("mask", masks[image])):
            if not path.is_file():
                raise InputError(f"'{table}' names the {kind} '{path}', which is not there.")
    known = frozenset(classes)
    return Listing(root, classes, tuple(
        Source(r["image"], images[r["image"]], MaskFile(masks[r["image"]], known), r["split"]) for r in rows
    ))  # fmt: skip


def _scan_fss(root: Path, split: str | None) -> Listing:
    names = sorted(p.name for p in root.iterdir() if p.is_dir() and any(p.glob("*.jpg")))
    if not names:
        raise _no_data_set(root, "fss", "CLASS/1.jpg")
    if split is not None:
        raise InputError("The layout fss has no splits of its own; choose classes (see train.splits).")
    sources = []
    for number, name in enumerate(names, start=1):
        for image in sorted((root / name).glob("*.jpg")):
            mask = image.with_suffix(".png")
            if not mask.is_file():
                raise InputError(f"The picture '{image}' has no mask '{mask.name}' beside it. Add it.")
            sources.append(Source(f"{name}/{image.stem}", image, MaskFile(mask, white=number)))
    return Listing(root, dict(enumerate(names, start=1)), tuple(sources))


def _scan_saliency(root: Path, split: str | None) -> Listing:
    masks = sorted((root / "masks").glob("*/*.png"))
    if not masks:
        raise _no_data_set(root, "saliency", "masks/CLASS/NAME_1.png")
    if split is not None:
        raise InputError("The layout saliency has no splits; all of it is for training.")
    names = sorted({path.parent.name for path in masks})
    numbers = {name: number for number, name in enumerate(names, start=1)}
    folder = root.parent / "photos" / "caltech101"
    photos = {path.stem: path for path in _files(folder)}
    sources = []
    for path in masks:
        photo = photos.get(f"{path.parent.name}_{path.stem.rpartition('_')[2]}")
        if photo is not None:  # the smallest photos are left out where they are prepared
            mask = MaskFile(path, white=numbers[path.parent.name], photo=photo)
            sources.append(Source(photo.stem, photo, mask))
    if not sources:
        raise InputError(f"'{folder}' has none of the photos of '{root}'. Put them there.")
    return Listing(root, {n: name.replace("_", " ").lower() for name, n in numbers.items()}, tuple(sources))


def _scan_coco(root: Path, split: str | None) -> Listing:
    tables = sorted((root / "annotations").glob("instances*.json"))
    if not tables:
        raise _no_data_set(root, "coco", "annotations/instances*.json")
    # Official files name their split, so the others need not be read: they are large.
    named = [t for t in tables if split is not None and t.stem == f"instances_{split}"]
    classes: dict[int, str] = {}
    sources: list[Source] = []
    for table in named or tables:
        try:
            content = json.loads(table.read_text(encoding="utf-8"))
            classes.update({int(c["id"]): str(c["name"]) for c in content["categories"]})
            sources += _coco_sources(root, table, content)
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"'{table}' is not a COCO instances file ({error!r}). Get it again.") from error
    if split is not None:
        _pick(split, sorted({source.split for source in sources}))
        sources = [source for source in sources if source.split == split]
    return Listing(root, classes or dict(COCO_NAMES), tuple(sources))


def _coco_sources(root: Path, table: Path, content: dict[str, Any]) -> Iterator[Source]:
    named = table.stem.removeprefix("instances").lstrip("_")
    folders = [p for p in (root / "images", root / named, root / "images" / named) if p.is_dir()]
    files = {path.name: path for folder in folders for path in _files(folder)}
    objects: dict[int, list[Shape]] = defaultdict(list)
    for annotation in content["annotations"]:
        objects[annotation["image_id"]].append(_shape(annotation))
    for image in content["images"]:
        name = Path(image["file_name"]).name
        if name not in files:
            raise InputError(
                f"'{table}' names the picture '{name}', which is not in '{root / 'images'}'. Add it."
            )
        size = (int(image["height"]), int(image["width"]))
        shapes = Shapes(size, tuple(objects[image["id"]]), table)
        yield Source(Path(name).stem, files[name], shapes, image.get("split") or named)


def _shape(annotation: dict[str, Any]) -> Shape:
    outline = annotation["segmentation"]
    class_id, crowd = int(annotation["category_id"]), bool(annotation.get("iscrowd", 0))
    if not 0 < class_id < 2**16:
        raise ValueError(f"category_id {class_id}")
    if isinstance(outline, dict):
        counts = outline["counts"]
        return Shape(
            class_id, crowd, runs=counts if isinstance(counts, str) else np.asarray(counts, np.int64)
        )
    polygons = tuple(np.asarray(p, np.float32).reshape(-1, 2) for p in outline if len(p) >= 6)
    return Shape(class_id, crowd, polygons)


def _class_names(text: str, table: Path) -> Iterator[tuple[int, str]]:
    for part in filter(None, (p.strip() for p in text.split(";"))):
        number, _, name = part.partition("=")
        if not number.strip().isdigit() or not name.strip() or int(number) in (0, IGNORE):
            raise InputError(f"'{table}' has the class '{part}'. Write a number and a name: 14=dress.")
        yield int(number), name.strip()


def _inside(root: Path, name: str, table: Path) -> Path:
    path = root / name
    if not name or not path.resolve().is_relative_to(root.resolve()):
        raise InputError(f"'{table}' names '{name}', which is not inside its folder. Use relative paths.")
    return path


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []


def _pick(split: str, known: Sequence[str] | dict[str, Path]) -> str:
    if split not in known:
        raise UnknownName("split", split, (name or "(no name)" for name in known))
    return split


def _all_there(ids: dict[str, str], files: dict[str, Path], folder: Path, suffix: str, kind: str) -> None:
    missing = sorted(set(ids) - set(files))
    if missing:
        raise InputError(
            f"{len(missing)} of {len(ids)} listed ids have no {kind}; the first is "
            f"'{folder / (missing[0] + suffix)}'. Add it, or take the id off the list."
        )


def _no_data_set(root: Path, layout: str, needed: str) -> InputError:
    return InputError(f"'{root}' is no data set of layout {layout}: there is no {needed} in it.")


LAYOUTS = {
    "voc": _scan_voc,
    "coco": _scan_coco,
    "folder": _scan_folder,
    "fss": _scan_fss,
    "saliency": _scan_saliency,
}
