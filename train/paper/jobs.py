"""Which trainings and tests a table of the paper needs. Tables share what they have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lfss.errors import InputError

Set = Literal["pascal", "coco"]

PRESETS = {"vgg16": "paper-vgg16", "resnet50": "paper-rn50"}

# Changes of the method, by name. "untrained" has no decoder: Table 3 asks for the masks before it.
VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "untrained": {},
    "baseline": {"dps": False, "refine": False, "ccm": False},
    "dps": {"refine": False, "ccm": False},
    "dps-refine": {"ccm": False},  # also figure 5's "with RCM"
    "n1": {"window": 1},
    "n5": {"window": 5},
    "alpha0.1": {"alpha": 0.1},
    "alpha0.3": {"alpha": 0.3},
}

# Columns of Tables 4 and 5 in the paper's order.
COLUMNS = {
    4: ("baseline", "dps", "dps-refine", "full"),
    5: ("n1", "full", "n5", "alpha0.1", "alpha0.3", "full"),
}
FIGURE_5 = ("dps-refine", "full")  # with RCM, with CCM


@dataclass(frozen=True, order=True)
class Job:
    """One fold of one backbone under one variant: a training and its test.

    Attributes:
        set: ``pascal`` (PASCAL-5i) or ``coco`` (COCO-20i, interleaved folds).
        backbone: a key of ``PRESETS``, or a preset.
        variant: a key of ``VARIANTS``.
        fold: 0 to 3.
    """

    set: Set
    backbone: str
    variant: str
    fold: int

    @property
    def name(self) -> str:
        """Also its folder below the output folder."""
        backbone = self.backbone.replace(":", "-").replace("/", "-")
        return f"{self.set}/{backbone}/{self.variant}/fold{self.fold}"

    @property
    def preset(self) -> str:
        """Whose encoders it uses."""
        return PRESETS.get(self.backbone, self.backbone)

    def folder(self, out: Path) -> Path:
        """Where its training and its result are."""
        return out / self.name


def jobs_of(
    table: int, *, folds: Sequence[int], backbones: Sequence[str], sets: Sequence[Set]
) -> Iterator[Job]:
    """The jobs of a table (1 to 5), or of figure 5 (``table`` 0), in the order in which they are run.

    Args:
        table: which.
        folds: those wanted; Table 5 has fold 1 only and ignores this, unless it names a single other one.
        backbones: Tables 1 and 2 have a part for each; the others use the last one given.
        sets: those wanted of the table's data sets.

    Raises:
        InputError: the table has none of these data sets.
    """
    of: dict[int, tuple[Set, ...]] = {1: ("pascal",), 2: ("coco",), 5: ("pascal",)}
    wanted = [s for s in of.get(table, ("pascal", "coco")) if s in sets]
    if not wanted:
        raise InputError(f"Table {table} is about {of[table][0]}; do not exclude it with --sets.")
    one = backbones[-1:]
    if table in (1, 2):
        variants: tuple[str, ...] = ("full",)
        chosen = list(backbones)
    else:
        variants = {0: FIGURE_5, 3: ("untrained",), **COLUMNS}[table]
        chosen = list(one)
    if table == 5:
        folds = folds if len(folds) == 1 else (1,)
    for name in wanted:
        for backbone in chosen:
            for variant in dict.fromkeys(variants):
                for fold in folds:
                    yield Job(name, backbone, variant, fold)
