"""Scores of masks, summed over episodes the way the field sums them.

Few-shot mIoU is not a mean of per-picture IoU: for each class, intersections and unions are summed
over all episodes, one divided by the other, and then the classes are averaged. ``ClassIoU`` keeps those
sums; the functions around it do the counting and know no state.

- IoU of a class: sum |P and G| / sum |P or G| over its episodes, P predicted and G true object pixels.
- FB-IoU: the same with all classes as one foreground, and once more for the background; their mean.
- Boundary IoU: as the IoU of a class, of the bands of P and of G that lie within d pixels of their own
  outlines, d = 2 % of the picture's diagonal, at least 1. The picture's edge is an outline too. Unknown
  pixels take the value of the nearest known one in P and in G alike before the bands are cut, and do
  not count; so they cannot matter, nor give the outline away.

Where two published protocols differ (``PROTOCOLS``), figures must not share a column:

- Size: both masks are resized to 400 x 400 (``hsnet``) or 417 x 417 (``panet``) by nearest pixels, from
  the corner (PyTorch's rule) or from the centre (Pillow's). ``native``, our own, keeps the picture's size.
- Pictures counted: ``panet`` counts a class only where the true mask shows it; false alarms elsewhere,
  for instance where an object vanished in resizing, are free. The others count everything.
- Classes never asked for: 0 in the mean (``hsnet``), left out of it (``panet``, ``native``).
- Unknown pixels (value 255): both take them from prediction and truth alike, though one writes 255 into
  the prediction and the other masks the prediction's side alone. Only resizing moves them.
- Runs: ``hsnet`` one; ``panet`` five, each with sums of its own, then mean and standard deviation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from lfss.errors import InputError, UnknownName

Mask = npt.NDArray[np.bool_]

BOUNDARY_WIDTH = 0.02  # of the diagonal


@dataclass(frozen=True)
class Protocol:
    """How predictions are compared with the truth.

    Attributes:
        name: as published.
        side: both masks are resized to this many pixels a side; None keeps the picture's size.
        nearest: what counts as the nearest pixel.
        counted: ``all`` pictures, or only where the true mask has the side in question.
        unasked: what a class without episodes adds to the mean.
    """

    name: str
    side: int | None
    nearest: Literal["corner", "centre"]
    counted: Literal["all", "present"]
    unasked: Literal["zero", "skip"]


PROTOCOLS = {
    "native": Protocol("native", side=None, nearest="corner", counted="all", unasked="skip"),
    "hsnet": Protocol("hsnet", side=400, nearest="corner", counted="all", unasked="zero"),
    "panet": Protocol("panet", side=417, nearest="centre", counted="present", unasked="skip"),
}


@dataclass(frozen=True)
class Scores:
    """What ``ClassIoU`` computes; all values in [0, 1], NaN where nothing was counted.

    Attributes:
        iou: of each class.
        boundary_iou: of each class.
        episodes: of each class.
        miou, boundary_miou: their means over the classes.
        fb_iou: mean of foreground and background.
    """

    iou: dict[str, float]
    boundary_iou: dict[str, float]
    episodes: dict[str, int]
    miou: float
    boundary_miou: float
    fb_iou: float


# Columns of the sums.
_FOREGROUND, _BACKGROUND, _BOUNDARY, _EPISODES = slice(0, 2), slice(2, 4), slice(4, 6), 6


class ClassIoU:
    """Sums over episodes, class by class.

    Args:
        classes: names; the order of the results.
        protocol: a name of ``PROTOCOLS``.

    Attributes:
        sums: (classes, 7) int64: intersection and union of foreground, of background, of the boundary
            bands, all in pixels; then episodes.
    """

    def __init__(self, classes: Sequence[str], protocol: str = "native"):
        if protocol not in PROTOCOLS:
            raise UnknownName("protocol", protocol, PROTOCOLS)
        self.classes = tuple(classes)
        self.protocol = PROTOCOLS[protocol]
        self.sums = np.zeros((len(self.classes), 7), np.int64)

    def update(self, class_name: str, prediction: Mask, truth: Mask, ignore: Mask | None = None) -> None:
        """Count one episode; errors as ``episode_sums``.

        Args:
            class_name: of the episode.
            prediction, truth, ignore: (H, W) bool, as for ``episode_sums``.

        Raises:
            UnknownName: a class that was not named at the start.
        """
        self.add(class_name, episode_sums(prediction, truth, ignore, protocol=self.protocol))

    def add(self, class_name: str, sums: npt.NDArray[np.int64]) -> None:
        """Count one episode by its sums, (7,) int64 as ``episode_sums`` makes them.

        Raises:
            UnknownName: a class that was not named at the start.
        """
        if class_name not in self.classes:
            raise UnknownName("class", class_name, self.classes)
        self.sums[self.classes.index(class_name)] += sums

    def compute(self) -> Scores:
        """The scores of all that was counted so far."""
        iou = _ratio(self.sums[:, _FOREGROUND])
        boundary = _ratio(self.sums[:, _BOUNDARY])
        foreground, background = (_ratio(self.sums[:, c].sum(axis=0)) for c in (_FOREGROUND, _BACKGROUND))
        return Scores(
            iou=dict(zip(self.classes, iou.tolist())),
            boundary_iou=dict(zip(self.classes, boundary.tolist())),
            episodes=dict(zip(self.classes, self.sums[:, _EPISODES].tolist())),
            miou=_mean(iou, self.protocol),
            boundary_miou=_mean(boundary, self.protocol),
            fb_iou=float(np.mean([foreground, background])),
        )


def episode_sums(
    prediction: Mask, truth: Mask, ignore: Mask | None = None, *, protocol: Protocol
) -> npt.NDArray[np.int64]:
    """What one episode adds to the sums of its class.

    Args:
        prediction, truth: (H, W) bool, at the picture's size.
        ignore: (H, W) bool, pixels that do not count.
        protocol: one of ``PROTOCOLS``.

    Returns:
        (7,), as ``ClassIoU.sums``.

    Raises:
        InputError: the masks differ in size.
    """
    return sums_of({"": prediction}, truth, ignore, protocol=protocol)[""]


def sums_of(
    predictions: Mapping[str, Mask], truth: Mask, ignore: Mask | None = None, *, protocol: Protocol
) -> dict[str, npt.NDArray[np.int64]]:
    """``episode_sums`` of several masks of one picture; what concerns the truth alone is done once.

    Args:
        predictions: (H, W) bool, by name.
        truth, ignore: (H, W) bool.
        protocol: how masks are compared.
    """
    for prediction in predictions.values():
        _check_masks(prediction, truth, ignore)
    t = resize_mask(truth, protocol)
    i = np.zeros_like(t) if ignore is None else resize_mask(ignore, protocol)
    source = _nearest_known(i)
    outline = boundary_band(_taken(t, source))
    counted = np.ones(7, np.int64)
    if protocol.counted == "present":
        counted[_FOREGROUND] = counted[_BOUNDARY] = (t & ~i).any()
        counted[_BACKGROUND] = (~t & ~i).any()
    found = {}
    for name, prediction in predictions.items():
        p = resize_mask(prediction, protocol)
        sums = np.ones(7, np.int64)
        sums[_FOREGROUND], sums[_BACKGROUND] = overlap(p, t, i), overlap(~p, ~t, i)
        sums[_BOUNDARY] = overlap(boundary_band(_taken(p, source)), outline, i)
        found[name] = sums * counted
    return found


def overlap(prediction: Mask, truth: Mask, ignore: Mask | None = None) -> tuple[int, int]:
    """Pixels of the intersection and of the union of two (H, W) masks, without ignored ones."""
    both, either = prediction & truth, prediction | truth
    if ignore is not None:
        both, either = both & ~ignore, either & ~ignore
    return int(np.count_nonzero(both)), int(np.count_nonzero(either))


def boundary_band(mask: Mask, width: float = BOUNDARY_WIDTH) -> Mask:
    """The part of a (H, W) mask within ``width`` times the diagonal of its outline.

    Distance is counted in steps to one of the eight neighbours; outside the picture is not the object.
    """
    distance = max(1, round(width * math.hypot(*mask.shape)))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), *(distance,) * 4, cv2.BORDER_CONSTANT, value=0)
    # A square of 2d + 1 takes off what d rounds of its eight neighbours would.
    square = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    inner = cv2.erode(padded, square)[distance:-distance, distance:-distance]
    return mask & (inner == 0)


def resize_mask(mask: Mask, protocol: Protocol) -> Mask:
    """A (H, W) mask at the size at which a protocol compares, by nearest pixels."""
    if protocol.side is None:
        return mask
    offset = 0.0 if protocol.nearest == "corner" else 0.5
    steps = np.arange(protocol.side) + offset
    rows, columns = ((steps * n / protocol.side).astype(int) for n in mask.shape)
    return mask[rows][:, columns]


def roc_auc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties counting half.

    Args:
        scores: higher means more likely positive.
        positive: the truth, as many.

    Returns:
        0.5 for scores that say nothing, 1 where they part the two perfectly.

    Raises:
        InputError: lengths differ, a score is NaN, or only one of the two kinds is there.
    """
    values, truth = np.asarray(scores, np.float64), np.asarray(positive, np.bool_)
    if values.shape != truth.shape or values.ndim != 1 or np.isnan(values).any():
        raise InputError("A ROC curve needs one score, not NaN, for each true or false.")
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        raise InputError(f"A ROC curve needs both kinds; there are {positives} positives of {truth.size}.")
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # from 1; ties share their mean
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _nearest_known(ignore: Mask) -> npt.NDArray[np.int64] | None:
    """For each pixel the place of the nearest known one in the flat array, (H, W); -1 if there is none.

    None if every pixel is known.
    """
    if not ignore.any():
        return None
    if ignore.all():
        return np.full(ignore.shape, -1, np.int64)
    _, labels = cv2.distanceTransformWithLabels(
        ignore.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.zeros(labels.max() + 1, np.int64)
    known = np.flatnonzero(~ignore)
    places[labels.ravel()[known]] = known
    return places[labels]


def _taken(mask: Mask, source: npt.NDArray[np.int64] | None) -> Mask:
    """A mask whose unknown pixels take the value of the nearest known one."""
    return mask if source is None else mask.ravel()[source] & (source >= 0)


def _ratio(sums: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Intersections over unions, (..., 2) to (...); NaN where the union is empty."""
    unions = sums[..., 1].astype(np.float64)
    return np.divide(sums[..., 0], unions, out=np.full(unions.shape, np.nan), where=unions > 0)


def _mean(values: npt.NDArray[np.float64], protocol: Protocol) -> float:
    if protocol.unasked == "zero":
        return float(np.nan_to_num(values).mean())
    return float(values[~np.isnan(values)].mean()) if (~np.isnan(values)).any() else math.nan


def _check_masks(prediction: Mask, truth: Mask, ignore: Mask | None) -> None:
    for name, mask in (("prediction", prediction), ("ignored pixels", ignore)):
        if mask is not None and mask.shape != truth.shape:
            raise InputError(
                f"The {name} are {mask.shape}, the true mask is {truth.shape} (rows, columns). "
                "Compare at the picture's own size."
            )
