"""Tiny data sets of every layout: coloured blocks on grey, one colour a class."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from tests.fakes import scene

SIDE = 96
SBD = Path("benchmark_RELEASE") / "dataset"
COLOURS = {8: (220, 60, 40), 12: (40, 80, 220), 10: (40, 180, 60), 17: (230, 220, 70), 15: (150, 60, 180)}
CAT, COW, DOG, PERSON, SHEEP = 8, 10, 12, 15, 17

Blocks = Mapping[int, tuple[int, int, int, int]]
"""Class to top, left, bottom, right of its block."""


def shared_data() -> Path:
    """The folder of real photos, or a skip with the reason."""
    repository = Path(__file__).resolve().parents[2]
    shared = Path(os.environ.get("LFSS_SHARED", repository.parent / "shared"))
    if not (shared / "data" / "voc").is_dir():
        pytest.skip(f"the real photos are not here ({shared / 'data'}); set LFSS_SHARED")
    return shared / "data"


def block(top: int = 20, left: int = 20, side: int = 56) -> tuple[int, int, int, int]:
    """A block of 56 x 56 pixels, more than the 2,048 that count."""
    return top, left, top + side, left + side


def class_map(blocks: Blocks, *, size: tuple[int, int] = (SIDE, SIDE), border: bool = True) -> np.ndarray:
    """(H, W) uint8 with 255 in a ring of two pixels around every block."""
    values = np.zeros(size, np.uint8)
    for class_id, (top, left, bottom, right) in blocks.items():
        if border:
            values[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = 255
        values[top:bottom, left:right] = class_id
    return values


def picture(blocks: Blocks, *, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """The blocks in their colours on grey."""
    pixels = np.full((*size, 3), 110, np.uint8)
    for class_id, (top, left, bottom, right) in blocks.items():
        pixels[top:bottom, left:right] = COLOURS.get(class_id, (200, 200, 200))
    return Image.fromarray(pixels)


def palette_png(values: np.ndarray, path: Path) -> None:
    """Save class numbers as a palette PNG, the way VOC does."""
    image = Image.fromarray(values).convert("P")
    image.putdata(values.ravel().tolist())
    image.putpalette([v for i in range(256) for v in (i * 37 % 256, i * 59 % 256, i * 83 % 256)])
    image.save(path)


def write_voc(root: Path, splits: Mapping[str, Sequence[Blocks]]) -> Path:
    """A VOC folder: one picture for each entry of each split; ids such as ``val_000``."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for split, entries in splits.items():
        ids = [f"{split}_{i:03d}" for i in range(len(entries))]
        for name, blocks in zip(ids, entries):
            picture(blocks).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
            palette_png(class_map(blocks), root / "SegmentationClass" / f"{name}.png")
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(ids) + "\n")
    return root


def write_animals(root: Path, *, each: int = 4) -> Path:
    """A VOC folder whose lists train and val hold ``each`` pictures of cat, cow, dog and sheep."""
    entries = [{c: block(8 + 3 * i, 10 + 4 * i)} for c in (CAT, COW, DOG, SHEEP) for i in range(each)]
    return write_voc(root, {"train": entries, "val": entries})


