"""Every choice of PAIA, with the reason for its default where the paper is silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Distance = Literal["cosine", "euclidean"]
Gate = Literal["soft", "hard", "straight-through"]
Background = Literal["pixels", "images"]


@dataclass(frozen=True)
class PaiaConfig:
    """The method's choices; the defaults are the paper's, or explained where it is silent.

    Attributes:
        scale: logits per unit of cosine. The paper says "nearest prototype" only; 20 is PANet's.
        background: the background prototype is the mean over all pixels of no class, as the paper says
            (``pixels``), or the mean of the means of each picture, as PANet's program has it (``images``).
        threshold: off pools without the filter of Eq. 4 and 5, which is the authors' first version.
        distance: of Eq. 4. The method's own metric is the cosine, so the distance is 1 - cosine;
            ``euclidean`` is the squared distance of the paper that the threshold was taken from.
        distances_of: the statistics of a class are taken over the auxiliary pictures of all classes, as D_c
            is defined, or only over those of the class (``own``).
        train_gate: in training. The printed step function gives the network behind it no gradient, so a
            sigmoid stands for it; ``straight-through`` decides hard and takes the sigmoid's gradient.
        test_gate: outside training.
        sharpness: of the sigmoid, per unit of normalised distance.
        detach_statistics: the statistics carry no gradient, as in the paper that they were taken from.
        iterations: T of the iterative fusion; the paper does not give it. 0 leaves the auxiliary pictures
            out, 1 is the paper's "PAIA-Init".
        hard_masks: weigh each cell of a first mask the same, the plain way that the paper compares with.
        auxiliary_weight: of one auxiliary picture against one support. 1 is the printed Eq. 5, in which one
            support and two auxiliary pictures leave a third to the support.
        teach_background: auxiliary pictures teach the background prototype too, by their cells that are
            nearest to it. Off: Eq. 5 is for each foreground class.
        transductive: the query is an auxiliary picture too (section 3.5). Off: then each answer depends on
            its own query, and the published tables do not say that it was on.
        text_supports: a support that nobody marked is read by the map of the text, where the text knows
            the word; off, such a support is an auxiliary picture.
    """

    scale: float = 20.0
    background: Background = "pixels"
    threshold: bool = True
    distance: Distance = "cosine"
    distances_of: Literal["all", "own"] = "all"
    train_gate: Gate = "soft"
    test_gate: Gate = "hard"
    sharpness: float = 10.0
    detach_statistics: bool = True
    iterations: int = 3
    hard_masks: bool = False
    auxiliary_weight: float = 1.0
    teach_background: bool = False
    transductive: bool = False
    text_supports: bool = True
