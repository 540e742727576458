"""What is known about each cached photo: masks drawn by people, and which concepts it shows.

A concept's state in a photo is 1 (shown), 0 (not shown) or -1 (not known): sets label different things,
and a photo of a set that never marks persons says nothing about persons.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from lfss.encoders.vocabulary import Concept

from .photos import Photo

CONCEPT_FILE = Path(__file__).parents[1] / "configs" / "mini_concepts.json"
MASK_SIZE = 160  # cells of stride 8 need no more
IGNORE = 255
WITH_MASKS = ("voc", "coco", "coco_person", "horses", "camvid")
SHOWN = 0.01  # share of the photo from which a marked concept counts as shown
SURE, SURELY_NOT = 0.6, 0.01  # classifier probability of a concept's classes: shown, not shown
VOC = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
CAMVID = (
    "sky", "building", "pole", "road", "pavement", "tree", "signsymbol", "fence", "car", "pedestrian",
    "bicyclist",
)  # fmt: skip


@dataclass(frozen=True)
class ConceptTable:
    """The concepts of the config, with what each training set calls them."""

    entries: dict[str, dict[str, Any]]

    @classmethod
    def load(cls, path: Path = CONCEPT_FILE) -> ConceptTable:
        """From ``configs/mini_concepts.json``; the first concept is "background"."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    @property
    def names(self) -> list[str]:
        """In the order of the model's table."""
        return list(self.entries)

    def column(self, key: str) -> dict[str, int]:
        """What the set ``key`` (voc, coco, camvid, caltech) calls a concept -> its number."""
        found: dict[str, int] = {}
        for number, entry in enumerate(self.entries.values()):
            words = entry.get(key, [])
            for word in [words] if isinstance(words, str) else words:
                found[word] = number
        return found

    def imagenet(self) -> np.ndarray:
        """(V, 1000) bool: which ImageNet classes show which concept."""
        member = np.zeros((len(self.entries), 1000), bool)
        for row, entry in zip(member, self.entries.values()):
            for part in entry.get("imagenet", "").split():
                first, _, last = part.partition("-")
                row[int(first) : int(last or first) + 1] = True
        return member

    def concepts(self, imagenet_names: Sequence[str]) -> tuple[Concept, ...]:
        """Concepts with their synonyms; the ImageNet classes of one are its kinds."""
        return tuple(
            Concept(
                name,
                tuple(entry.get("also", ())),
                tuple(entry.get("kinds", ()))
                + tuple(imagenet_names[i].casefold() for i in np.flatnonzero(row).tolist()),
            )
            for (name, entry), row in zip(self.entries.items(), self.imagenet())
        )


@dataclass(frozen=True)
class Truth:
    """Masks and states of N photos.

    Attributes:
        masks: (M, 160, 160) uint8: concept numbers, 0 for none of the set's, 255 for not known.
        row: (N,) row of ``masks`` for each photo, -1 without a mask.
        state: (N, V) int8: 1 shown, 0 not shown, -1 not known.
        label: (N,) concept of the photo's label, -1 without one.
        complete: (N, V) bool: concepts that the photo's mask marks wherever they are.
    """

    masks: np.ndarray
    row: np.ndarray
    state: np.ndarray
    label: np.ndarray
    complete: np.ndarray


