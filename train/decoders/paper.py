"""Training the paper's decoder: cached features of one backbone, circle training (Eq. 20).

A step segments each support as if it were the query (loss of the supports), puts the result in place of its
mask, and segments the query with it (loss of the query). The total is beta * supports + (1 - beta) * query;
without circle training it is the query's loss alone. Pixel masks
of base classes enter both losses, and nothing else; a support gives the method its label only, or a box where
the text tower does not know the word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lfss.methods import Episode, collate, map_tensors
from lfss.methods.lfss import Lfss, LfssConfig
from lfss.methods.tlg import PseudoMasks
from lfss.predictor import Predictor
from lfss.similarity import resize_map

from ..data.datasets import DataSet
from ..data.encode import prepare_episode
from ..maps import Task
from .learning import Learner, Recipe, loss_of

KEPT = 1 << 30  # bytes of features that stay in memory, of trainings that go over few episodes many times


@dataclass(frozen=True)
class Example:
    """A batch of encoded episodes with their truth.

    Attributes:
        episode: B episodes with one class, the supports marked as their tasks say.
        query, query_valid: (B, S, S) in [0, 1].
        supports, supports_valid: (B*K, S, S).
        class_index: (B,).
        pseudo: masks of the pictures that were made before, for a network that starts from them.
    """

    episode: Episode
    query: Tensor
    query_valid: Tensor
    supports: Tensor
    supports_valid: Tensor
    class_index: Tensor
    pseudo: PseudoMasks | None = None


class Examples(Dataset[Example]):
    """Tasks of ``train.maps`` in batches, encoded when asked for.

    With a remembering predictor they are read from disk, and the first gigabyte of them stays in memory. The
    episodes of a batch have the same number of supports.

    Args:
        tasks: the episodes.
        sources: the data sets that they name.
        predictor: encodes them.
        names: of all classes.
        batch: episodes of a batch, at most.
        side: of the truth in pixels; the preset's size if None.
        pseudo: makes an episode's pseudo masks; None makes none.
    """

    def __init__(
        self, tasks: Sequence[Task], sources: Sequence[DataSet], predictor: Predictor, names: Sequence[str],
        *, batch: int = 1, side: int | None = None,
        pseudo: Callable[[Episode, Task], PseudoMasks] | None = None,
    ):  # fmt: skip
        self.sources, self.predictor, self.names = sources, predictor, list(names)
        self.side, self.pseudo = side or predictor.preset.size, pseudo
        self.kept: dict[Task, Example] = {}
        self.room = KEPT
        self.batches: list[list[Task]] = []
        for shots in sorted({len(t.episode.supports) for t in tasks}):
            same = [t for t in tasks if len(t.episode.supports) == shots]
            self.batches += [same[i : i + batch] for i in range(0, len(same), batch)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, item: int) -> Example:
        return join([self.kept.get(task) or self._keep(task) for task in self.batches[item]])

    def _keep(self, task: Task) -> Example:
        example = self.encode(task)
        levels = (*example.episode.query_features, *example.episode.classes[0].supports.features)
        self.room -= sum(level.numel() * level.element_size() for level in levels)
        if self.room > 0:
            self.kept[task] = example
        return example

    def encode(self, task: Task) -> Example:
        """One episode with its truth."""
        spec, size = task.episode, self.side
        given = prepare_episode(
            self.predictor, self.sources[task.source], spec, task.kind, seed=spec.query, word=task.word
        )
        truths = [truth_of(p.mask, p.ignore, size) for p in given.supports]
        target = truth_of(given.query.mask, given.query.ignore, size)
        episode = given.encode(self.predictor)
        return Example(
            episode=episode,
            query=target[0][None],
            query_valid=target[1][None],
            supports=torch.stack([t[0] for t in truths]),
            supports_valid=torch.stack([t[1] for t in truths]),
            class_index=torch.tensor([self.names.index(spec.class_name)]),
            pseudo=None if self.pseudo is None else self.pseudo(episode, task),
        )


def join(examples: Sequence[Example]) -> Example:
    """A batch of examples, made outside of inference mode, so that gradients pass through its readers."""

    def together(name: str) -> Tensor:
        return torch.cat([getattr(example, name) for example in examples])

    return Example(
        episode=collate([example.episode for example in examples]),
        query=together("query"),
        query_valid=together("query_valid"),
        supports=together("supports"),
        supports_valid=together("supports_valid"),
        class_index=together("class_index"),
        pseudo=_join_masks([example.pseudo for example in examples]),
    )


def _join_masks(given: Sequence[PseudoMasks | None]) -> PseudoMasks | None:
    """Those of a batch; None if one is missing."""
    there = [masks for masks in given if masks is not None]
    if len(there) < len(given):
        return None
    query, support, presence = zip(*there)
    return PseudoMasks(
        None if query[0] is None else torch.cat(query), torch.cat(support), torch.cat(presence)
    )


def truth_of(mask: npt.NDArray, ignore: npt.NDArray, size: int) -> tuple[Tensor, Tensor]:
    """Target and validity, (S, S) in [0, 1]."""
    pair = (mask.astype(np.float32), (~ignore).astype(np.float32))
    target, valid = (
        torch.from_numpy(cv2.resize(m, (size, size), interpolation=cv2.INTER_AREA)) for m in pair
    )
    return target, valid


class EncodingLearner:
    """For learners that read ``Example``: batches that come as pixels are encoded where the network is.

    Attributes:
        encode: what turns a batch into an ``Example`` on the device; None where batches are encoded already.
    """

    encode: Callable[[Any], Example] | None

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Example:
        """Encode what comes as pixels."""
        return batch if self.encode is None else self.encode(batch)

    def transfer_batch_to_device(self, batch: Example, device: torch.device, dataloader_idx: int) -> Example:
        """An example is no plain collection, so Lightning is told how to move it."""
        return map_tensors(batch, lambda tensor: tensor.to(device, non_blocking=True))


class PaperLearner(EncodingLearner, Learner):
    """The method with the paper's decoder, which alone learns.

    Args:
        recipe: how to train.
        class_names: episodes carry indices into them.
        channels: of each backbone level.
        choices: of the method, other than the defaults.
        encode: what turns a batch into an ``Example`` on the device, if batches are not encoded already.
    """

    def __init__(
        self,
        recipe: Recipe,
        class_names: Sequence[str],
        channels: tuple[int, ...],
        *,
        choices: Mapping[str, Any] | None = None,
        encode: Callable[[Any], Example] | None = None,
    ):
        super().__init__(recipe, class_names)
        config = LfssConfig(**(choices or {}))
        self.method = Lfss(channels, replace(config, decoder="paper", circle=recipe.circle))
        self.fixed = Lfss(channels, config)
        self.encode = encode

    def training_step(self, batch: Example) -> Tensor:
        """Eq. 20 on a batch of episodes: a scalar."""
        loss, _ = self._losses(batch)
        self.log("loss", loss, prog_bar=True, batch_size=len(batch.query))
        return loss

    def validation_step(self, batch: Example) -> None:
        """Count a batch of episodes."""
        _, decoded = self._losses(batch)
        fixed_rule = self.fixed(batch.episode)[:, 0]  # (B, h, w)
        self.count(fixed_rule, decoded, batch.query, batch.query_valid, batch.class_index)

    def _losses(self, batch: Example) -> tuple[Tensor, Tensor]:
        """The loss, and the logits of the queries (B, h, w)."""
        episode, beta, overlap = batch.episode, self.recipe.beta, self.recipe.overlap
        support_logits = None
        if self.recipe.circle:
            (one,) = episode.classes
            one, support_logits = self.method.circle(one)
            episode = replace(episode, classes=(one,))
        logits = self.method(episode)[:, 0]  # (B, h, w)
        size = (batch.query.shape[-2], batch.query.shape[-1])
        loss = loss_of(resize_map(logits, size), batch.query, batch.query_valid, overlap)
        if support_logits is not None:
            enlarged = resize_map(support_logits.flatten(0, 1), size)
            supports = loss_of(enlarged, batch.supports, batch.supports_valid, overlap)
            loss = beta * supports + (1 - beta) * loss
        return loss, logits
