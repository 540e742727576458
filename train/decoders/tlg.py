"""Training TLG: both branches of the network learn from cached features of one backbone.

The query's branch is trained to segment the query, the support's branch to segment the support; their losses
are weighted 1.4 and 0.6. Pixel masks of base classes enter the losses and nothing else: what the network is
given are pseudo masks, made by the project's own first two steps. The backbone is frozen, and weight decay
is the optimiser's ordinary one on the parameters that learn; the published penalty on the norm of every
parameter is left out, because it shrinks the backbone too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lfss.methods import map_tensors
from lfss.methods.lfss import Lfss, LfssConfig
from lfss.methods.tlg import Branches, Tlg, TlgConfig
from lfss.similarity import resize_map

from .learning import AveragedLearner, Recipe, loss_of
from .paper import Example

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


class TlgLearner(AveragedLearner):
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

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Example:
        """Encode what comes as pixels."""
        return batch if self.encode is None else self.encode(batch)

    def transfer_batch_to_device(self, batch: Example, device: torch.device, dataloader_idx: int) -> Example:
        """An example is no plain collection, so Lightning is told how to move it."""
        return map_tensors(batch, lambda tensor: tensor.to(device, non_blocking=True))

    def training_step(self, batch: Example) -> Tensor:
        """The loss of a batch of episodes."""
        (one,) = batch.episode.classes
        loss = two_branch_loss(self.network.branches(one, batch.episode), batch, self.recipe.overlap)
        self.log("loss", loss, prog_bar=True, batch_size=len(batch.query))
        return loss

    def validation_step(self, batch: Example) -> None:
        """Count a batch of episodes, beside the fixed rule of LFSS."""
        made = self.averaged(batch.episode)[:, 0]  # (B, 2h, 2w)
        self.count(self.fixed(batch.episode)[:, 0], made, batch.query, batch.query_valid, batch.class_index)
