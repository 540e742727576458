"""What is known about each training photo: masks, and concepts that are shown or not.

Masks drawn by people mark some concepts wherever they are ("complete"). Rough masks (objects101,
objects1000) come from a saliency network and mark the one object that the photo's label names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ..data.layouts import NOT_SALIENT, SALIENT
from .concepts import SURROUNDINGS, ConceptTable
from .photos import Photo

SIDE = 128  # cells a side of a stored mask
UNKNOWN = -1
DRAWN = ("voc", "coco", "coco_person", "horses", "camvid")
VOC = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
CAMVID = (
    "sky", "building", "pole", "road", "pavement", "tree", "signsymbol", "fence", "car", "pedestrian",
    "bicyclist",
)  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What is known of one photo.

    Attributes:
        photo: which.
        mask: (128, 128) int16 concept numbers, 0 none of those marked, -1 not known; None without a mask.
        label: concept that the photo as a whole is labelled with, -1 without.
        complete: numbers of the concepts that the mask marks wherever they are.
        group: what its pairs are drawn as: voc, coco, ..., objects101, objects1000.
    """

    photo: Photo
    mask: np.ndarray | None
    label: int
    complete: tuple[int, ...]
    group: str


class Truth:
    """Reads what is known of photos.

    Args:
        data: the data folder.
        table: the concepts.
        labels: of ``ConceptTable.labels``.
    """

    def __init__(self, data: Path, table: ConceptTable, labels: Mapping[str, int]):
        self.data, self.table, self.labels = data, table, labels
        self.coco = read_coco(data) if (data / "coco").is_dir() else {}
        self.rough = _rough_files(data)
        self.complete = {
            "voc": tuple(table.column("voc").values()),
            "coco": tuple(table.column("coco").values()),
            "camvid": tuple(table.column("camvid").values()),
            "coco_person": (table.names.index("person"),),
            "horses": (table.names.index("horse"),),
        }

    def of(self, photo: Photo) -> Known:
        """What is known of a photo."""
        if photo.source in DRAWN:
            return Known(photo, self.drawn(photo), -1, self.complete[photo.source], photo.source)
        word = photo.stem if photo.source == "imagenet1000" else (photo.label or "").casefold()
        label = self.labels.get(word, -1)
        rough = self.rough.get(photo.key)
        if rough is None or label < 0:
            return Known(photo, None, label, (), photo.source)
        with Image.open(rough) as image:
            saliency = np.asarray(image)
        mask = np.full((SIDE, SIDE), UNKNOWN, np.int16)
        mask[saliency >= SALIENT] = label
        mask[saliency <= NOT_SALIENT] = 0
        group = "objects1000" if photo.source == "imagenet1000" else "objects101"
        return Known(photo, mask, label, (), group)

    def drawn(self, photo: Photo) -> np.ndarray:
        """A mask drawn by people, as concept numbers (128, 128) int16."""
        if photo.source == "coco":
            return _coco_mask(self.coco[Path(photo.key).name], self.table.column("coco"))
        lookup = np.full(256, UNKNOWN, np.int16)
        lookup[0] = UNKNOWN if photo.source == "camvid" else 0
        names: Sequence[str] = {"voc": VOC, "coco_person": ["person"], "horses": ["horse"]}.get(
            photo.source, CAMVID
        )
        numbers = self.table.column(photo.source) or {n: self.table.names.index(n) for n in names}
        for value, name in enumerate(names, 1):
            lookup[value] = numbers.get(name, UNKNOWN)
        folder = "SegmentationClass" if photo.source == "voc" else "masks"
        with Image.open(self.data / photo.source / folder / f"{photo.stem}.png") as image:
            return _shrink(lookup[np.asarray(image)])


def states(known: Known, concepts: int, unmarked: np.ndarray) -> np.ndarray:
    """What the whole photo is known to show: (V,) int8, 1 shown, 0 not shown, -1 not known.

    Args:
        known: of the photo.
        concepts: V.
        unmarked: numbers of concepts that a photo labelled with something else may well show.
    """
    state = np.full(concepts, -1, np.int8)
    if known.group in ("caltech101", "imagenet1000", "objects101", "objects1000") and known.label > 0:
        state[:] = 0
        state[unmarked] = -1
    state[list(known.complete)] = 0
    if known.mask is not None:
        state[[c for c in np.unique(known.mask).tolist() if c > 0]] = 1
    if known.label > 0:
        state[known.label] = 1
    return state


def without(photos: Iterable[Known], hidden: Set[int]) -> list[Known]:
    """The photos that show none of some concepts, by mask or by label.

    Args:
        photos: to choose from.
        hidden: numbers of the concepts.
    """
    shown = (
        (known, set() if known.mask is None else set(np.unique(known.mask).tolist())) for known in photos
    )
    return [known for known, marked in shown if hidden.isdisjoint(marked | {known.label})]


def unmarked_concepts(table: ConceptTable) -> np.ndarray:
    """(M,) numbers of what may be seen around any labelled object: persons and surroundings."""
    return np.array([table.names.index(n) for n in (*SURROUNDINGS, "person")])


def read_coco(data: Path) -> dict[str, Any]:
    """File name -> (image record, its annotations, category names by id)."""
    table = json.loads((data / "coco" / "annotations" / "instances.json").read_text(encoding="utf-8"))
    names = {c["id"]: c["name"] for c in table["categories"]}
    found: dict[int, list[dict[str, Any]]] = {}
    for annotation in table["annotations"]:
        found.setdefault(annotation["image_id"], []).append(annotation)
    return {i["file_name"]: (i, found.get(i["id"], []), names) for i in table["images"]}


def _coco_mask(record: Any, numbers: Mapping[str, int]) -> np.ndarray:
    image, annotations, names = record
    height, width = image["height"], image["width"]
    mask = np.zeros((height, width), np.int16)
    # Large ones first: what lies on a table is drawn over it.
    for annotation in sorted(annotations, key=lambda a: -a["area"]):
        number = UNKNOWN if annotation["iscrowd"] else numbers[names[annotation["category_id"]]]
        shape = annotation["segmentation"]
        if isinstance(shape, dict):
            mask[_decode_rle(shape["counts"], height, width)] = number
        else:
            cv2.fillPoly(mask, [np.asarray(p).reshape(-1, 2).round().astype(np.int32) for p in shape], number)
    return _shrink(mask)


def _shrink(mask: np.ndarray) -> np.ndarray:
    return cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)


def _decode_rle(counts: Sequence[int], height: int, width: int) -> np.ndarray:
    """COCO's uncompressed runs, column by column, -> (height, width) bool."""
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def _rough_files(data: Path) -> dict[str, Path]:
    """Key of a photo -> file of its rough mask."""
    found = {}
    for path in (data / "objects101" / "masks").glob("*/*.png"):
        found[f"photos/caltech101/{path.parent.name}_{path.stem.rpartition('_')[2]}.jpg"] = path
    for path in (data / "objects1000" / "masks").glob("*.png"):
        found[f"photos/imagenet1000/{path.stem.partition('_')[0]}.jpg"] = path
    return found