def write_folder(root: Path, rows: Sequence[tuple[str, str, Blocks]], names: Mapping[int, str]) -> Path:
    """A folder with labels.csv; rows are picture name, split and blocks."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    lines = ["image,mask,split,classes"]
    for stem, split, blocks in rows:
        picture(blocks).save(root / "images" / f"{stem}.png")
        Image.fromarray(class_map(blocks, border=False)).save(root / "masks" / f"{stem}.png")
        classes = ";".join(f"{c}={names[c]}" for c in blocks)
        lines.append(f"images/{stem}.png,masks/{stem}.png,{split},{classes}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


class Rectangle(NamedTuple):
    """A picture with one coloured rectangle, and what its mask says of it; boxes as ``tests.fakes.scene``."""

    colour: str
    number: int
    box: tuple[int, int, int, int]
    marked: tuple[int, int, int, int] | None = None  # the box itself if None


def write_rectangles(root: Path, rectangles: Sequence[Rectangle]) -> Path:
    """A folder with labels.csv for the fake preset: 240 x 320 pixels, each colour a class of its number."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    lines = ["image,mask,split,classes"]
    for i, (colour, number, box, marked) in enumerate(rectangles):
        mask = np.zeros((240, 320), np.uint8)
        top, left, bottom, right = marked or box
        mask[top:bottom, left:right] = number
        Image.fromarray(scene(colour, box=box, seed=i)).save(root / "images" / f"{i}.png")
        Image.fromarray(mask).save(root / "masks" / f"{i}.png")
        lines.append(f"images/{i}.png,masks/{i}.png,,{number}={colour}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


def red_and_blue(root: Path, count: int) -> Path:
    """``count`` rectangles, red ones (class 1) and blue ones (class 2) in turn, each lower than the last."""
    return write_rectangles(
        root,
        [
            Rectangle(("red", "blue")[i % 2], i % 2 + 1, (40 + 5 * i, 60, 160 + 5 * i, 200))
            for i in range(count)
        ],
    )


def write_coco(root: Path, annotations: Sequence[dict], *, size: tuple[int, int] = (SIDE, SIDE)) -> Path:
    """A COCO folder with one picture, ``7.jpg``, of list ``val2017``."""
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    picture({}, size=size).save(root / "images" / "7.jpg")
    table = {
        "images": [{"id": 7, "file_name": "7.jpg", "height": size[0], "width": size[1], "split": "val2017"}],
        "annotations": [{"image_id": 7, "iscrowd": 0} | a for a in annotations],
        "categories": [{"id": 1, "name": "person"}, {"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
    }
    (root / "annotations" / "instances.json").write_text(json.dumps(table))
    return root


def write_coco_pairs(root: Path, names: Mapping[int, str], *, each: int = 3) -> Path:
    """A COCO folder with lists train2017 and val2017: ``each`` pictures of every class in both."""
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    images: list[dict] = []
    annotations: list[dict] = []
    for split in ("train2017", "val2017"):
        for class_id in names:
            for i in range(each):
                number = len(images) + 1
                top, left, bottom, right = block(8 + 3 * i, 10 + 4 * i)
                picture({class_id: (top, left, bottom, right)}).save(
                    root / "images" / f"{number}.jpg", quality=95
                )
                size = {"height": SIDE, "width": SIDE}
                images.append({"id": number, "file_name": f"{number}.jpg", "split": split, **size})
                outline = [[left, top, right, top, right, bottom, left, bottom]]
                about = {"image_id": number, "category_id": class_id, "iscrowd": 0, "segmentation": outline}
                annotations.append(about)
    table = {
        "images": images, "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in names.items()],
    }  # fmt: skip
    (root / "annotations" / "instances.json").write_text(json.dumps(table))
    return root


def write_fss(root: Path, classes: Mapping[str, int]) -> Path:
    """FSS-1000's folders: a number of pictures for each class."""
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for i in range(1, count + 1):
            blocks = {CAT: block()}
            picture(blocks).save(root / name / f"{i}.jpg")
            white = np.where(class_map(blocks, border=False) > 0, 255, 0).astype(np.uint8)
            Image.fromarray(white).convert("RGB").save(root / name / f"{i}.png")
    return root


def element(kind: int, content: bytes) -> bytes:
    """One element of MATLAB's format; up to four bytes are packed into the tag."""
    if 0 < len(content) <= 4:
        return struct.pack("<HH", kind, len(content)) + content.ljust(4, b"\0")
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def matrix(name: str, values: np.ndarray) -> bytes:
    """A matrix of bytes."""
    parts = (
        element(6, struct.pack("<II", 9, 0)), element(5, struct.pack("<ii", *values.shape)),
        element(1, name.encode()), element(2, values.T.tobytes()),
    )  # fmt: skip
    return element(14, b"".join(parts))


def mat_file(
    classes: np.ndarray, *, name: str = "GTcls", field: str = "Segmentation", packed: bool = True
) -> bytes:
    """A file such as SBD's: a structure with two fields, the second of which is the mask."""
    names = b"".join(n.encode().ljust(32, b"\0") for n in ("Boundaries", field))
    parts = (
        element(6, struct.pack("<II", 2, 0)), element(5, struct.pack("<ii", 1, 1)),
        element(1, name.encode()), element(5, struct.pack("<i", 32)), element(1, names),
        matrix("", np.zeros((2, 3), np.uint8)), matrix("", classes),
    )  # fmt: skip
    body = element(14, b"".join(parts))
    if packed:
        small = zlib.compress(body)
        body = struct.pack("<II", 15, len(small)) + small
    return b"MATLAB 5.0 MAT-file".ljust(128) + body


def write_sbd(root: Path, train: Mapping[str, np.ndarray], val: Mapping[str, np.ndarray]) -> None:
    """SBD's archive, unpacked: class maps by name."""
    (root / SBD / "cls").mkdir(parents=True)
    for split, masks in (("train", train), ("val", val)):
        for name, classes in masks.items():
            (root / SBD / "cls" / f"{name}.mat").write_bytes(mat_file(classes))
        (root / SBD / f"{split}.txt").write_text("\n".join(masks) + "\n")
