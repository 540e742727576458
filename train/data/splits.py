"""Class lists and folds of the field's benchmarks, and the counts their official data must show.

PASCAL-5i: the 20 VOC classes in their order, five a fold. COCO-20i: the 80 COCO classes in the order
of their ids, in two splits that must not be mixed in one table: ``interleaved`` (fold f holds every
fourth class from f on) and ``contiguous`` (twenty in a row). FSS-1000 is split by classes: from a list
file, or else by a stated rule. Images are never listed here: a picture counts for a class if the
annotations show enough of it, by one of two rules.

- ``area``: at least 2,048 pixels of the class in the original picture. The published COCO-20i lists
  follow it (on 393 of their pictures it differs in 4 of 1,493 pairs of a picture and a class), with
  crowds left out and later objects painted over earlier ones.
- ``grid``: more than two points of a grid of every 32nd pixel, starting at (1, 1). The published
  PASCAL-5i lists follow this one, though papers name the area. Counted on the official validation
  masks, ``area`` gives 365 / 467 / 734 / 357 pairs per fold, ``grid`` 346 / 450 / 725 / 345, and the
  lists have 346 / 451 / 725 / 346; ``grid`` differs from them in 8 of 1,868 pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lfss.errors import UnknownName

Rule = Literal["area", "grid"]
Scheme = Literal["interleaved", "contiguous"]

MIN_AREA = 2 * 32 * 32
GRID_STEP, GRID_START, GRID_ABOVE = 32, 1, 2

VOC_NAMES = dict(enumerate((
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
), start=1))  # fmt: skip

# Official ids: 80 of 1 to 90. Each row starts at its number; the gaps were never used.
_COCO_ROWS: dict[int, tuple[str, ...]] = {
    1: ("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
        "traffic light", "fire hydrant"),
    13: ("stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
         "bear", "zebra", "giraffe"),
    27: ("backpack", "umbrella"),
    31: ("handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
         "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle"),
    46: ("wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
         "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed"),
    67: ("dining table",),
    70: ("toilet",),
    72: ("tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster",
         "sink", "refrigerator"),
    84: ("book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush"),
}  # fmt: skip
COCO_NAMES = {first + i: name for first, names in _COCO_ROWS.items() for i, name in enumerate(names)}

# VOC's spelling of classes that COCO spells otherwise.
SAME_CLASS = {
    "aeroplane": "airplane", "motorbike": "motorcycle", "diningtable": "dining table",
    "pottedplant": "potted plant", "sofa": "couch", "tvmonitor": "tv",
}  # fmt: skip


@dataclass(frozen=True)
class Fold:
    """One fold: its classes are novel, all others are base.

    Attributes:
        title: for tables, once ``title`` has confirmed that the data is the official one.
        novel: class names that are tested; no mask of them is ever trained on.
        base: the other classes of the data set.
    """

    title: str
    novel: tuple[str, ...]
    base: tuple[str, ...]


def pascal_fold(index: int) -> Fold:
    """Fold 0 to 3 of PASCAL-5i: VOC classes 5f+1 to 5f+5."""
    names = tuple(VOC_NAMES.values())
    _check_index(index, "PASCAL-5i")
    return _fold(f"PASCAL-5i fold {index}", names, names[5 * index : 5 * index + 5])


def coco_fold(index: int, scheme: Scheme) -> Fold:
    """Fold 0 to 3 of COCO-20i, in one of its two splits.

    Args:
        index: the fold.
        scheme: ``interleaved`` (HSNet and those after it) or ``contiguous`` (PANet and those after it).
    """
    names = tuple(COCO_NAMES.values())
    _check_index(index, "COCO-20i")
    if scheme not in ("interleaved", "contiguous"):
        raise UnknownName("split of COCO", scheme, ("interleaved", "contiguous"))
    novel = names[index::4] if scheme == "interleaved" else names[20 * index : 20 * index + 20]
    return _fold(f"COCO-20i ({scheme}) fold {index}", names, novel)


@dataclass(frozen=True)
class Count:
    """A number that the official data must show.

    Attributes:
        what: what was counted.
        expected, found: the two numbers.
        slack: how far they may lie apart.
    """

    what: str
    expected: int
    found: int
    slack: int = 0

    @property
    def right(self) -> bool:
        """True where the two agree."""
        return abs(self.expected - self.found) <= self.slack


@dataclass(frozen=True)
class Official:
    """What is known of an official list of pictures.

    Attributes:
        pictures: how many show any class.
        pairs: for each rule, pairs of a picture and a class in folds 0-3.
        slack: how far the pairs may be off, as a share: outlines leave room at the edges of pixels.
    """

    pictures: int
    pairs: dict[Rule, tuple[int, int, int, int]]
    slack: float = 0.0


# Keys: (layout, split). VOC was counted on the official masks with these very rules. COCO: published
# lists, interleaved folds; the lists for training name base classes, so their total minus each.
OFFICIAL: dict[tuple[str, str], Official] = {
    ("voc", "train"): Official(1464, {}),
    ("voc", "val"): Official(1449, {"area": (365, 467, 734, 357), "grid": (346, 450, 725, 345)}),
    ("voc", "trainaug"): Official(
        10582, {"area": (2374, 3504, 5997, 2141), "grid": (2286, 3434, 5883, 2079)}
    ),
    ("coco", "train2014"): Official(82081, {"area": (75015, 36564, 29437, 29475)}, slack=0.005),
    ("coco", "val2014"): Official(40137, {"area": (35783, 17912, 14563, 14315)}, slack=0.005),
    ("coco", "train2017"): Official(117266, {}),
    ("coco", "val2017"): Official(4952, {}),
}


def _fold(title: str, names: tuple[str, ...], novel: tuple[str, ...]) -> Fold:
    return Fold(title, novel, tuple(name for name in names if name not in novel))


def _check_index(index: int, benchmark: str) -> None:
    if index not in range(4):
        raise UnknownName(f"fold of {benchmark}", str(index), map(str, range(4)))
