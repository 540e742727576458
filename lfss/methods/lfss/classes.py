"""One class at a time within an episode of several, and each support as a task of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...similarity import resize_map
from ..contract import Episode, EpisodeClass, Pictures, Step


class ClassStep(NamedTuple):
    """What one step makes for one class: of the query (B, ...), and of the supports (B, K, ...)."""

    key: str
    query: dict[str, Tensor]
    supports: dict[str, Tensor]


def each_alone(one: EpisodeClass) -> Episode:
    """Every support as the query of an episode whose only support it is: B*K episodes of one class."""
    k = one.known.shape[1]

    def alone(tensor: Tensor) -> Tensor:
        return tensor.flatten(0, 1)[:, None]  # (B, K, ...) -> (B*K, 1, ...)

    pictures = one.supports
    return Episode(
        query_features=tuple(level.flatten(0, 1) for level in pictures.features),
        query_thumbnail=None if pictures.thumbnails is None else pictures.thumbnails.flatten(0, 1),
        classes=(
            EpisodeClass(
                supports=Pictures(tuple(map(alone, pictures.features)), alone(pictures.logits)),
                known=alone(one.known),
                unknown=alone(one.unknown),
                phrase_roles=one.phrase_roles.repeat_interleave(k, 0),
                text_trust=one.text_trust.repeat_interleave(k, 0),
                known_present=torch.ones_like(one.known_present).repeat_interleave(k, 0),
                query_logits=pictures.logits.flatten(0, 1),
            ),
        ),
    )


def join_classes(made: Sequence[ClassStep]) -> Step:
    """One step of N classes: queries stacked to (B, N, ...), supports as a tuple over the classes."""
    tensors: dict[str, Tensor | tuple[Tensor, ...]] = {}
    for name in made[0].query:
        if all(name in one.query for one in made):
            tensors[name] = _stacked([one.query[name] for one in made])
    for name in made[0].supports:
        tensors[name] = tuple(one.supports[name] for one in made)
    return Step(made[0].key, tensors)


def _stacked(maps: Sequence[Tensor]) -> Tensor:
    """(B, ...) each -> (B, N, ...); where a decoder made some maps larger, the others are enlarged."""
    if len({tuple(m.shape) for m in maps}) > 1:
        size = max((m.shape[-2], m.shape[-1]) for m in maps)
        maps = [resize_map(m, size) for m in maps]
    return torch.stack(list(maps), 1)