def read_mask(photo: Photo, data: Path, table: ConceptTable, coco: dict[str, Any] | None) -> np.ndarray:
    """A photo's mask as concept numbers (160, 160) uint8, stretched like its pixels."""
    if photo.source == "coco":
        assert coco is not None
        return _coco_mask(coco[Path(photo.key).name], table.column("coco"))
    lookup = np.zeros(256, np.uint8)
    lookup[IGNORE] = IGNORE
    if photo.source == "voc":
        path = data / "voc" / "SegmentationClass" / f"{photo.stem}.png"
        names: Sequence[str] = VOC
        numbers = table.column("voc")
    else:
        path = data / photo.source / "masks" / f"{photo.stem}.png"
        names = {"coco_person": ["person"], "horses": ["horse"], "camvid": CAMVID}[photo.source]
        numbers = (
            table.column("camvid") if photo.source == "camvid" else {n: table.names.index(n) for n in names}
        )
    for value, name in enumerate(names, 1):
        lookup[value] = numbers.get(name, IGNORE)
    if photo.source == "camvid":
        lookup[0] = IGNORE
    with Image.open(path) as image:
        raw = np.asarray(image)
    return cv2.resize(lookup[raw], (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_NEAREST)


def read_coco(data: Path) -> dict[str, Any]:
    """File name -> (image record, its annotations, category names by id)."""
    table = json.loads((data / "coco" / "annotations" / "instances.json").read_text(encoding="utf-8"))
    names = {c["id"]: c["name"] for c in table["categories"]}
    found: dict[int, list[dict[str, Any]]] = {}
    for annotation in table["annotations"]:
        found.setdefault(annotation["image_id"], []).append(annotation)
    return {i["file_name"]: (i, found.get(i["id"], []), names) for i in table["images"]}


def _coco_mask(record: Any, numbers: dict[str, int]) -> np.ndarray:
    image, annotations, names = record
    height, width = image["height"], image["width"]
    mask = np.zeros((height, width), np.uint8)
    # Large ones first: what lies on a table is drawn over it.
    for annotation in sorted(annotations, key=lambda a: -a["area"]):
        number = numbers[names[annotation["category_id"]]]
        shape = annotation["segmentation"]
        if isinstance(shape, dict):
            mask[_decode_rle(shape["counts"], height, width)] = number
        else:
            cv2.fillPoly(mask, [np.asarray(p).reshape(-1, 2).round().astype(np.int32) for p in shape], number)
    return cv2.resize(mask, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_NEAREST)


def _decode_rle(counts: Sequence[int], height: int, width: int) -> np.ndarray:
    """COCO's uncompressed runs, column by column, -> (height, width) bool."""
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def build_truth(
    photos: Sequence[Photo],
    data: Path,
    table: ConceptTable,
    logits: np.ndarray,
    *,
    imagenet_names: Sequence[str],
    excluded: Sequence[str] = (),
) -> Truth:
    """Collect masks and states.

    Args:
        photos: N photos.
        data: the data folder.
        table: V concepts.
        logits: (N, 1000) of an ImageNet classifier, for what no one labelled.
        imagenet_names: the 1,000 class names that label the photos of imagenet1000.
        excluded: concepts whose masks are not used: a photo that shows one counts as having no mask.
    """
    numbers = {name: i for i, name in enumerate(table.names)}
    hidden = [numbers[name] for name in excluded]
    coco = read_coco(data) if any(p.source == "coco" for p in photos) else None
    count, concepts = len(photos), len(table.names)
    masks: list[np.ndarray] = []
    row = np.full(count, -1)
    label = np.full(count, -1)
    state = _classifier_state(logits, table)
    complete = np.zeros((count, concepts), bool)
    marks = _complete_sets(table)
    labels = label_numbers(table, imagenet_names)
    unmarked = [numbers[n] for n in ("person", "background", "sky", "tree", "building", "road", "pavement")]
    for i, photo in enumerate(photos):
        if photo.source in WITH_MASKS:
            mask = read_mask(photo, data, table, coco)
            shown = np.bincount(mask.ravel(), minlength=256)[:concepts] / mask.size
            present = shown > SHOWN
            complete[i] = marks[photo.source]
            state[i, complete[i]] = np.where(present, 1, np.where(shown > 0, -1, 0))[complete[i]]
            if not any(shown[h] > 0 for h in hidden):
                row[i] = len(masks)
                masks.append(mask)
        elif photo.label:
            label[i] = labels.get(photo.label.casefold(), -1)
            if photo.source in ("caltech101", "imagenet1000") and label[i] >= 0:
                state[i] = np.where(state[i] < 0, 0, state[i])
                state[i, unmarked] = -1
            if label[i] >= 0:
                state[i, label[i]] = 1
    return Truth(
        np.stack(masks) if masks else np.zeros((0, MASK_SIZE, MASK_SIZE), np.uint8),
        row,
        state,
        label,
        complete,
    )


def label_numbers(table: ConceptTable, imagenet_names: Sequence[str]) -> dict[str, int]:
    """What the sets of labelled photos call a concept, in lower case -> its number."""
    by_class = {imagenet_names[i].casefold(): v for v, i in np.argwhere(table.imagenet()).tolist()}
    named = {
        n: i for i, n in enumerate(table.names) if n in ("cat", "cow", "dog", "horse", "sheep", "person")
    }
    return by_class | table.column("caltech") | named


def _complete_sets(table: ConceptTable) -> dict[str, np.ndarray]:
    marks = {}
    for source in WITH_MASKS:
        known = np.zeros(len(table.names), bool)
        if source in ("voc", "coco", "camvid"):
            known[list(table.column(source).values())] = True
        else:
            known[table.names.index("person" if source == "coco_person" else "horse")] = True
        marks[source] = known
    return marks


def _classifier_state(logits: np.ndarray, table: ConceptTable) -> np.ndarray:
    x = logits.astype(np.float32)
    p = np.exp(x - x.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    member = table.imagenet()
    share = p @ member.T.astype(np.float32)
    state = np.full(share.shape, -1, np.int8)
    known = member.any(1)
    state[(share > SURE) & known] = 1
    state[(share < SURELY_NOT) & known] = 0
    state[:, table.names.index("person")] = -1  # the classes "bridegroom", "diver" are not all persons
    return state
