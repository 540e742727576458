"""Data sets as one kind of record: a picture, a class map, and the pixels that nobody vouches for.

Opening a data set measures every mask once: how much of each class it shows, and that it has its
picture's size. That index is kept in the cache folder and made again when a file changes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from lfss.atomic import write_atomically
from lfss.errors import InputError, UnknownName
from lfss.images import read_image

from .classmaps import ClassMap, Crowd, measure, read_label
from .layouts import MaskFile, Shapes, Source, scan
from .splits import GRID_ABOVE, MIN_AREA, OFFICIAL, Count, Rule

logger = logging.getLogger(__name__)

_INDEX_VERSION = 1


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture of a data set. Its pixels are read when asked for.

    Attributes:
        id: names it within the data set; the same on every machine.
        image: its file.
        label: where its classes are marked.
        split: the list it belongs to, or "".
        areas: pixels of each class, for every class that is marked at all; 0 where others cover it.
        points: for the same classes, points of the grid (see ``train.data.splits``) that show it.
        crowd: what the pixels of crowds are.
    """

    id: str
    image: Path
    label: MaskFile | Shapes
    split: str
    areas: dict[int, int]
    points: dict[int, int]
    crowd: Crowd = "ignore"

    def read_image(self) -> npt.NDArray[np.uint8]:
        """The picture, (H, W, 3) uint8 RGB, upright."""
        return read_image(self.image).pixels

    def read_classes(self) -> tuple[ClassMap, npt.NDArray[np.bool_]]:
        """Class map (H, W), uint8 or uint16, and where it is unknown, (H, W) bool.

        The class map is 0 where it is unknown.
        """
        return read_label(self.label, self.crowd)

    def read_mask(self, class_id: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Where one class is, and where that is unknown: (H, W) bool each."""
        classes, ignore = self.read_classes()
        return classes == class_id, ignore

    def shows(self, class_id: int, rule: Rule = "area") -> bool:
        """True if enough of the class is seen, by a rule of ``train.data.splits``."""
        if rule == "area":
            return self.areas.get(class_id, 0) >= MIN_AREA
        return self.points.get(class_id, 0) > GRID_ABOVE


@dataclass(frozen=True, eq=False)
class DataSet:
    """Pictures in order of their ids, and the names of their classes.

    Attributes:
        name: its layout; for ``folder``, the folder's own name.
        layout: how that folder is laid out.
        split: the list that was asked for, or "" for all.
        classes: names by number.
        samples: the pictures.
    """

    name: str
    layout: str
    split: str
    classes: dict[int, str]
    samples: tuple[Sample, ...]

    @cached_property
    def _by_id(self) -> dict[str, Sample]:
        return {sample.id: sample for sample in self.samples}

    def sample(self, sample_id: str) -> Sample:
        """The picture of that id.

        Raises:
            InputError: there is none.
        """
        if sample_id not in self._by_id:
            raise InputError(f"The data set '{self.name}' has no picture '{sample_id}' in this split.")
        return self._by_id[sample_id]

    def class_ids(self, names: Sequence[str]) -> tuple[int, ...]:
        """Numbers of classes by name.

        Raises:
            UnknownName: the data set has no class of that name.
        """
        numbers = {name: number for number, name in self.classes.items()}
        for name in names:
            if name not in numbers:
                raise UnknownName("class", name, numbers)
        return tuple(numbers[name] for name in names)

    def ids_of(self, class_id: int, rule: Rule = "area") -> tuple[str, ...]:
        """Ids of the pictures that show enough of a class, in order."""
        return tuple(sample.id for sample in self.samples if sample.shows(class_id, rule))

    def pairs(self, class_ids: Iterable[int], rule: Rule = "area") -> tuple[tuple[str, int], ...]:
        """Every picture with every class of these that it shows, in order of ids, then classes."""
        wanted = sorted(class_ids)
        return tuple((s.id, c) for s in self.samples for c in wanted if s.shows(c, rule))

    def without(self, names: Iterable[str]) -> DataSet:
        """Only the pictures in which none of these classes is marked, not even in one pixel.

        Names that the data set does not have are fine: nothing of them is marked.
        """
        hidden = {number for number, name in self.classes.items() if name in set(names)}
        kept = tuple(sample for sample in self.samples if not hidden & sample.areas.keys())
        return replace(self, samples=kept)


def open_data(
    root: str | os.PathLike[str], layout: str, *, split: str | None = None,
    cache: Path = Path("cache"), crowd: Crowd = "ignore", progress: bool = False,
) -> DataSet:  # fmt: skip
    """Open a data set and check it.

    Args:
        root: its folder.
        layout: one of ``train.data.layouts.LAYOUTS``.
        split: only this list of pictures; all of them if None.
        cache: where the index is kept.
        crowd: what the pixels of COCO's crowds are.
        progress: show a bar while masks are measured.

    Raises:
        UnknownName: no such layout or split.
        InputError: the folder is no such data set, a picture has no mask, a mask has another size
            than its picture, or it holds a value that is no class. The message names the file.
    """
    listing = scan(Path(root), layout, split)
    key = _index_key(listing.sources)
    name = listing.root.resolve().name if layout == "folder" else layout
    path = cache / "index" / f"{name}-{split or 'all'}-{key[:16]}.json"
    table = _load_index(path, key)
    if table is None:
        bar = tqdm(listing.sources, desc=f"{name}: measuring masks", unit="mask", disable=not progress)
        table = {source.id: measure(source) for source in bar}
        write_text(path, json.dumps({"version": _INDEX_VERSION, "key": key, "classes": table}))
    samples = tuple(_sample(source, table[source.id], crowd) for source in listing.sources)
    return DataSet(name, layout, split or "", listing.classes, samples)


def check_counts(data: DataSet, folds: Sequence[Sequence[str]]) -> list[Count]:
    """Compare a split with what the official one must show.

    Args:
        data: the data set, opened with a split.
        folds: the novel classes of each fold, in order.

    Returns:
        One count a fact; empty if the split is not one whose counts are known.
    """
    official = OFFICIAL.get((data.layout, data.split))
    if official is None:
        return []
    seen = sum(bool(sample.areas) for sample in data.samples)
    counts = [Count("pictures that show a class", official.pictures, seen)]
    for rule, expected in official.pairs.items():
        for index, (names, number) in enumerate(zip(folds, expected)):
            found = len(data.pairs(data.class_ids(names), rule))
            slack = round(official.slack * number)
            counts.append(
                Count(f"pairs of picture and class, fold {index}, rule {rule}", number, found, slack)
            )
    return counts


def write_text(path: Path, text: str) -> None:
    """Write a text file, and its folder, so that a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8", newline="\n"))


def _sample(source: Source, table: dict[str, list[int]], crowd: Crowd) -> Sample:
    areas = {int(c): values[0] for c, values in table.items()}
    points = {int(c): values[1] for c, values in table.items()}
    return Sample(source.id, source.image, source.label, source.split, areas, points, crowd)


def _index_key(sources: Sequence[Source]) -> str:
    """Changes when a mask or picture is added, removed, or written again."""
    digest = hashlib.sha256()
    stamps: dict[Path, str] = {}
    for source in sources:
        for path in (
            source.image,
            source.label.file if isinstance(source.label, Shapes) else source.label.path,
        ):
            if path not in stamps:
                state = path.stat()
                stamps[path] = f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}"
            digest.update(f"{source.id}|{stamps[path]}\n".encode())
    return digest.hexdigest()


def _load_index(path: Path, key: str) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] == _INDEX_VERSION and content["key"] == key:
            return content["classes"]
    except (ValueError, KeyError, TypeError):
        logger.warning("The index %s is damaged; measuring the masks again.", path)
    return None
