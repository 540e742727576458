"""What a model said of a picture, small enough to keep, and the one rule for another threshold.

The map that a mask was cut from is kept beside the mask, so that a new threshold needs no model. At the
model's own threshold the answer is the model's own mask, bit for bit; at any other it is where the kept
map, enlarged to the picture, reaches the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from .doubt import confidence, doubt_of
from .errors import InputError
from .packing import pack_mask, pack_scores, unpack_mask, unpack_scores


class Cut(NamedTuple):
    """A mask, (H, W) bool, with its score and its doubt as in ``Draft``."""

    mask: npt.NDArray[np.bool_]
    score: float | None
    doubt: float | None


@dataclass(frozen=True)
class ScoreMap:
    """What a model said of one label on one picture.

    Attributes:
        mask: the model's own mask, packed.
        scores: the map that it was cut from, packed.
        threshold: the model's own threshold.
        score, doubt: of the model's own mask.
    """

    mask: bytes
    scores: bytes
    threshold: float
    score: float | None
    doubt: float | None = None

    def cut(
        self,
        threshold: float,
        *,
        size: tuple[int, int] | None = None,
        present: bool | None = None,
        presence: float | None = None,
    ) -> Cut:
        """The mask at a threshold.

        An empty mask over a map that reaches the model's threshold means that the model took the object
        for absent; it stays empty unless ``present`` says otherwise.

        Args:
            threshold: the score from which a pixel belongs to the mask, in [0, 1].
            size: (H, W) of the mask, for a view of the picture; the picture's own if not given.
            present: whether the object is in the picture; None: as the model decided.
            presence: how sure the model is of that, in [0, 1].

        Raises:
            InputError: the threshold is not between 0 and 1.
        """
        if not 0 <= threshold <= 1:
            raise InputError(
                f"A threshold lies between 0 and 1; this one is {threshold}. Choose one in between."
            )
        own, scores = unpack_mask(self.mask), unpack_scores(self.scores)
        absent = not own.any() and scores.max() >= self.threshold
        size = size or own.shape
        if present is False or (absent and present is None):
            nothing = np.zeros(size, np.bool_)
            return Cut(nothing, confidence(scores, nothing, presence=presence), self.doubt)
        if threshold == self.threshold and not absent:
            return Cut(_resized(own, size), self.score, self.doubt)
        mask = mask_at(scores, size, threshold=threshold)
        score = confidence(scores, scores >= threshold, presence=presence)
        return Cut(mask, score, doubt_of(scores, threshold))


def keep_scores(
    mask: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.floating],
    *,
    threshold: float,
    score: float | None,
    doubt: float | None,
) -> ScoreMap:
    """Pack what a model said of a picture.

    Args:
        mask: (H, W) bool.
        scores: (h, w) in [0, 1], the map that it was cut from.
        threshold: where it was cut.
        score, doubt: of the draft, see ``lfss.doubt``.
    """
    return ScoreMap(pack_mask(mask), pack_scores(scores), threshold, score, doubt)


def settled_scores(
    masks: Sequence[npt.NDArray[np.bool_]],
    scores: Sequence[npt.NDArray[np.float32]],
    apart: Callable[[int, int], bool],
) -> list[npt.NDArray[np.float32]]:
    """The maps to keep of labels that competed: 0 where another label got the pixel.

    So no other threshold takes back what was lost.

    Args:
        masks: (H, W) bool of each label, after the competition.
        scores: (H, W) in [0, 1] of each label.
        apart: whether two labels, by number, may not share a pixel.
    """
    settled = []
    for one, score in enumerate(scores):
        rivals = [mask for other, mask in enumerate(masks) if other != one and apart(one, other)]
        taken = np.logical_or.reduce(rivals) & ~masks[one] if rivals else None
        settled.append(score if taken is None else np.where(taken, np.float32(0), score))
    return settled


def mask_at(
    scores: npt.NDArray[np.float32], size: tuple[int, int], *, threshold: float
) -> npt.NDArray[np.bool_]:
    """The mask of a picture where its score map reaches a threshold.

    Args:
        scores: (h, w) in [0, 1], of any size.
        size: (H, W) of the picture in pixels.
        threshold: a larger one gives a smaller mask.

    Returns:
        (H, W) bool.
    """
    full = cv2.resize(scores, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return full >= threshold


def _resized(mask: npt.NDArray[np.bool_], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The mask at another size: a pixel belongs to it where at least half of it is covered."""
    if mask.shape == size:
        return mask
    grey = cv2.resize(mask.view(np.uint8) * np.uint8(255), (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(grey >= 128)
