"""The pictures and classes of one fold, and what may be trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lfss.errors import InputError, UnknownName

from ..data.benchmark import spellings
from ..data.datasets import DataSet, check_counts, open_data
from ..data.episodes import Draws
from ..data.splits import Fold, Rule, coco_fold, pascal_fold
from ..mini.photos import fraction
from .jobs import Set

# Layout, lists to train on and to test on (the first that is there), and the rule by which a class counts.
_LISTS: dict[Set, tuple[str, tuple[str, ...], tuple[str, ...], Rule]] = {
    "pascal": ("voc", ("trainaug", "train"), ("val",), "grid"),
    "coco": ("coco", ("train2014", "train2017"), ("val2014", "val2017"), "area"),
}
CHOOSING = 0.05  # share of a base class's pictures by which the best state is chosen

Pair = tuple[str, int]
"""A picture's id and a class that it shows."""


@dataclass(frozen=True)
class FoldData:
    """One fold, opened.

    Attributes:
        title: PASCAL-5i or COCO-20i and the fold, if the official counts are there; else what it is.
        official: whether they are.
        train, test: the two lists of pictures.
        base, novel: class names that are trained on, and that are tested.
        left_out: for people: classes that are in neither, and why.
        rule: how much of a class a picture must show.
    """

    title: str
    official: bool
    train: DataSet
    test: DataSet
    base: tuple[str, ...]
    novel: tuple[str, ...]
    left_out: tuple[str, ...]
    rule: Rule

    def pairs(self) -> tuple[list[Pair], list[Pair]]:
        """Pairs of a picture and a base class to train on, and those to choose the best state by.

        Of each base class one picture in twenty, at least one, is only chosen by: the first by the hash of
        their names. Such a picture is trained on for no class.
        """
        classes = self.train.class_ids(self.base)
        kept: set[str] = set()
        for class_id in classes:
            ids = sorted(self.train.ids_of(class_id, self.rule), key=fraction)
            kept |= set(ids[: max(1, int(CHOOSING * len(ids)))])
        pairs = self.train.pairs(classes, self.rule)
        return [p for p in pairs if p[0] not in kept], [p for p in pairs if p[0] in kept]


def open_fold(
    name: Set, index: int, data: Path, cache: Path, *, is_known: Callable[[str], bool], strict: bool = False
) -> FoldData:
    """Open a fold's pictures.

    Args:
        name: which benchmark.
        index: 0 to 3.
        data: folder that holds ``voc`` and ``coco``.
        cache: see ``open_data``.
        knows: whether the text tower knows a class name; classes that it does not know are left out.
        strict: leave out training pictures that show a novel class in a single pixel. The field keeps them,
            with these pixels as background.

    Raises:
        InputError: the data is not there, or no class is left.
    """
    layout, train_lists, test_lists, rule = _LISTS[name]
    train = _first(data / layout, layout, train_lists, cache)
    test = _first(data / layout, layout, test_lists, cache)
    folds = [pascal_fold(i) if name == "pascal" else coco_fold(i, "interleaved") for i in range(4)]
    fold = folds[index]
    official = _is_official(train, folds) and _is_official(test, folds)
    if strict:
        train = train.without(spellings(fold.novel))
    left_out: list[str] = []

    def usable(names: Sequence[str], of: DataSet) -> tuple[str, ...]:
        found = []
        for c in names:
            pictures = len(of.ids_of(of.class_ids([c])[0], rule)) if c in of.classes.values() else 0
            if pictures < 2:
                left_out.append(f"{c} ({pictures} pictures)")
            elif not is_known(c):
                left_out.append(f"{c} (the text tower does not know the word)")
            else:
                found.append(c)
        return tuple(found)

    base, novel = usable(fold.base, train), usable(fold.novel, test)
    if not base or not novel:
        raise InputError(
            f"Of {fold.title} nothing is left to {'train on' if not base else 'test'}: "
            f"{', '.join(left_out)}. Leave this fold out with --folds."
        )
    title = fold.title if official else f"a subset of {fold.title}: {len(novel)} of {len(fold.novel)} classes"
    return FoldData(title, official, train, test, base, novel, tuple(left_out), rule)


def epoch_pairs(pairs: Sequence[Pair], *, seed: int, epoch: int, limit: int | None = None) -> list[Pair]:
    """All pairs in the order of one epoch; the same on every machine.

    Args:
        pairs: pictures and classes.
        seed: of the run.
        epoch: its number.
        limit: how many at most; None: all.
    """
    count = len(pairs) if limit is None else min(limit, len(pairs))
    return list(Draws(f"epoch|{seed}|{epoch}").sample(pairs, count))


def support_of(pool: Sequence[str], query: str, key: str) -> str:
    """A picture of the class other than the query."""
    return Draws(key).choice([picture for picture in pool if picture != query])


def _first(root: Path, layout: str, lists: Sequence[str], cache: Path) -> DataSet:
    for split in lists:
        try:
            return open_data(root, layout, split=split, cache=cache, progress=True)
        except UnknownName:
            continue
    raise InputError(f"'{root}' has none of the lists {', '.join(lists)}. Get the data with train.prepare.")


def _is_official(data: DataSet, folds: Sequence[Fold]) -> bool:
    counts = check_counts(data, [fold.novel for fold in folds])
    return bool(counts) and all(count.right for count in counts)
