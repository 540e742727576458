"""The predictions of a run for one picture, once its classes have competed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from .competition import compete
from .labels import Label, label_key
from .prepared import Prepared
from .reasoning import MASK, PRESENCE, SCORE, to_stage
from .stages import Prediction, Stage


def settle(
    prepared: Sequence[Prepared],
    stages: Sequence[Sequence[Stage]],
    *,
    overlaps: Collection[tuple[str, str]],
    threshold: float,
    presence_threshold: float | None,
) -> list[Prediction]:
    """What the classes claim, settled between them; each with its last stage, the mask.

    Args:
        prepared: the classes of the run.
        stages: those of each class, with its presence and its score.
        overlaps: pairs of label names that may lie on each other.
        threshold: score from which a class claims a pixel.
        presence_threshold: below it a class claims nothing; None where all are known to be present.
    """
    scores = [_value(s, SCORE.key) for s in stages]
    presences = [float(_value(s, PRESENCE.key)) for s in stages]
    there = [presence_threshold is None or p >= presence_threshold for p in presences]
    masks = [score >= (threshold if t else np.inf) for score, t in zip(scores, there)]
    lost: Sequence[dict[int, float]] = [{} for _ in prepared]
    if len(prepared) > 1:
        # That a pixel is of a class means that the class is there, and that this is its place.
        sure = [1.0 if presence_threshold is None else p for p in presences]
        probabilities = np.stack([score * np.float32(p) for score, p in zip(scores, sure)])
        pairs = _numbers_of(overlaps, [p.label for p in prepared])
        left, lost = compete(probabilities, np.stack(masks), may_overlap=pairs)
        masks = list(left)
    names = [p.label.text for p in prepared]
    return [
        Prediction.collect(
            [*stages[i], to_stage(MASK, query=masks[i])],
            label=one.label,
            preset=one.preset,
            method=one.method,
            threshold=threshold,
            seconds=0.0,
            lost={names[by]: share for by, share in lost[i].items()},
        )
        for i, one in enumerate(prepared)
    ]


def _value(stages: Sequence[Stage], key: str) -> npt.NDArray:
    """The query's array of a stage."""
    value = {s.key: s.query for s in stages}[key]
    assert value is not None
    return value


def _numbers_of(pairs: Collection[tuple[str, str]], labels: Sequence[Label]) -> list[tuple[int, int]]:
    """Pairs of label names as pairs of their numbers; pairs of which one is not in this run are left out."""
    place = {label_key(label.text): number for number, label in enumerate(labels)}
    numbers = [(place.get(label_key(a)), place.get(label_key(b))) for a, b in pairs]
    return [(a, b) for a, b in numbers if a is not None and b is not None]
