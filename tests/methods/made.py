"""Episodes of random numbers, for the tests of methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from lfss.methods import Episode, EpisodeClass, Pictures, map_tensors
from tests.masks import noise


def roles(b: int, names: int, others: int) -> Tensor:
    """(B, V) int8: ``names`` phrases for the class, then ``others`` that compete with it."""
    return torch.tensor([[1] * names + [-1] * others] * b, dtype=torch.int8)


def a_class(
    known: Tensor,
    unknown: Tensor,
    features: tuple[Tensor, ...],
    *,
    phrases: tuple[int, int] = (2, 2),
    trust: float = 1.0,
    present: bool = True,
    seed: int = 0,
) -> EpisodeClass:
    """A class with random logits.

    Args:
        known, unknown: (B, K, h, w).
        features: of the supports, (B, K, C_i, h_i, w_i).
        phrases: how many name it and how many compete.
        trust, present: the same for every item.
        seed: of the logits.
    """
    b, k = known.shape[:2]
    v = sum(phrases)
    return EpisodeClass(
        supports=Pictures(features, noise(b, k, v, 5, 5, seed=seed + 2)),
        known=known,
        unknown=unknown,
        phrase_roles=roles(b, *phrases),
        text_trust=torch.full((b,), trust),
        known_present=torch.full((b,), present),
        query_logits=noise(b, v, 5, 5, seed=seed + 3),
    )


def of_class(episode: Episode, **changes: object) -> Episode:
    """The episode with other values in its only class."""
    (one,) = episode.classes
    return replace(episode, classes=(replace(one, **changes),))  # type: ignore[arg-type]


def with_supports(episode: Episode, change: Callable[[Tensor], Tensor]) -> Episode:
    """The episode with ``change`` applied to each tensor of its only class whose first axes are (B, K)."""
    (one,) = episode.classes
    pictures = one.supports
    return of_class(
        episode,
        supports=replace(
            pictures, features=tuple(change(f) for f in pictures.features), logits=change(pictures.logits)
        ),
        known=change(one.known),
        unknown=change(one.unknown),
    )


def item(episode: Episode, n: int) -> Episode:
    """One episode of a batch."""
    return map_tensors(episode, lambda t: t[n : n + 1])


def all_tensors(value: object) -> list[Tensor]:
    """Every tensor in a value, in order."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(value, note)
    return found
