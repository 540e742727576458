"""Batches for mini: pairs of crops that show the same thing, cut from the cache."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .photos import Photo
from .truth import IGNORE, ConceptTable, Truth

OBJECT, NOT_OBJECT = 0.6, 0.3  # soft masks of labelled objects: sure from here, sure up to here
MIN_AREA = 0.02  # share of a photo that a thing must cover to be the subject of a pair


@dataclass(frozen=True)
class Cache:
    """What the teachers said, open for reading; rows are photos."""

    photos: list[Photo]
    pixels: np.ndarray
    objects: np.ndarray
    logits: np.ndarray
    tokens: tuple[np.ndarray, np.ndarray]

    @classmethod
    def open(cls, folder: Path) -> Cache:
        """The finished rows of a cache that may still be growing."""
        done = json.loads((folder / "done.json").read_text())
        photos = [Photo(**row) for row in json.loads((folder / "photos.json").read_text())[:done]]
        pixels, objects, logits, fine, coarse = (
            np.load(folder / f"{name}.npy", mmap_mode="r")[:done]
            for name in ("pixels", "object", "logits", "block11", "block8")
        )
        return cls(photos, pixels, objects, logits, (fine, coarse))


@dataclass(frozen=True)
class Batch:
    """B crops; the first 2 P of them are P pairs.

    Attributes:
        pixels: (B, 3, S, S) in [0, 1].
        tokens: (B, C, t, t) of each teacher layer.
        target: (B, S / 8, S / 8) concept numbers, 0 none of those marked, 255 not known.
        state: (B, V) 1 shown, 0 not shown, -1 not known; of the whole photo, so 1 is -1 if the crop lost it.
        allowed: (B, V) bool: what a cell with target 0 may show.
        mask, weight: (2 P, S / 8, S / 8): the pair's thing, and how far it is known.
    """

    pixels: Tensor
    tokens: tuple[Tensor, Tensor]
    target: Tensor
    state: Tensor
    allowed: Tensor
    mask: Tensor
    weight: Tensor


class Sampler:
    """Draws batches.

    Args:
        cache: of the photos.
        truth: of the same photos.
        table: concepts.
        unseen: concepts that are never the subject of a pair.
        rng: of all choices.
    """

    def __init__(
        self, cache: Cache, truth: Truth, table: ConceptTable, unseen: set[str], rng: np.random.Generator
    ):
        self.cache, self.truth, self.rng = cache, truth, rng
        numbers = {n: i for i, n in enumerate(table.names)}
        self.never = {numbers[n] for n in unseen}
        names = ("background", "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence")
        self.surroundings = np.isin(np.arange(len(table.names)), [numbers[n] for n in names])
        train = np.array([p.part == "train" for p in cache.photos])
        self.drawn = self._by_mask(train)
        self.found = self._by_label(train)
        self.everything = np.flatnonzero(train)

    def _by_mask(self, train: np.ndarray) -> dict[int, np.ndarray]:
        found: dict[int, list[int]] = {}
        for i in np.flatnonzero(train & (self.truth.row >= 0)):
            mask = self.truth.masks[self.truth.row[i]]
            shares = np.bincount(mask.ravel(), minlength=256)[:IGNORE] / mask.size
            for concept in np.flatnonzero(shares > MIN_AREA):
                found.setdefault(int(concept), []).append(int(i))
        return self._usable(found)

    def _by_label(self, train: np.ndarray) -> dict[int, np.ndarray]:
        found: dict[int, list[int]] = {}
        for i in np.flatnonzero(train & (self.truth.label > 0)):
            if np.any(self.cache.objects[i]):
                found.setdefault(int(self.truth.label[i]), []).append(int(i))
        return self._usable(found)

    def _usable(self, found: dict[int, list[int]]) -> dict[int, np.ndarray]:
        return {c: np.array(r) for c, r in found.items() if c != 0 and c not in self.never and len(r) > 1}

    def pairs(self, count: int, drawn_share: float) -> tuple[np.ndarray, np.ndarray]:
        """Rows (2 count,) and concepts (2 count,) of pairs; different pairs show different concepts."""
        rows: list[int] = []
        concepts: list[int] = []
        while len(concepts) < 2 * count:
            pool = self.drawn if self.rng.random() < drawn_share else self.found
            if not pool:
                pool = self.drawn or self.found
            sizes = np.array([len(r) for r in pool.values()]) ** 0.5
            concept = int(self.rng.choice(list(pool), p=sizes / sizes.sum()))
            if concept in concepts and len(pool) >= count:
                continue
            rows += self.rng.choice(pool[concept], 2, replace=False).tolist()
            concepts += [concept, concept]
        return np.array(rows), np.array(concepts)

    def draw(self, pairs: int, singles: int, size: int, *, drawn_share: float, zoom: float) -> Batch:
        """One batch of ``2 pairs + singles`` crops.

        Args:
            pairs: of crops that show the same thing.
            singles: crops of any photo.
            size: side of a crop in pixels, a multiple of 32.
            drawn_share: chance that a pair's mask was drawn by people, not found by classifiers.
            zoom: smallest side of the window that is cut out, as a share of the photo.
        """
        rows, concepts = self.pairs(pairs, drawn_share)
        rows = np.concatenate((rows, self.rng.choice(self.everything, singles)))
        grids = self._windows(len(rows), zoom)
        pixels = torch.from_numpy(np.stack([self.cache.pixels[r] for r in rows])).permute(0, 3, 1, 2)
        pixels = self._colours(_cut(pixels.float() / 255, grids, size))
        tokens = [
            torch.from_numpy(np.stack([t[r] for r in rows])).permute(0, 3, 1, 2).float()
            for t in self.cache.tokens
        ]
        cut = (_cut(tokens[0], grids, size // 16), _cut(tokens[1], grids, size // 16))
        target = self._targets(rows, grids, size // 8)
        mask, weight = self._masks(rows[: 2 * pairs], concepts, grids[: 2 * pairs], size // 8)
        state = torch.from_numpy(self.truth.state[rows].copy())
        shown_here = F.one_hot(target.flatten(1).clamp_max(254).long(), 255).amax(1)[:, : state.shape[1]]
        certain = torch.from_numpy(self.truth.complete[rows])
        state[(state == 1) & certain & (shown_here == 0)] = -1
        return Batch(pixels.clamp_(0, 1), cut, target, state, self._allowed(rows), mask, weight)

    def _windows(self, count: int, zoom: float) -> Tensor:
        """Affine maps (count, 2, 3) from a crop to its window in the photo, some mirrored."""
        side = self.rng.uniform(zoom, 1, (count, 2))
        # Both sides nearly alike: the product's own stretch already changes the aspect.
        side[:, 1] = np.clip(side[:, 0] * np.exp(self.rng.uniform(-0.15, 0.15, count)), zoom, 1)
        centre = self.rng.uniform(-1, 1, (count, 2)) * (1 - side)
        mirror = np.where(self.rng.random(count) < 0.5, -1, 1)
        grids = np.zeros((count, 2, 3))
        grids[:, 0, 0], grids[:, 0, 2] = side[:, 0] * mirror, centre[:, 0]
        grids[:, 1, 1], grids[:, 1, 2] = side[:, 1], centre[:, 1]
        return torch.from_numpy(grids).float()

    def _colours(self, pixels: Tensor) -> Tensor:
        count = len(pixels)
        draw = lambda low, high: torch.from_numpy(self.rng.uniform(low, high, (count, 1, 1, 1))).float()  # noqa: E731
        grey = pixels.mean(1, keepdim=True)
        pixels = grey + (pixels - grey) * torch.where(draw(0, 1) < 0.05, 0.0, draw(0.7, 1.3))
        mean = pixels.mean((1, 2, 3), keepdim=True)
        return (pixels - mean) * draw(0.7, 1.3) + mean * draw(0.75, 1.25)

    def _targets(self, rows: np.ndarray, grids: Tensor, size: int) -> Tensor:
        out = torch.full((len(rows), size, size), IGNORE, dtype=torch.long)
        for i, row in enumerate(rows):
            if self.truth.row[row] >= 0:
                mask = torch.from_numpy(self.truth.masks[self.truth.row[row]])[None, None].float()
                out[i] = _cut(mask, grids[i : i + 1], size, mode="nearest")[0, 0].long()
            elif self.truth.label[row] > 0 and self.cache.objects[row].any():
                soft = self._soft(row, grids[i : i + 1], size)
                out[i][soft > OBJECT] = int(self.truth.label[row])
                out[i][soft < NOT_OBJECT] = 0
        return out

    def _masks(
        self, rows: np.ndarray, concepts: np.ndarray, grids: Tensor, size: int
    ) -> tuple[Tensor, Tensor]:
        mask, weight = torch.zeros(len(rows), size, size), torch.ones(len(rows), size, size)
        for i, (row, concept) in enumerate(zip(rows, concepts)):
            if self.truth.row[row] >= 0:
                known = torch.from_numpy(self.truth.masks[self.truth.row[row]])[None, None]
                both = torch.cat(((known == int(concept)).float(), (known != IGNORE).float()), 1)
                # Twice the cells, then means of four: shares, not samples.
                shares = F.avg_pool2d(_cut(both, grids[i : i + 1], 2 * size), 2)[0]
                mask[i], weight[i] = shares[0].clamp(0, 1), shares[1].clamp(0, 1)
            else:
                soft = self._soft(row, grids[i : i + 1], size)
                mask[i] = ((soft - NOT_OBJECT) / (OBJECT - NOT_OBJECT)).clamp(0, 1)
                weight[i] = (2 * mask[i] - 1).abs()
        return mask, weight

    def _soft(self, row: int, grid: Tensor, size: int) -> Tensor:
        soft = torch.from_numpy(self.cache.objects[row].astype(np.float32) / 255)[None, None]
        return _cut(soft, grid, size)[0, 0]

    def _allowed(self, rows: np.ndarray) -> Tensor:
        may = (self.truth.state[rows] != 0) & ~self.truth.complete[rows]
        may |= self.surroundings[None] & ~self.truth.complete[rows]
        labelled = np.flatnonzero(self.truth.label[rows] > 0)
        may[labelled, self.truth.label[rows[labelled]]] = False
        may[:, 0] = True
        return torch.from_numpy(may)


def _cut(maps: Tensor, grids: Tensor, size: int, mode: str = "bilinear") -> Tensor:
    """Windows of maps (B, C, h, w), resampled to (B, C, size, size)."""
    grid = F.affine_grid(grids, [len(maps), 1, size, size], align_corners=False)
    return F.grid_sample(maps, grid, mode=mode, padding_mode="border", align_corners=False)
