"""Step 4, Eq. 3 and 5 and section 3.5: prototypes fused with what auxiliary pictures teach, T times.

Where the paper is silent
    *A picture in which nothing is left* is left out of the mean. Adding its zero vector would change only
    the length of the prototype, and with it the Euclidean distances of the next iteration.
    *The background prototype* stays that of the supports, as Eq. 5 is for each foreground class;
    ``teach_background`` fuses it in the same way with the auxiliary pictures' background.
    *The threshold* is computed anew from the prototypes of each iteration, by the same network.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ...similarity import EPS
from .config import Gate, PaiaConfig
from .step1_prototypes import Original, prototype_cosines
from .step2_soft_pooling import Pooled, soft_masked_average, soft_masks
from .step3_threshold import Threshold, distances, gate, normalise, statistics


class Auxiliary(NamedTuple):
    """M pictures without masks. ``features`` (B, M, C, h, w); ``shown`` (B, N, M) in [0, 1], how far each is
    known to show each class: 1 by its label, a presence where that is less sure, 0 for other classes."""

    features: Tensor
    shown: Tensor


class Fusion(NamedTuple):
    """One iteration.

    ``prototypes`` (B, N + 1, C) made by it; ``taken`` and ``filtered`` (B, N, M, h, w) in [0, 1], the soft
    weights that were averaged and those that the threshold took out; ``threshold`` (B, N) in units of the
    mean distance, infinite without a filter.
    """

    prototypes: Tensor
    taken: Tensor
    filtered: Tensor
    threshold: Tensor


def fuse(
    original: Original, pooled: Pooled, shown: Tensor, *, weight: float = 1.0, ground: Pooled | None = None
) -> Tensor:
    """Eq. 3 and 5: mean over the supports' masked averages and the auxiliary pictures' soft ones.

    Args:
        original: of the supports.
        pooled: of the auxiliary pictures.
        shown: (B, N, M), see ``Auxiliary``.
        weight: of an auxiliary picture against a support.
        ground: the auxiliary pictures' background, N = 1; it is averaged with the supports' background, which
            counts as one vector for each support.

    Returns:
        (B, N + 1, C); the background's is unchanged without ``ground``.
    """
    share = weight * shown * (pooled.weight.transpose(1, 2) > EPS)  # (B, N, M)
    learned = torch.einsum("bnm,bmnc->bnc", share, pooled.vectors)
    known = original.prototypes[:, 1:] * original.shots[..., None]
    total = (original.shots + share.sum(2)).clamp_min(EPS)[..., None]
    background = original.prototypes[:, :1]  # (B, 1, C)
    if ground is not None:
        ground_weight = weight * (shown.amax(1) > 0) * (ground.weight[..., 0] > EPS)  # (B, M)
        count = original.shots.sum(1)[:, None]  # (B, 1)
        summed = torch.einsum("bm,bmc->bc", ground_weight, ground.vectors[:, :, 0]) + background[:, 0] * count
        background = (summed / (count + ground_weight.sum(1, keepdim=True)).clamp_min(EPS))[:, None]
    return torch.cat((background, (known + learned) / total), 1)


def iterative_fusion(
    original: Original,
    auxiliary: Auxiliary,
    config: PaiaConfig,
    threshold: Threshold | None,
    *,
    kind: Gate | None = None,
) -> Iterator[Fusion]:
    """The iterative fusion module: each iteration reads the pictures by the last prototypes.

    Args:
        original: of the supports; each iteration fuses with these.
        auxiliary: pictures known to show the classes; with none of them nothing is yielded.
        config: the choices; ``iterations`` of them are made.
        threshold: the network of Eq. 4; None filters nothing.
        kind: the gate; ``config.test_gate`` if not given.
    """
    if auxiliary.features.shape[1] == 0:
        return
    prototypes = original.prototypes
    for _ in range(config.iterations):
        cosines = prototype_cosines(auxiliary.features, prototypes)
        soft = soft_masks(cosines, scale=config.scale)
        probability = torch.ones_like(soft.probability) if config.hard_masks else soft.probability
        weight = (probability * soft.chosen).transpose(1, 2)  # (B, N, M, h, w)
        passed, gamma = torch.ones_like(weight), torch.full_like(auxiliary.shown[..., 0], torch.inf)
        if threshold is not None:
            distance = distances(
                auxiliary.features, prototypes[:, 1:], cosines[:, :, 1:], kind=config.distance
            )
            passed, gamma = _filter(distance, auxiliary.shown, config, threshold, kind or config.test_gate)
        taken = weight * passed
        pooled = soft_masked_average(auxiliary.features, taken.transpose(1, 2))
        ground = _background(auxiliary, cosines, config) if config.teach_background else None
        prototypes = fuse(original, pooled, auxiliary.shown, weight=config.auxiliary_weight, ground=ground)
        yield Fusion(prototypes, taken, weight * (1 - passed), gamma)


def _background(auxiliary: Auxiliary, cosines: Tensor, config: PaiaConfig) -> Pooled:
    """What each picture's cells that are nearest to the background teach about it, (B, M, 1, C)."""
    weight = (config.scale * cosines).softmax(2)[:, :, :1] * (cosines.argmax(2, keepdim=True) == 0)
    return soft_masked_average(auxiliary.features, weight)


def _filter(
    distance: Tensor, shown: Tensor, config: PaiaConfig, network: Threshold, kind: Gate
) -> tuple[Tensor, Tensor]:
    """What passes, (B, N, M, h, w), and the threshold, (B, N)."""
    counted = shown > 0
    if config.distances_of == "all":
        counted = counted.any(1, keepdim=True).expand_as(counted)
    normalised = normalise(distance, counted)
    seen = normalised.detach() if config.detach_statistics else normalised
    gamma = network(statistics(seen, counted))
    return gate(normalised, gamma, kind=kind, sharpness=config.sharpness), gamma
