"""What a person chooses for a run, and how a draft's provenance and a workspace spell it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

from .errors import InputError

_YES = {True: "yes", False: "no"}


class Options(TypedDict, total=False):
    """The fields of ``Settings``, as keyword arguments of ``Predictor.predict`` and its like take them."""

    threshold: float
    assume_present: bool
    snap: bool
    second_look: bool
    overlaps: Collection[tuple[str, str]]


@dataclass(frozen=True)
class Settings:
    """What a person chooses for a run.

    Attributes:
        threshold: score from which a pixel belongs to the mask, in [0, 1].
        assume_present: every query is known to show the object: never an empty first mask, no check of
            presence.
        snap: move the mask's border to the picture's edges.
        second_look: read the part around a small object again (``lfss.second_look``).
        overlaps: pairs of labels that may lie on each other, such as ("rider", "horse").
    """

    threshold: float = 0.5
    assume_present: bool = False
    snap: bool = True
    second_look: bool = False
    overlaps: Collection[tuple[str, str]] = ()

    @property
    def options(self) -> Options:
        """Keyword arguments of ``Predictor.predict`` and its like."""
        return cast(Options, dict(vars(self)))

    @property
    def provenance(self) -> dict[str, str]:
        """The settings of a draft beside its threshold, as ``Origin.settings`` has them."""
        found = {"assume_present": _YES[self.assume_present], "snap": _YES[self.snap]}
        if self.second_look:
            found["second_look"] = "yes"
        if self.overlaps:
            found["may_overlap"] = "; ".join(", ".join(pair) for pair in self.overlaps)
        return found

    def stored(self) -> dict[str, str]:
        """All settings as a workspace keeps them with a class."""
        return {"threshold": f"{self.threshold:g}", **self.provenance}

    @classmethod
    def read(cls, stored: Mapping[str, str]) -> Settings:
        """What ``stored`` gave; what is missing or makes no sense is as by default."""
        try:
            threshold = float(stored.get("threshold", "0.5"))
        except ValueError:
            threshold = 0.5
        pairs = [
            tuple(name.strip() for name in p.split(",")) for p in stored.get("may_overlap", "").split(";")
        ]
        return cls(
            threshold if 0 < threshold < 1 else 0.5,
            stored.get("assume_present") == "yes",
            stored.get("snap", "yes") == "yes",
            stored.get("second_look") == "yes",
            tuple((pair[0], pair[1]) for pair in pairs if len(pair) == 2),
        )


def common(stored: Sequence[Mapping[str, str]], labels: Sequence[str]) -> Settings:
    """The settings that several classes of a workspace share.

    Raises:
        InputError: they were searched for with different thresholds.
    """
    found = [Settings.read(one) for one in stored]
    thresholds = {one.threshold for one in found}
    if len(thresholds) > 1:
        each = ", ".join(f"'{label}' {one.threshold:g}" for label, one in zip(labels, found))
        raise InputError(
            f"The labels of the workspace were searched for with different thresholds ({each}). Say which "
            "to use now: --threshold NUMBER."
        )
    pairs = dict.fromkeys(pair for one in found for pair in one.overlaps)
    return Settings(
        thresholds.pop() if thresholds else 0.5,
        bool(found) and all(one.assume_present for one in found),
        all(one.snap for one in found),
        any(one.second_look for one in found),
        tuple(pairs),
    )
