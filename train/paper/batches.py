"""Batches of the paper's training: pictures are read in workers, encoded together on the device.

An epoch asks for every pair of a picture and a base class once, as the query, with one other picture of the
class as its support, drawn anew in each epoch. A worker reads and resizes the pictures; the encoders see a
whole batch at once, from the cache where it holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lfss.images import resize_to
from lfss.labels import parse_label
from lfss.methods import Episode, EpisodeClass, Pictures
from lfss.phrases import choose_phrases
from lfss.predictor import Predictor

from ..data.datasets import DataSet
from ..data.encode import annotated
from ..decoders.learning import L, Recipe
from ..decoders.paper import Example, truth_of
from .folds import FoldData, Pair, epoch_pairs, support_of


@dataclass(frozen=True)
class PixelBatch:
    """B one-shot tasks as pixels of the preset's size.

    Attributes:
        query, support: (B, 3, S, S) in [0, 1].
        query_truth, query_valid, support_truth, support_valid: (B, S, S) in [0, 1].
        class_index: (B,).
    """

    query: Tensor
    support: Tensor
    query_truth: Tensor
    query_valid: Tensor
    support_truth: Tensor
    support_valid: Tensor
    class_index: Tensor


class PairEpisodes(Dataset[PixelBatch]):
    """One-shot episodes, one for each pair: batches of one, to be joined by ``join_pixels``.

    Args:
        data: the pictures.
        pairs: query and class of each episode, in order.
        pools: ids of the pictures of each class that may be supports.
        names: of all classes; ``class_index`` counts in them.
        size: side of the pictures.
        key: of the draws; each episode draws with its pair beside it.
    """

    def __init__(
        self, data: DataSet, pairs: Sequence[Pair], pools: dict[int, tuple[str, ...]],
        names: Sequence[str], *, size: int, key: str,
    ):  # fmt: skip
        self.data, self.pairs, self.pools = data, list(pairs), pools
        self.names, self.size, self.key = list(names), size, key

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, item: int) -> PixelBatch:
        query, class_id = self.pairs[item]
        support = support_of(self.pools[class_id], query, f"{self.key}|{query}|{class_id}")
        parts: list[Tensor] = []
        pictures = [annotated(self.data, name, class_id) for name in (query, support)]
        parts += [torch.from_numpy(resize_to(p.image, self.size)) for p in pictures]
        for picture in pictures:
            parts += truth_of(picture.mask, picture.ignore, self.size)
        number = torch.tensor(self.names.index(self.data.classes[class_id]))
        return PixelBatch(*(part[None] for part in (*parts, number)))


def join_pixels(items: Sequence[PixelBatch]) -> PixelBatch:
    """One batch of several."""
    return PixelBatch(*(torch.cat([getattr(i, f.name) for i in items]) for f in fields(PixelBatch)))


class BatchEncoder:
    """Pixels to encoded episodes, all of a batch in one pass.

    Args:
        predictor: its encoders, perhaps remembering ones.
        names: of all classes; each name's phrases are encoded once.
    """

    def __init__(self, predictor: Predictor, names: Sequence[str]):
        self.encoders, device = predictor.encoders, predictor.device
        phrases = [choose_phrases(self.encoders.vlm, parse_label(name)) for name in names]
        most = max(len(p.words) for p in phrases)
        rows = [self.encoders.vlm.encode_text(p.words).to(device).float() for p in phrases]
        self.text = torch.stack(
            [torch.nn.functional.pad(r, (0, 0, 0, most - len(r))) for r in rows]
        )  # (C, V, D)
        roles = [(*p.roles, *(0,) * (most - len(p.roles))) for p in phrases]
        self.roles = torch.tensor(roles, dtype=torch.int8, device=device)  # (C, V)
        self.trust = torch.tensor([p.trust for p in phrases], device=device)  # (C,)

    @torch.no_grad()
    def __call__(self, batch: PixelBatch) -> Example:
        """The episodes, their supports with the label only."""
        pixels = torch.stack((batch.query, batch.support), 1)  # (B, 2, 3, S, S)
        b = len(pixels)
        dense, levels = self._encode(pixels.flatten(0, 1))
        text = self.text[batch.class_index]  # (B, V, D)
        cells = dense.float().unflatten(0, (b, 2))  # (B, 2, D, h', w')
        logits = torch.einsum("bpdhw,bvd->bpvhw", cells, text) * self.encoders.vlm.logit_scale
        maps = [level.unflatten(0, (b, 2)) for level in levels]  # (B, 2, C_i, h_i, w_i)
        unknown = torch.ones(b, 1, *maps[0].shape[-2:], device=logits.device)
        one = EpisodeClass(
            supports=Pictures(tuple(m[:, 1:] for m in maps), logits[:, 1:]),
            known=torch.zeros_like(unknown),
            unknown=unknown,
            phrase_roles=self.roles[batch.class_index],
            text_trust=self.trust[batch.class_index],
            known_present=torch.ones(b, dtype=torch.bool, device=logits.device),
            query_logits=logits[:, 0],
        )
        return Example(
            Episode(tuple(m[:, 0] for m in maps), (one,)),
            batch.query_truth, batch.query_valid, batch.support_truth, batch.support_valid, batch.class_index,
        )  # fmt: skip

    def _encode(self, pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        if self.encoders.encode is not None:
            return self.encoders.encode(pixels)
        return self.encoders.vlm.encode_dense(pixels), self.encoders.backbone(pixels)


class FoldLoader(L.LightningDataModule):
    """The batches of one fold: other episodes in each epoch, always the same ones to choose by.

    Args:
        fold: the pictures.
        recipe: batch, seed, episodes of a validation, and of an epoch if it is not all pairs.
        size: side of the pictures.
        workers: processes that read pictures; 0 reads in the main one.
    """

    def __init__(self, fold: FoldData, recipe: Recipe, *, size: int, workers: int = 0):
        super().__init__()
        self.fold, self.recipe, self.size, self.workers = fold, recipe, size, workers
        self.train_pairs, self.choosing_pairs = fold.pairs()
        self.names = fold.base
        kept = {picture for picture, _ in self.choosing_pairs}
        ids_of_class = {c: fold.train.ids_of(c, fold.rule) for c in fold.train.class_ids(fold.base)}
        self.pools = {c: tuple(p for p in ids if p not in kept) for c, ids in ids_of_class.items()}
        # A class with a single picture to train on has no second one to support it.
        self.train_pairs = [p for p in self.train_pairs if len(self.pools[p[1]]) > 1]
        self.choosing_pairs = [p for p in self.choosing_pairs if self.pools[p[1]]]

    @property
    def episodes(self) -> int:
        """Of one epoch, over all processes."""
        return min(self.recipe.epoch_episodes or len(self.train_pairs), len(self.train_pairs))

    def train_dataloader(self) -> DataLoader[PixelBatch]:
        """Those of the trainer's current epoch."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        pairs = epoch_pairs(self.train_pairs, seed=self.recipe.seed, epoch=epoch, limit=self.episodes)
        return self._load(pairs, f"train|{self.recipe.seed}|{epoch}", whole=True)

    def val_dataloader(self) -> DataLoader[PixelBatch]:
        """Those to choose by."""
        pairs = epoch_pairs(self.choosing_pairs, seed=0, epoch=0, limit=self.recipe.validate)
        return self._load(pairs, "choose")

    def _load(self, pairs: Sequence[Pair], key: str, *, whole: bool = False) -> DataLoader[PixelBatch]:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        share = len(pairs) // world * world  # each process the same number of batches
        mine = list(pairs[:share][rank::world]) if share else list(pairs)
        data = PairEpisodes(self.fold.train, mine, self.pools, self.names, size=self.size, key=key)
        more: dict[str, Any] = {"persistent_workers": False, "num_workers": self.workers}
        batch = min(self.recipe.batch, max(1, len(mine)))
        return DataLoader(
            data, batch, collate_fn=join_pixels, drop_last=whole, pin_memory=torch.cuda.is_available(), **more
        )
