"""PAIA: prototypes of several classes, improved by pictures of which only the label is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import NoForeground
from ...similarity import concat_levels, resize_map
from ..contract import Episode, EpisodeClass, Method, Needs, Pictures, Step
from ..lfss.step1_initial_mask import presence, text_probability
from .config import PaiaConfig
from .stages import STAGES
from .step1_prototypes import Original, class_margin, original_prototypes, prototype_cosines
from .step3_threshold import Threshold
from .step4_fusion import Auxiliary, Fusion, iterative_fusion


@dataclass(frozen=True, eq=False)
class PreparedPictures:
    """What is known of the pictures of a class, before any query.

    Attributes:
        features: (B, K, C, h, w), all levels one after the other.
        inside, outside: (B, K, h, w) in [0, 1], the shares of each cell that are averaged into the prototype
            of the class and of the background; both 0 on a support that is read as an auxiliary picture.
        unmarked: (B, K), 1 for a support that is read as an auxiliary picture, else 0.
        auxiliary: (B, U, C, h, w), the pictures that are only known to show the class; U may be 0.
    """

    features: Tensor
    inside: Tensor
    outside: Tensor
    unmarked: Tensor
    auxiliary: Tensor


class Paia(Method):
    """Prototypes (Eq. 1), soft-masked pooling (2), the threshold (4, 5) and the iterative fusion (3).

    Several classes of an episode compete; each learns from its own auxiliary pictures. Auxiliary are the
    pictures given as such and the supports that nobody marked.

    Args:
        config: the choices.
    """

    name = "paia"
    needs = Needs(several_classes=True)
    stages = STAGES

    def __init__(self, config: PaiaConfig | None = None):
        super().__init__()
        self.config = config or PaiaConfig()
        self.threshold = Threshold() if self.config.threshold else None

    @classmethod
    def build(
        cls,
        *,
        backbone: str,
        channels: tuple[int, ...],
        settings: Any = None,
        weights: str | None = None,
        models_dir: Path | None = None,
    ) -> Self:
        """The method for a backbone; settings are a ``PaiaConfig``, weights a trained threshold.

        Args and errors are those of ``Method.build``.
        """
        built = cls(settings)
        if weights is not None:
            from .weights import load_threshold

            load_threshold(built.threshold, weights, models_dir=models_dir)
        return built

    def prepare(self, one: EpisodeClass) -> EpisodeClass:
        """Decide for every support what is averaged and whether it is read as an auxiliary picture."""
        return replace(one, prepared=self.prepare_pictures(one))

    def prepare_pictures(self, one: EpisodeClass) -> PreparedPictures:
        """See ``PreparedPictures``."""
        features = _side_by_side(one.supports)  # (B, K, C, h, w)
        outside = (1 - one.known - one.unknown).clamp_min(0)  # (B, K, h, w)
        # A box says only what is outside: its inside stands for the object, as in PANet.
        boxed = one.marked & ~(one.known > 0).flatten(2).any(2)  # (B, K)
        inside = torch.where(_cells(boxed), one.unknown, one.known)  # (B, K, h, w)
        inside = torch.where(_cells(one.marked), inside, torch.zeros_like(inside))
        read = ~one.marked  # (B, K)
        if self.config.text_supports:
            by_text = read & (one.text_trust > 0)[:, None]
            text = self._text(one)  # (B, K, h, w)
            inside = torch.where(_cells(by_text), text * (text > 0.5), inside)
            outside = torch.where(_cells(by_text), 1 - text, outside)
            read = read & ~by_text
        auxiliary = features[:, :0] if one.auxiliary is None else _side_by_side(one.auxiliary)
        return PreparedPictures(features, inside, outside, read.to(features.dtype), auxiliary)

    def steps(self, episode: Episode) -> Iterator[Step]:
        """Yield the original prototypes, each iteration of the fusion, its result, and the prediction."""
        query = concat_levels(episode.query_features)[:, None]  # (B, 1, C, h, w)
        classes = self.pictures_of(episode)
        original = self.original(classes)
        first = self._margin(query, original.prototypes)  # (B, N, h, w)
        inside = tuple(p.inside for p in classes)
        masks = tuple(m > 0.5 for m in inside)
        yield Step(
            "prototypes", {"map": first.sigmoid(), "mask": first > 0, "weights": inside, "masks": masks}
        )
        prototypes, last = original.prototypes, None
        for number, fusion in enumerate(self.fusion(classes, original, query), start=1):
            yield Step(f"fusion_{number}", {"movement": _movement(prototypes, fusion.prototypes)})
            prototypes, last = fusion.prototypes, fusion
        margin = self._margin(query, prototypes)  # (B, N, h, w)
        taken, filtered = _given(classes, last)
        masks = tuple(t > 0.5 for t in taken)
        yield Step("fused", {"mask": margin > 0, "masks": masks, "taken": taken, "filtered": filtered})
        yield Step(
            "prediction",
            {
                "logits": margin,
                "presence": _presence(episode, margin.sigmoid()),  # (B, N)
                "runner_up": _runner_up(prototype_cosines(query, prototypes)[:, 0]),  # (B, N, h, w)
            },
        )

    def pictures_of(self, episode: Episode) -> list[PreparedPictures]:
        """What is known of the pictures of each class of an episode."""
        return [one.prepared or self.prepare_pictures(one) for one in episode.classes]

    def original(self, classes: list[PreparedPictures]) -> Original:
        """Prototypes of the supports (Eq. 1).

        Raises:
            NoForeground: no support of some class shows the object.
        """
        made = original_prototypes(
            [p.features for p in classes],
            [p.inside for p in classes],
            [p.outside for p in classes],
            background=self.config.background,
        )
        if bool((made.shots == 0).any()):
            raise NoForeground(
                "PAIA needs a support that shows the object for every label: one with marks, or a word that "
                "the model knows. Mark the object on a support."
            )
        return made

    def fusion(self, classes: list[PreparedPictures], original: Original, query: Tensor) -> Iterator[Fusion]:
        """The iterations of the fusion; none where no picture is without marks. query: (B, 1, C, h, w)."""
        auxiliary = _auxiliary(classes, query if self.config.transductive else query[:, :0])
        if not bool(auxiliary.shown.any()):
            return
        gate = self.config.train_gate if self.training else self.config.test_gate
        yield from iterative_fusion(original, auxiliary, self.config, self.threshold, kind=gate)

    def _margin(self, query: Tensor, prototypes: Tensor) -> Tensor:
        """(B, 1, C, h, w) -> (B, N, h, w), logits of each class against the best of the others."""
        return class_margin(prototype_cosines(query, prototypes), scale=self.config.scale)[:, 0]

    def _text(self, one: EpisodeClass) -> Tensor:
        """What the words say of the supports, (B, K, h, w)."""
        k, cells = one.known.shape[1], (one.known.shape[-2], one.known.shape[-1])
        logits = resize_map(one.supports.logits, cells).flatten(0, 1)  # (B*K, V, h, w)
        return text_probability(logits, one.phrase_roles.repeat_interleave(k, 0)).unflatten(0, (-1, k))


def _side_by_side(pictures: Pictures) -> Tensor:
    """(B, P, C_i, h_i, w_i) each -> (B, P, C, h, w)."""
    count = pictures.logits.shape[:2]
    return concat_levels([level.flatten(0, 1) for level in pictures.features]).unflatten(0, count)


def _cells(flag: Tensor) -> Tensor:
    return flag[..., None, None]


def _auxiliary(classes: list[PreparedPictures], query: Tensor) -> Auxiliary:
    """All pictures, the supports and auxiliary pictures of each class in turn, then the query.

    Args:
        classes: the N classes.
        query: (B, 1, C, h, w) to read it too, for all classes; (B, 0, C, h, w) not to.
    """
    b, n = classes[0].inside.shape[0], len(classes)
    features, shown = [], []
    for number, one in enumerate(classes):
        known = torch.cat((one.unmarked, one.unmarked.new_ones(one.auxiliary.shape[:2])), 1)  # (B, K + U)
        mine = torch.zeros(b, n, known.shape[1], dtype=known.dtype, device=known.device)
        mine[:, number] = known
        features += [one.features, one.auxiliary]
        shown.append(mine)
    shown.append(query.new_ones(b, n, query.shape[1]))
    return Auxiliary(torch.cat([*features, query], 1), torch.cat(shown, 2))


def _given(
    classes: list[PreparedPictures], last: Fusion | None
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """For each class (B, K, h, w): what its supports gave, and what the threshold took out of them."""
    taken, filtered, start = [], [], 0
    for number, one in enumerate(classes):
        k = one.features.shape[1]
        read = _cells(one.unmarked)
        if last is None:
            taken.append(one.inside)
            filtered.append(torch.zeros_like(one.inside))
        else:
            mine = slice(start, start + k)
            taken.append(one.inside + read * last.taken[:, number, mine])
            filtered.append(read * last.filtered[:, number, mine])
        start += k + one.auxiliary.shape[1]
    return tuple(taken), tuple(filtered)


def _movement(before: Tensor, after: Tensor) -> Tensor:
    """1 - cosine of each class prototype with what it was: (B, N + 1, C) each -> (B, N)."""
    return 1 - F.cosine_similarity(before[:, 1:], after[:, 1:], dim=2)


def _runner_up(cosines: Tensor) -> Tensor:
    """(B, N + 1, h, w), background first -> (B, N, h, w): where a class is the nearest, the number of the
    second, 0 for the background; -1 elsewhere."""
    first, second = cosines.topk(2, 1).indices.unbind(1)  # (B, h, w)
    numbers = torch.arange(1, cosines.shape[1], device=cosines.device).view(-1, 1, 1)
    return torch.where(first[:, None] == numbers, second[:, None], -1)


def _presence(episode: Episode, probability: Tensor) -> Tensor:
    """(B, N): the text tower's own judgement; where it has none, the best cells of the final map."""
    own = presence(probability.flatten(0, 1)).view(probability.shape[:2])
    judged = [o if one.presence is None else one.presence for one, o in zip(episode.classes, own.unbind(1))]
    found = torch.stack(judged, 1)
    return torch.where(found.isnan(), own, found)
