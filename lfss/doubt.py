"""How sure a model is of a mask, and how doubtful the mask is: the order in which drafts are reviewed."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .stages import Prediction

MARGIN = 0.2  # scores this close to the threshold could have gone either way
EVERYTHING = 0.98  # of a picture: a mask of so much has no border to be right or wrong about


def warning(area: float, label: str) -> str:
    """What to know of a mask of nearly everything, in two sentences; empty for all other masks.

    Args:
        area: share of the picture that the mask of a model covers, in [0, 1].
        label: what was searched for.
    """
    if area < EVERYTHING:
        return ""
    return (
        f"The mask covers {area:.0%} of the picture: nothing set '{label}' apart from the rest. If that is "
        "wrong, mark on a support what is not the object."
    )


def doubt(prediction: Prediction) -> float:
    """The doubt of a prediction, in [0, 1]; what to look at first is what has most of it."""
    return doubt_of(prediction.score, prediction.threshold)


def doubt_of(scores: npt.NDArray[np.floating], threshold: float) -> float:
    """How much of a mask could have gone either way, in [0, 1]; 0 where no score comes near.

    1 for a mask of nearly everything, however high its scores: nothing set the object apart. Else, of the
    pixels whose score reaches the threshold or comes within 0.2 of it, the share whose score lies within 0.2
    of it, above or below. ``python -m train.doubt`` compares this order with others.

    Args:
        scores: (H, W) in [0, 1], of any size.
        threshold: the score from which a pixel belongs to the mask, in [0, 1].
    """
    if scores.size and (scores >= threshold).mean() >= EVERYTHING:
        return 1.0
    reach = scores >= threshold - MARGIN
    if not reach.any():
        return 0.0
    return float((np.abs(scores - threshold) <= MARGIN)[reach].mean())


def confidence(
    scores: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_], *, presence: float | None = None
) -> float:
    """How sure a model is of a mask, in [0, 1].

    The mean score inside the mask. For an empty mask it is how far the highest score, or the presence
    where that is lower, stays below 1: a picture that shows nothing like the object counts as sure.

    Args:
        scores: (h, w) in [0, 1]; enlarged to the mask where it is smaller.
        mask: (H, W) bool.
        presence: how sure the model is that the object is in the picture, in [0, 1].
    """
    if not mask.any():
        return float(1 - min(float(scores.max()), 1.0 if presence is None else presence))
    if scores.shape != mask.shape:
        size = (mask.shape[1], mask.shape[0])
        scores = np.asarray(cv2.resize(scores, size, interpolation=cv2.INTER_LINEAR), np.float32)
    return float(scores[mask].mean(dtype=np.float64).clip(0, 1))
