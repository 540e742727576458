"""What a person sees of a run: numpy arrays on the CPU, safe to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from .labels import Label

Kind = Literal["mask", "map", "regions", "points", "number"]
# What a stage is to those who do not know the method; see ``lfss.methods.StageInfo``.
Role = Literal["", "first_mask", "refined_mask"]


@dataclass(frozen=True, eq=False)
class Stage:
    """One intermediate result of the method.

    Attributes:
        key: stable name for programs, one of the method's own (``Method.stages``), or ``score`` or
            ``prediction``, with which every method ends.
        title: name for people, as in the paper.
        kind: how to draw it. ``mask``: bool; ``map``: float32; ``regions``: float32 whole numbers, -1
            for none; ``points``: (P, 2) row, column; ``number``: a single value.
        supports: one array per shot in upload order; ``()`` if there is no support side.
        query: the query's array, or None. Masks and maps are (h, w) cells, or (H, W) pixels for
            ``score`` and ``prediction``; points are in pixels of their own picture.
        how_to_read: one sentence for people.
        low, high: the range of a map's colour scale.
        role: what it is to those who do not know the method, such as ``first_mask``; empty for most.
    """

    key: str
    title: str
    kind: Kind
    supports: tuple[npt.NDArray, ...] = ()
    query: npt.NDArray | None = None
    how_to_read: str = ""
    low: float = 0.0
    high: float = 1.0
    role: Role = ""


@dataclass(frozen=True, eq=False)
class Prediction:
    """The result for one query.

    Attributes:
        mask: (H, W) bool at the uploaded picture's upright size.
        score: (H, W) float32 in [0, 1]; the mask is ``score >= threshold``.
        presence: how sure the model is that the object is in the picture, in [0, 1].
        stages: every stage, in order.
        label: what was searched for.
        preset: which model.
        seconds: time spent on this query, supports not counted.
        method: name of the method that made it, such as ``lfss``.
        lost: for each class of the same run that took pixels from this one, by its label: the share of
            this class's own pixels that it took, in [0, 1].
    """

    mask: npt.NDArray[np.bool_]
    score: npt.NDArray[np.float32]
    presence: float
    stages: tuple[Stage, ...]
    label: Label
    preset: str
    threshold: float
    seconds: float
    method: str = ""
    lost: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def collect(
        cls,
        stages: Sequence[Stage],
        *,
        label: Label,
        preset: str,
        threshold: float,
        seconds: float,
        method: str = "",
        lost: Mapping[str, float] | None = None,
    ) -> Prediction:
        """From all stages that ``Predictor.iterate`` yielded for one query.

        Args:
            stages: in order; the last two are ``score`` and ``prediction``.
            label, preset, method: what was searched for, and with what.
            threshold: where the score was cut.
            seconds: how long it took.
            lost: shares of the mask that went to other labels, by label.
        """
        by_key = {s.key: s for s in stages}
        mask, score = by_key["prediction"].query, by_key["score"].query
        assert mask is not None
        assert score is not None
        presence = by_key["presence"].query if "presence" in by_key else None
        return cls(
            mask=mask,
            score=score,
            presence=float(presence) if presence is not None else 1.0,
            stages=tuple(s for s in stages if s.key != "presence"),
            label=label,
            preset=preset,
            threshold=threshold,
            seconds=seconds,
            method=method,
            lost=lost or {},
        )

    def stage(self, key: str) -> Stage:
        """The stage of that key; raises KeyError."""
        return {s.key: s for s in self.stages}[key]

    def role(self, role: Role) -> Stage | None:
        """The stage that plays a role; None where the method has none."""
        return next((s for s in self.stages if s.role == role), None)
