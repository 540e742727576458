"""Several episodes, of whatever labels, become one batch; and one change for every tensor of a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .contract import Episode, EpisodeClass, Pictures


def collate(episodes: Sequence[Episode]) -> Episode:
    """One batch of several episodes; what their methods prepared earlier is left out.

    Classes with fewer phrases than others are padded with phrases whose role is 0.

    Args:
        episodes: each with the same number of classes, and these with the same number of supports and of
            auxiliary pictures.

    Raises:
        ValueError: there is none, or they differ in one of these numbers.
    """
    if not episodes:
        raise ValueError("A batch needs at least one episode.")
    shapes = {tuple(_counts(one) for one in episode.classes) for episode in episodes}
    if len(shapes) > 1:
        raise ValueError(
            "Episodes of one batch need the same number of classes, supports and auxiliary pictures; "
            f"given were (supports, auxiliary) of {sorted(shapes)}."
        )
    return Episode(
        query_features=_levels([e.query_features for e in episodes]),
        classes=tuple(_classes(same) for same in zip(*(e.classes for e in episodes))),
        query_thumbnail=_optional([e.query_thumbnail for e in episodes]),
    )


def _counts(one: EpisodeClass) -> tuple[int, int]:
    return one.known.shape[1], 0 if one.auxiliary is None else one.auxiliary.logits.shape[1]


def _classes(items: Sequence[EpisodeClass]) -> EpisodeClass:
    """The same class number of all episodes."""
    most = max(one.phrase_roles.shape[1] for one in items)
    auxiliary = [one.auxiliary for one in items if one.auxiliary is not None]
    return EpisodeClass(
        supports=_pictures([one.supports for one in items], most),
        known=torch.cat([one.known for one in items]),  # (B, K, h, w)
        unknown=torch.cat([one.unknown for one in items]),  # (B, K, h, w)
        phrase_roles=torch.cat([F.pad(o.phrase_roles, (0, most - o.phrase_roles.shape[1])) for o in items]),
        text_trust=torch.cat([one.text_trust for one in items]),  # (B,)
        known_present=torch.cat([one.known_present for one in items]),  # (B,)
        query_logits=_padded([one.query_logits for one in items], most),
        presence=_presence(items),
        auxiliary=_pictures(auxiliary, most) if auxiliary else None,
    )


def _pictures(items: Sequence[Pictures], most: int) -> Pictures:
    logits = _padded([p.logits for p in items], most)
    assert logits is not None
    return Pictures(_levels([p.features for p in items]), logits, _optional([p.thumbnails for p in items]))


def _levels(items: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(torch.cat(level) for level in zip(*items, strict=True))


def _padded(items: Sequence[Tensor | None], most: int) -> Tensor | None:
    """(..., V, h', w') each -> (B, ..., V, h', w') with the most phrases of all; None if one is missing."""
    found = [item for item in items if item is not None]
    if len(found) < len(items):
        return None
    return torch.cat([F.pad(item, (0, 0, 0, 0, 0, most - item.shape[-3])) for item in found])


def _optional(items: Sequence[Tensor | None]) -> Tensor | None:
    found = [item for item in items if item is not None]
    return torch.cat(found) if len(found) == len(items) else None


def _presence(items: Sequence[EpisodeClass]) -> Tensor | None:
    """(B,); not a number for those that the text tower does not judge."""
    if all(one.presence is None for one in items):
        return None
    unjudged = [torch.full_like(one.text_trust, torch.nan) for one in items]
    return torch.cat([u if one.presence is None else one.presence for one, u in zip(items, unjudged)])


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same value with every tensor in it changed, also within tuples and dataclasses.

    ``change`` gets tensors of any shape and may return others; what holds them stays.
    """
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple):
        changed = [map_tensors(item, change) for item in value]
        return type(value)(*changed) if hasattr(value, "_fields") else tuple(changed)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{f.name: map_tensors(getattr(value, f.name), change) for f in fields(value)})
    return value
