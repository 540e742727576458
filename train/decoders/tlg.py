"""Training TLG: both branches of the network learn from cached features of one backbone.

The query's branch is trained to segment the query, the support's branch to segment the support; their losses
are weighted 1.4 and 0.6. Pixel masks of base classes enter the losses and nothing else: what the network is
given are pseudo masks, made by the project's own first two steps. The backbone is frozen, and weight decay
is the optimiser's ordinary one on the parameters that learn; the published penalty on the norm of every
parameter is left out, because it shrinks the backbone too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lfss.errors import InputError
from lfss.images import read_mask
from lfss.methods import Episode
from lfss.methods.lfss import Lfss, LfssConfig
from lfss.methods.tlg import Branches, PseudoMasks, Tlg, TlgConfig
from lfss.similarity import resize_map

from ..data.datasets import DataSet
from ..data.encode import annotated
from ..maps import Task
from .learning import AveragedLearner, Recipe, loss_of
from .paper import EncodingLearner, Example

QUERY_WEIGHT, SUPPORT_WEIGHT = 1.4, 0.6  # of the two branches


def two_branch_loss(branches: Branches, example: Example, overlap: float) -> Tensor:
    """The weighted losses of both branches on a batch of B episodes with K supports each.

    Args:
        branches: what ``Tlg.branches`` made of the batch.
        example: the truth; pixels that are not valid do not count.
        overlap: see ``loss_of``; 0 is the paper's cross entropy.
    """
    k = len(example.supports) // len(example.query)
    size = (example.query.shape[-2], example.query.shape[-1])
    truth, valid = (t.repeat_interleave(k, 0) for t in (example.query, example.query_valid))  # (B K, S, S)
    query = loss_of(resize_map(branches.query, size), truth, valid, overlap)
    supports = loss_of(resize_map(branches.support, size), example.supports, example.supports_valid, overlap)
    return QUERY_WEIGHT * query + SUPPORT_WEIGHT * supports


def own_pseudo_masks(network: Tlg) -> Callable[[Episode, Task], PseudoMasks]:
    """What makes the pseudo masks of an episode by the project's own first two steps."""
    return lambda episode, task: network.pseudo_masks(episode.classes[0], episode)


class PseudoFiles:
    """Pseudo masks read from files: ``FOLDER/CLASS/PICTURE.png``, other than black where the object is.

    Args:
        folder: holds them; each mask is as large as its picture.
        sources: the data sets that tasks name.
    """

    def __init__(self, folder: Path, sources: Sequence[DataSet]):
        self.folder, self.sources = folder, sources

    def __call__(self, episode: Episode, task: Task) -> PseudoMasks:
        """Those of one episode, at its cells.

        Raises:
            InputError: a file is missing, or no mask of its picture.
        """
        (one,) = episode.classes
        cells = (one.known.shape[-2], one.known.shape[-1])
        query, *supports = (self._read(task, i, cells) for i in (task.episode.query, *task.episode.supports))
        return PseudoMasks(query, torch.cat(supports)[None], torch.ones(1))

    def _read(self, task: Task, picture: str, cells: tuple[int, int]) -> Tensor:
        """(1, h, w) bool."""
        spec = task.episode
        size = annotated(self.sources[task.source], picture, spec.class_id).mask.shape
        path = self.folder / spec.class_name / f"{Path(picture).name}.png"
        if not path.is_file():
            raise InputError(
                f"The pseudo mask '{path}' is not there. Put one there for every picture and class that is "
                "trained on, or leave out --pseudo."
            )
        mask = torch.from_numpy(read_mask(path, (size[0], size[1])))[None].float()
        return resize_map(mask, cells) >= 0.5


class TlgLearner(EncodingLearner, AveragedLearner):
    """TLG's network, its average, and its loss.

    Args:
        recipe: how to train.
        class_names: episodes carry indices into them.
        channels: of each backbone level.
        choices: of the network.
        encode: what turns a batch into an ``Example`` on the device, if batches are not encoded already.
    """

    network: Tlg

    def __init__(
        self,
        recipe: Recipe,
        class_names: Sequence[str],
        channels: tuple[int, ...],
        *,
        choices: TlgConfig | None = None,
        encode: Callable[[Any], Example] | None = None,
    ):
        super().__init__(recipe, class_names, Tlg(channels, choices))
        self.fixed = Lfss(channels, LfssConfig())
        self.encode = encode

    def training_step(self, batch: Example) -> Tensor:
        """The loss of a batch of episodes."""
        (one,) = batch.episode.classes
        branches = self.network.branches(one, batch.episode, batch.pseudo)
        loss = two_branch_loss(branches, batch, self.recipe.overlap)
        self.log("loss", loss, prog_bar=True, batch_size=len(batch.query))
        return loss

    def validation_step(self, batch: Example) -> None:
        """Count a batch of episodes, beside the fixed rule of LFSS."""
        (one,) = batch.episode.classes
        averaged: Tlg = self.averaged.module  # type: ignore[assignment]
        made = averaged.branches(one, batch.episode, batch.pseudo).query  # (B K, 2h, 2w)
        mean = made.unflatten(0, (len(batch.query), -1)).mean(1)  # (B, 2h, 2w)
        self.count(self.fixed(batch.episode)[:, 0], mean, batch.query, batch.query_valid, batch.class_index)
