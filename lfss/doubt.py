"""How doubtful a prediction is, told by how far the stages of the method disagree."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .stages import Prediction

MARGIN = 0.2  # scores this close to the threshold could have gone either way


def doubt(prediction: Prediction) -> float:
    """Doubt in [0, 1]: the mean of the ``reasons``; what to look at first is what has most of it."""
    return float(np.mean(list(reasons(prediction).values())))


def reasons(prediction: Prediction) -> dict[str, float]:
    """What the doubt is made of, each in [0, 1], 0 where the stages agree.

    - ``refinement``: 1 - IoU of the initial and the refined mask.
    - ``correlation``: how much of the likeness over the whole query (FCM) lies outside the refined
      mask, where RCM has none; both above the middle of FCM's own range.
    - ``text``: 1 - soft IoU of the text's evidence and the final score.
    - ``margin``: share of the pixels near the mask whose score is within 0.2 of the threshold.
    - ``presence``: 1 where presence is a coin toss, 0 where it is certain.
    """
    stage = {s.key: s.query for s in prediction.stages if s.query is not None}
    found = {"presence": 1 - abs(2 * prediction.presence - 1), "margin": _margin(prediction)}
    if "initial_mask" in stage and "refined_mask" in stage:
        found["refinement"] = 1 - _soft_iou(stage["initial_mask"], stage["refined_mask"])
    if "fcm" in stage and "rcm" in stage:
        found["correlation"] = _outside(stage["rcm"], stage["fcm"])
    if "text_evidence" in stage and stage["text_evidence"].any():
        score = _at(prediction.score, stage["text_evidence"].shape)
        found["text"] = 1 - _soft_iou(stage["text_evidence"], score)
    return found


def _margin(prediction: Prediction) -> float:
    """Of the pixels whose score comes near the threshold or passes it, those that only come near."""
    score, threshold = prediction.score, prediction.threshold
    reach = score >= threshold - MARGIN
    if not reach.any():
        return 0.0
    return float((np.abs(score - threshold) <= MARGIN)[reach].mean())


def _outside(rcm: npt.NDArray, fcm: npt.NDArray) -> float:
    """Share of the bright cells of FCM that RCM, which is zero outside the mask, leaves dark."""
    low, high = float(fcm.min()), float(fcm.max())
    if high <= low:
        return 0.0
    bright = fcm >= (low + high) / 2
    return float((bright & (rcm == 0)).sum() / bright.sum())


def _soft_iou(a: npt.NDArray, b: npt.NDArray) -> float:
    """Sum of the smaller values over sum of the larger ones; 1 for two empty maps."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    larger = np.maximum(a, b).sum()
    return float(np.minimum(a, b).sum() / larger) if larger > 0 else 1.0


def _at(score: npt.NDArray, shape: tuple[int, ...]) -> npt.NDArray:
    """The mean score of each cell, (H, W) -> (h, w)."""
    rows = np.linspace(0, score.shape[0], shape[0] + 1).astype(int)
    columns = np.linspace(0, score.shape[1], shape[1] + 1).astype(int)
    sums = np.zeros((score.shape[0] + 1, score.shape[1] + 1))
    sums[1:, 1:] = score.astype(np.float64).cumsum(0).cumsum(1)
    corners = sums[np.ix_(rows, columns)]
    total = corners[1:, 1:] - corners[:-1, 1:] - corners[1:, :-1] + corners[:-1, :-1]
    area = np.maximum(np.diff(rows)[:, None] * np.diff(columns)[None], 1)
    return total / area
