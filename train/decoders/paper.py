"""Training the paper's decoder: cached features of one backbone, circle training (Eq. 20).

A step segments each support as if it were the query (loss of the supports), puts the result in place of its
mask, and segments the query with it (loss of the query). The total is beta * supports + (1 - beta) * query;
without circle training it is the query's loss alone. Pixel masks
of base classes enter both losses, and nothing else; a support gives the method its label only, or a box where
the text tower does not know the word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lfss.images import Image
from lfss.labels import parse_label
from lfss.methods import Episode, Lfss, LfssConfig
from lfss.predictor import Predictor
from lfss.similarity import resize_map

from ..data.datasets import DataSet
from ..maps import Task
from ..measure.readouts import Marked, make_support
from .learning import Learner, Recipe, loss_of


@dataclass(frozen=True)
class Example:
    """An encoded episode with its truth.

    Attributes:
        episode: B = 1, the supports marked as the task says.
        query, query_valid: (1, S, S) in [0, 1] at the preset's size.
        supports, supports_valid: (K, S, S).
        class_index: (1,).
    """

    episode: Episode
    query: Tensor
    query_valid: Tensor
    supports: Tensor
    supports_valid: Tensor
    class_index: Tensor


class Examples(Dataset[Example]):
    """Tasks of ``train.maps``, encoded when asked for: with a remembering predictor, read from disk."""

    def __init__(
        self, tasks: Sequence[Task], sources: Sequence[DataSet], predictor: Predictor, names: Sequence[str]
    ):
        self.tasks, self.sources, self.predictor, self.names = tasks, sources, predictor, list(names)

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, item: int) -> Example:
        task = self.tasks[item]
        data, e, size = self.sources[task.source], task.episode, self.predictor.preset.size
        supports, truths = [], []
        for sample_id in e.supports:
            sample = data.sample(sample_id)
            mask, ignore = sample.read_mask(e.class_id)
            marked = Marked(Image(sample.read_image(), sample.image.name, sample.image), mask, ignore)
            supports.append(make_support(marked, task.kind, seed=f"{e.query}|{sample_id}"))
            truths.append(_truth(mask, ignore, size))
        prepared = self.predictor.prepare(parse_label(e.class_name), supports)
        if not task.word and task.kind != "label":
            prepared = replace(prepared, text_trust=0.0, side=None)
        query = data.sample(e.query)
        image = Image(query.read_image(), query.image.name, query.image)
        episode = self.predictor.episode(prepared, image, assume_present=True)
        target = _truth(*query.read_mask(e.class_id), size)
        return Example(
            episode=_plain(episode),
            query=target[0][None],
            query_valid=target[1][None],
            supports=torch.stack([t[0] for t in truths]),
            supports_valid=torch.stack([t[1] for t in truths]),
            class_index=torch.tensor([self.names.index(e.class_name)]),
        )


def _truth(mask: npt.NDArray, ignore: npt.NDArray, size: int) -> tuple[Tensor, Tensor]:
    """Target and validity, (S, S) in [0, 1]."""
    pair = (mask.astype(np.float32), (~ignore).astype(np.float32))
    target, valid = (
        torch.from_numpy(cv2.resize(m, (size, size), interpolation=cv2.INTER_AREA)) for m in pair
    )
    return target, valid


def _plain(episode: Episode) -> Episode:
    """The same tensors outside of inference mode, so that gradients may pass through what reads them."""
    return _each(replace(episode, support_side=None), Tensor.clone)


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same value with every tensor in it changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_each(v, change) for v in value)
    if isinstance(value, Example | Episode):
        return type(value)(**{k: _each(v, change) for k, v in vars(value).items()})
    return value


class PaperLearner(Learner):
    """The method with the paper's decoder, which alone learns."""

    def __init__(self, recipe: Recipe, class_names: Sequence[str], channels: tuple[int, ...]):
        super().__init__(recipe, class_names)
        config = LfssConfig(decoder="paper", circle=recipe.circle)
        self.method = Lfss(channels, config)
        self.fixed = Lfss(channels, LfssConfig())

    def transfer_batch_to_device(self, batch: Example, device: torch.device, dataloader_idx: int) -> Example:
        """An example is no plain collection, so Lightning is told how to move it."""
        return _each(batch, lambda tensor: tensor.to(device, non_blocking=True))

    def training_step(self, batch: Example) -> Tensor:
        """Eq. 20 on one episode; the trainer sums ``batch`` of them before a step."""
        loss, _ = self._losses(batch)
        self.log("loss", loss, prog_bar=True, batch_size=1)
        return loss

    def validation_step(self, batch: Example) -> None:
        """Count one episode."""
        _, decoded = self._losses(batch)
        read_out = self.fixed(batch.episode)
        self.count(read_out, decoded, batch.query, batch.query_valid, batch.class_index)

    def _losses(self, batch: Example) -> tuple[Tensor, Tensor]:
        """The loss, and the query's logits (1, h, w)."""
        episode, beta, overlap = batch.episode, self.recipe.beta, self.recipe.overlap
        support_logits = None
        if self.recipe.circle:
            episode, support_logits = self.method.circle(episode)
        logits = self.method(episode)
        size = (batch.query.shape[-2], batch.query.shape[-1])
        loss = loss_of(resize_map(logits, size), batch.query, batch.query_valid, overlap)
        if support_logits is not None:
            enlarged = resize_map(support_logits.flatten(0, 1), size)
            supports = loss_of(enlarged, batch.supports, batch.supports_valid, overlap)
            loss = beta * supports + (1 - beta) * loss
        return loss, logits
