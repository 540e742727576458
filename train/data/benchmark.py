"""``everyday-photos v1``: this project's own benchmark, fixed before anything was trained for it.

It exists because the photos at hand are subsets: a result on them is not a PASCAL-5i or COCO-20i
result, and is never called one. What it fixes:

- **Groups.** On VOC photos three groups of novel classes: {cat, cow}, {dog, horse, person},
  {sheep, sofa, chair}. On COCO photos the four interleaved folds, from which a class counts if it has
  at least six pictures, enough for five shots.
- **Training.** VOC ``train``, COCO ``train2017`` and the Weizmann horses, without every picture in which a
  novel class is marked in a single pixel, under either set's name for it. So no mask of a novel class
  is seen, not even as background. Published protocols keep such pictures; this one is stricter.
  Training on the larger list ``trainaug`` is allowed and to be said.
- **Choosing** (epochs, settings): a base class of VOC, ``Group.choosing``, on VOC ``train`` pictures that
  show no novel class. It is held out of training in the same strict way.
- **Test.** VOC: the official ``val`` pictures. COCO: all pictures that show a novel class, of both official
  lists, since none of them is trained on. COCO ``val2017`` pictures are never trained on.
- **Episodes.** 1,000, protocol ``balanced``, rule ``area``, 1 and 5 shots, seeds 0, 1 and 2.
- **Score.** ``train.measure.metrics`` with the protocol ``native``: mIoU over the group's classes, mean and
  standard deviation over the seeds. Boundary IoU and FB-IoU beside it.

Whoever tests an encoder that itself learned from photos says whether the test pictures were among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lfss.errors import InputError, UnknownName

from .datasets import DataSet, open_data
from .splits import SAME_CLASS, coco_fold

NAME = "everyday-photos v1"
EPISODES = 1000
FEWEST = 6  # pictures of a class that counts


# Folder, layout and split of the pictures to train on, beside VOC's.
@dataclass(frozen=True)
class Group:
    """One group of novel classes.

    Attributes:
        name: for tables and file names.
        layout: ``voc`` or ``coco``, the data set that is tested on, and its folder's name.
        split: the list of pictures that is tested on; None for all.
        novel: classes that are tested.
        choosing: the base class that only chooses between models.
    """

    name: str
    layout: str
    split: str | None
    novel: tuple[str, ...]
    choosing: str


def _coco_group(index: int, choosing: str) -> Group:
    return Group(f"coco-{index}", "coco", None, coco_fold(index, "interleaved").novel, choosing)


GROUPS = {
    group.name: group
    for group in (
        Group("cat-cow", "voc", "val", ("cat", "cow"), "sheep"),
        Group("dog-horse-person", "voc", "val", ("dog", "horse", "person"), "cow"),
        Group("sheep-sofa-chair", "voc", "val", ("sheep", "sofa", "chair"), "cow"),
        _coco_group(0, "cow"),
        _coco_group(1, "sheep"),
        _coco_group(2, "cow"),
        _coco_group(3, "sheep"),
    )
}


def pick_group(name: str) -> Group:
    """The group of that name; raises UnknownName."""
    if name not in GROUPS:
        raise UnknownName(f"group of {NAME}", name, GROUPS)
    return GROUPS[name]


def spellings(names: Sequence[str]) -> set[str]:
    """Class names and what the other data set calls the same classes."""
    to_voc = {coco: voc for voc, coco in SAME_CLASS.items()}
    return {other for name in names for other in (name, SAME_CLASS.get(name), to_voc.get(name)) if other}


def reporting_set(group: Group, folder: Path, cache: Path) -> DataSet:
    """Pictures that are reported on."""
    return open_data(folder / group.layout, group.layout, split=group.split, cache=cache)


def reported_classes(group: Group, data: DataSet) -> tuple[str, ...]:
    """Novel classes with enough pictures, in the data set's order.

    Raises:
        InputError: there is none.
    """
    enough = [c for c in sorted(data.class_ids(group.novel)) if len(data.ids_of(c)) >= FEWEST]
    if not enough:
        raise InputError(f"'{data.name}' holds no class of {group.name} with {FEWEST} pictures to test on.")
    return tuple(data.classes[c] for c in enough)
