"""The photos that mini learns from, and the ones it must never see.

The held-out photos and classes are fixed in ``split.json``, by the SHA-1 of file names, so
that every run and every machine makes the same choice.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lfss.errors import InputError

from ..data.datasets import DataSet

SPLIT_FILE = Path(__file__).parent / "split.json"
CAMVID_TEST = "test"
COMMON = 40  # a part of the cache then holds every class, not 800 airplanes


@dataclass(frozen=True)
class Photo:
    """One photo of a data set.

    Attributes:
        key: path relative to the data folder, "/" between parts; names the photo everywhere.
        source: the set it comes from: voc, coco, coco_person, horses, camvid, or a folder of photos.
        label: what the photo as a whole shows, if that is known.
        part: "train", "choose" (VOC training photos that only choose between runs) or "test".
    """

    key: str
    source: str
    label: str | None
    part: str

    @property
    def stem(self) -> str:
        """File name without folder and suffix."""
        return Path(self.key).stem


def split_rule() -> dict[str, Any]:
    """The committed rule, as a dictionary."""
    return json.loads(SPLIT_FILE.read_text(encoding="utf-8"))


def fraction(stem: str) -> float:
    """A file name as a number in [0, 1), the same on every machine."""
    return int(hashlib.sha1(stem.encode()).hexdigest()[:8], 16) / 2**32


def kept_share(source: str) -> float:
    """The share of a set's training photos that mini never learns from."""
    return split_rule()["voc_choose"]["share"] if source == "voc" else split_rule()["share"].get(source, 0.0)


def held_out(data: DataSet) -> DataSet:
    """Only the VOC training photos that mini was kept from, to choose between runs.

    Raises:
        InputError: another data set; what mini was kept from there is for measuring.
    """
    if data.layout != "voc" or data.split not in ("train", "trainaug"):
        raise InputError("Only VOC's lists train and trainaug have pictures to choose by (--held-out).")
    share = kept_share("voc")
    chosen = tuple(s for s in data.samples if fraction(s.image.stem) < share)
    return replace(data, samples=chosen, split=f"{data.split}, kept from mini")


def never_trained(data: DataSet) -> DataSet:
    """Only the COCO photos that mini was kept from, to measure on: those of the part "test".

    Raises:
        InputError: another data set; VOC's official val was never trained on, so it needs no choice.
    """
    if data.layout != "coco":
        raise InputError(
            "Only the layout coco mixes pictures that mini has seen and others (--never-trained)."
        )
    rule = split_rule()
    hidden = {n for n, name in data.classes.items() if name in rule["coco_classes_without_masks"]}
    share = kept_share("coco")
    chosen = tuple(s for s in data.samples if fraction(s.image.stem) < share or hidden & set(s.areas))
    return replace(data, samples=chosen, split=f"{data.split or 'all'}, never trained on")


def list_photos(data: Path) -> list[Photo]:
    """All photos of a data folder, in an order that mixes the sets but never changes.

    Args:
        data: the folder with voc/, coco/, coco_person/, horses/, camvid/, photos/; missing ones are left out.
    """
    rule = split_rule()
    share = rule["share"]
    photos: list[Photo] = []
    lists = data / "voc" / "ImageSets" / "Segmentation"
    for name, official in (("train", "train"), ("sbd", "train"), ("val", "test")):
        for stem in _lines(lists / f"{name}.txt"):
            part = official
            if part == "train" and fraction(stem) < rule["voc_choose"]["share"]:
                part = "choose"
            photos.append(Photo(f"voc/JPEGImages/{stem}.jpg", "voc", None, part))
    photos += _coco(data, share["coco"], set(rule["coco_classes_without_masks"]))
    for source in ("coco_person", "horses", "camvid"):
        for row in _rows(data / source / "labels.csv"):
            out = row["split"] == CAMVID_TEST if source == "camvid" else _below(row["image"], share[source])
            photos.append(Photo(f"{source}/{row['image']}", source, None, "test" if out else "train"))
    for row in _rows(data / "photos" / "labels.csv"):
        out = row["source"] == "coco2017" and _below(row["file"], share["coco2017"])
        photos.append(
            Photo(f"photos/{row['file']}", row["source"], row["label"] or None, "test" if out else "train")
        )
    return _mixed(photos)


def _mixed(photos: list[Photo]) -> list[Photo]:
    """Sort by hash; what exceeds COMMON photos of one label in one set comes last."""
    photos = sorted(photos, key=lambda p: fraction(p.key))
    seen: Counter[tuple[str, str | None]] = Counter()
    surplus = []
    for photo in photos:
        seen[photo.source, photo.label] += 1
        surplus.append(photo.source == "caltech101" and seen[photo.source, photo.label] > COMMON)
    return [p for p, s in zip(photos, surplus) if not s] + [p for p, s in zip(photos, surplus) if s]


def _coco(data: Path, share: float, without_masks: set[str]) -> list[Photo]:
    path = data / "coco" / "annotations" / "instances.json"
    if not path.is_file():
        return []
    table = json.loads(path.read_text(encoding="utf-8"))
    hidden = {c["id"] for c in table["categories"] if c["name"] in without_masks}
    shows = {a["image_id"] for a in table["annotations"] if a["category_id"] in hidden}
    return [
        Photo(
            f"coco/images/{image['file_name']}",
            "coco",
            None,
            "test" if image["id"] in shows or _below(image["file_name"], share) else "train",
        )
        for image in table["images"]
    ]


def _below(name: str, share: float) -> bool:
    return fraction(Path(name).stem) < share


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split() if path.is_file() else []


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
