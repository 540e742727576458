"""Batches for mini: pairs of crops that show the same thing, and single crops of all photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from .truth import SIDE, UNKNOWN, Known, states

FINE = 4  # samples of a mask along each side of a cell
MIN_AREA = 0.02  # share of a photo that a thing must cover to be the subject of a pair
CELL = 16  # pixels


@dataclass(frozen=True)
class Batch:
    """B crops; the first 2 P of them are P pairs.

    Attributes:
        pixels: (B, 3, S, S) in [0, 1].
        targets: for each crop, concept number -> (S / 16, S / 16) share of each cell that shows it; 0 stands
            for none of those marked. Cells that are not known have shares that sum to less than 1.
        state: (B, V) 1 shown in the crop, 0 not shown, -1 not known.
        complete: (B, V) bool: concepts that the crop's mask marks wherever they are.
        label: (B,) what the photo is labelled with and no mask marks, -1 otherwise.
        mask, weight: (2 P, S / 16, S / 16): the pair's thing, and how far it is known.
    """

    pixels: Tensor
    targets: list[dict[int, Tensor]]
    state: Tensor
    complete: Tensor
    label: Tensor
    mask: Tensor
    weight: Tensor


class Window(NamedTuple):
    """A part of a photo, in shares of its sides, and whether it is mirrored."""

    x: float
    y: float
    width: float
    height: float
    mirrored: bool


class Sampler:
    """Draws batches.

    Args:
        data: the data folder.
        known: of the N photos that are trained on.
        concepts: V.
        unmarked: see ``states``.
        never: numbers of concepts that are never the subject of a pair.
        groups: how often each group of photos gives the first photo of a pair.
        rng: of all choices.
    """

    def __init__(
        self, data: Path, known: Sequence[Known], *, concepts: int, unmarked: np.ndarray, never: set[int],
        groups: Mapping[str, float], rng: np.random.Generator,
    ):  # fmt: skip
        self.data, self.known, self.rng, self.concepts = data, known, rng, concepts
        self.states = [states(k, concepts, unmarked) for k in known]
        self.by_group: dict[str, dict[int, list[int]]] = {name: {} for name in groups}
        self.by_concept: dict[int, list[int]] = {}
        for row, one in enumerate(known):
            if one.mask is None or one.group not in groups:
                continue
            values, counts = np.unique(one.mask, return_counts=True)
            for concept in values[counts > MIN_AREA * one.mask.size].tolist():
                if concept > 0 and concept not in never:
                    self.by_group[one.group].setdefault(concept, []).append(row)
                    self.by_concept.setdefault(concept, []).append(row)
        self.by_group = {name: found for name, found in self.by_group.items() if found}
        share = np.array([groups[name] for name in self.by_group])
        self.share = share / share.sum()

    def pairs(self, count: int) -> list[tuple[int, int]]:
        """(row, concept) of 2 ``count`` photos; those of a pair show one concept, other pairs show others.

        A group is drawn first, then a concept by the square root of its photos, then the photos.
        """
        found: list[tuple[int, int]] = []
        while len(found) < 2 * count:
            rows = self.by_group[list(self.by_group)[self.rng.choice(len(self.share), p=self.share)]]
            weight = np.sqrt([len(r) for r in rows.values()])
            concept = list(rows)[self.rng.choice(len(rows), p=weight / weight.sum())]
            if any(concept == c for _, c in found):
                continue
            first = int(self.rng.choice(rows[concept]))
            # The partner may be of another set: a horse is a horse.
            others = [r for r in self.by_concept[concept] if r != first] or [first]
            found += [(first, concept), (int(self.rng.choice(others)), concept)]
        return found

    def draw(self, pairs: int, singles: int, size: int, zoom: float) -> Batch:
        """A batch of ``2 pairs + singles`` crops of ``size`` pixels; ``zoom`` is the smallest window.

        Args:
            pairs: how many pairs of crops, each of one class.
            singles: how many other crops.
            size: side of a crop in pixels.
            zoom: smallest window, as a share of the picture.
        """
        chosen = self.pairs(pairs)
        chosen += [(int(r), 0) for r in self.rng.integers(len(self.known), size=singles)]
        windows = [self._window(self.known[row].mask, concept, zoom) for row, concept in chosen]
        pixels = np.stack([self._pixels(row, w, size) for (row, _), w in zip(chosen, windows)])
        cells = size // CELL
        targets = [self._target(self.known[row].mask, w, cells) for (row, _), w in zip(chosen, windows)]
        mask, weight = torch.zeros(2 * pairs, cells, cells), torch.zeros(2 * pairs, cells, cells)
        for i, (_, concept) in enumerate(chosen[: 2 * pairs]):
            weight[i] = torch.stack(list(targets[i].values())).sum(0) if targets[i] else 0
            mask[i] = targets[i].get(concept, torch.zeros(())) / weight[i].clamp_min(1e-6)
        state = np.stack([self._state(row, t) for (row, _), t in zip(chosen, targets)])
        complete = torch.zeros(len(chosen), self.concepts, dtype=torch.bool)
        label = torch.full((len(chosen),), -1)
        for i, (row, _) in enumerate(chosen):
            known = self.known[row]
            complete[i, list(known.complete)] = True
            if known.mask is None and known.label > 0:
                label[i] = known.label
            elif known.label > 0:
                complete[i, known.label] = True  # a rough mask marks the labelled object wherever it is
        colours = self._colours(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
        return Batch(colours, targets, torch.from_numpy(state), complete, label, mask, weight)

    def _window(self, mask: np.ndarray | None, concept: int, zoom: float) -> Window:
        side = self.rng.uniform(zoom, 1)
        stretch = np.exp(self.rng.uniform(-0.12, 0.12))
        width, height = min(1.0, side * stretch), min(1.0, side / stretch)
        x, y = self.rng.uniform(0, 1 - width), self.rng.uniform(0, 1 - height)
        places = np.argwhere(mask == concept) if mask is not None and concept > 0 else ()
        if len(places):  # a window around a random place of the thing
            row, column = (self.rng.choice(places) + 0.5) / SIDE
            x = np.clip(column - self.rng.uniform(0.15, 0.85) * width, 0, 1 - width)
            y = np.clip(row - self.rng.uniform(0.15, 0.85) * height, 0, 1 - height)
        return Window(float(x), float(y), width, height, bool(self.rng.random() < 0.5))

    def _pixels(self, row: int, window: Window, size: int) -> np.ndarray:
        path = self.data / self.known[row].photo.key
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            raise ValueError(f"{path} is not a readable picture. Remove it from the data folder.")
        height, width = bgr.shape[:2]
        x, y = round(window.x * width), round(window.y * height)
        part = bgr[y : y + max(1, round(window.height * height)), x : x + max(1, round(window.width * width))]
        shrinks = min(part.shape[:2]) > size
        square = cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return square[:, :: -1 if window.mirrored else 1, ::-1]

    def _target(self, mask: np.ndarray | None, window: Window, cells: int) -> dict[int, Tensor]:
        """Concept number -> share of each cell, without what is not known."""
        if mask is None:
            return {}
        steps = (np.arange(FINE * cells) + 0.5) / (FINE * cells)
        rows = ((window.y + steps * window.height) * SIDE).astype(int).clip(0, SIDE - 1)
        columns = ((window.x + steps * window.width) * SIDE).astype(int).clip(0, SIDE - 1)
        if window.mirrored:
            columns = columns[::-1]
        part = mask[rows[:, None], columns[None]]
        found = {}
        for concept in np.unique(part).tolist():
            if concept != UNKNOWN:
                shares = (part == concept).reshape(cells, FINE, cells, FINE).mean((1, 3))
                found[concept] = torch.from_numpy(shares).float()
        return found

    def _state(self, row: int, target: dict[int, Tensor]) -> np.ndarray:
        """The photo's states; a concept lost by the crop is not shown, one nearly lost is not known."""
        state = self.states[row].copy()
        for concept in np.flatnonzero(state == 1).tolist():
            if self.known[row].mask is not None and concept not in target:
                state[concept] = 0
            elif concept in target and target[concept].mean() < 0.01:
                state[concept] = -1
        return state

    def _colours(self, pixels: Tensor) -> Tensor:
        count = len(pixels)

        def draw(low: float, high: float) -> Tensor:
            return torch.from_numpy(self.rng.uniform(low, high, (count, 1, 1, 1))).float()

        grey = pixels.mean(1, keepdim=True)
        pixels = grey + (pixels - grey) * torch.where(draw(0, 1) < 0.05, 0.0, draw(0.7, 1.3))
        mean = pixels.mean((1, 2, 3), keepdim=True)
        return ((pixels - mean) * draw(0.7, 1.3) + mean * draw(0.75, 1.25)).clamp(0, 1)
