"""What the edge network learns from: scores of episodes, pictures and true masks, at 320 x 320 pixels."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from lfss.edge_network import LIMIT, SIDE, SUB, logits_of, small_square
from lfss.edges import to_pixels
from lfss.predictor import Predictor
from lfss.similarity import resize_map

from ..data.datasets import DataSet, write_text
from ..data.encode import PreparedEpisode, prepare_episode
from ..data.remember import remember
from ..maps import Task, draw_tasks, mark_unknown_words, open_arrays, open_sources, shown_in
from ..mini.photos import fraction
from .learning import cut_windows

Sources = Sequence[tuple[DataSet, list[str]]]

WINDOW = 240  # pixels of the square that training cuts out of a picture
BLOCKS = SIDE // SUB  # the size at which the network reads logits, whatever size they were made at


class Batch(NamedTuple):
    """N episodes.

    Attributes:
        picture: (N, 3, S, S) in [0, 1].
        score: (N, S, S) logits of the guided filter's score.
        cells: (N, S/4, S/4) logits before the filter, of the method's cells or of its decoder.
        target, valid: (N, S, S) in [0, 1].
    """

    picture: Tensor
    score: Tensor
    cells: Tensor
    target: Tensor
    valid: Tensor


class Parts(NamedTuple):
    """Numbers of the episodes that are trained on, and of those that are only looked at: of pictures kept
    apart, and of classes kept apart."""

    train: list[int]
    pictures: list[int]
    classes: list[int]


def make_examples(
    config: dict[str, Any], *, data: Path, preset: str, out: Path, cache: Path, device: str = "auto"
) -> Path:
    """Run the method over episodes and store what the edge network reads; goes on where it was stopped.

    Args:
        config: see ``train/configs/edges.json``; which episodes, as for ``train.maps``.
        data: folder of the data sets.
        preset: whose scores.
        out: gets the arrays and about.json.
        cache: of encoder outputs.
        device: where the preset runs.

    Raises:
        InputError: ``out`` holds the examples of another configuration.
    """
    predictor, item_bytes = remember(Predictor.load(preset, device=device), cache, memory=1 << 30)
    sources = open_sources(config, data, cache)
    tasks = mark_unknown_words(draw_tasks(config, sources), predictor)
    queries = list(dict.fromkeys((t.source, t.episode.query) for t in tasks))
    n, p = len(tasks), len(queries)
    shapes: dict[str, tuple[type, tuple[int, ...]]] = {
        "pictures": (np.uint8, (p, 3, SIDE, SIDE)),
        "cells": (np.float16, (n, BLOCKS, BLOCKS)),
        "score": (np.float16, (n, SIDE, SIDE)),
        "target": (np.uint8, (n, SIDE, SIDE)),
        "valid": (np.uint8, (n, SIDE, SIDE)),
    }
    size = sum(np.dtype(t).itemsize * int(np.prod(s)) for t, s in shapes.values())
    print(
        f"{n} episodes of {p} pictures: {size / 1e6:.0f} MB in '{out}'; encoder outputs: up to "
        f"{p * item_bytes / 1e6:.0f} MB in '{cache / 'encoded'}'",
        file=sys.stderr,
    )
    about: dict[str, Any] = {
        "config": {k: v for k, v in config.items() if k != "recipe"}, "preset": preset, "count": n, "done": 0,
        "queries": [queries.index((t.source, t.episode.query)) for t in tasks],
        "pictures": [query for _, query in queries],
        "classes": [t.episode.class_name for t in tasks],
        "kinds": [t.kind for t in tasks],
        "shown": [shown_in(t, sources[t.source][0]) for t in tasks],
    }  # fmt: skip
    about["key"] = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    arrays, done = open_arrays(out, shapes, about)
    for i in tqdm(range(done, n), initial=done, total=n, desc="episodes", unit="episode", mininterval=2):
        given = _prepared(tasks[i], sources, predictor)
        *_, last = predictor.steps(given.prepared, given.query.image, assume_present=True)
        found = last.query("logits")[0, :1].float().cpu().clamp(-30, 30)  # (1, h, w): cells, or a decoder's
        logits = found[0].numpy()
        square = small_square(given.query.image.pixels)
        arrays["pictures"][about["queries"][i]] = square.transpose(2, 0, 1)
        arrays["cells"][i] = resize_map(found, (BLOCKS, BLOCKS))[0].numpy()
        arrays["score"][i] = logits_of(to_pixels(logits, square))
        arrays["target"][i] = small_square(given.query.mask.astype(np.uint8) * 255)
        arrays["valid"][i] = small_square((~given.query.ignore).astype(np.uint8) * 255)
        if i % 50 == 49 or i == n - 1:
            for array in arrays.values():
                array.flush()
            write_text(out / "about.json", json.dumps({**about, "done": i + 1}))
    return out


def _prepared(task: Task, sources: Sources, predictor: Predictor) -> PreparedEpisode:
    data, _ = sources[task.source]
    return prepare_episode(predictor, data, task.episode, task.kind, seed=task.episode.query, word=task.word)


class Examples:
    """The stored episodes of a folder, divided into those for training and those to look at.

    Args:
        folder: made by ``make_examples``.
        apart: classes whose pictures are never trained on.
        share: of the pictures that are never trained on, by their names.
    """

    def __init__(self, folder: Path, apart: Sequence[str], share: float):
        self.about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        names = ("pictures", "cells", "score", "target", "valid")
        self.arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
        self.parts = Parts([], [], [])
        for i in range(self.about["done"]):
            picture = self.about["pictures"][self.about["queries"][i]]
            if self.about["classes"][i] in apart:
                self.parts.classes.append(i)
            elif not set(apart) & set(self.about["shown"][i]):
                kept = fraction(f"edges|{picture}") < share
                (self.parts.pictures if kept else self.parts.train).append(i)

    def read(self, episodes: Sequence[int]) -> Batch:
        """The episodes of these numbers."""

        def stored(name: str, rows: Sequence[int]) -> Tensor:
            return torch.from_numpy(np.stack([self.arrays[name][i] for i in rows])).float()

        picture = stored("pictures", [self.about["queries"][i] for i in episodes]) / 255
        score, cells = stored("score", episodes), stored("cells", episodes)
        return Batch(picture, score, cells, stored("target", episodes) / 255, stored("valid", episodes) / 255)


def vary(batch: Batch) -> Batch:
    """The same episodes seen otherwise: windows, mirrored, in other light, with scores that are off.

    The score and the logits of the cells are changed alike: too sure or too weak as a whole, and wrong by
    places.

    Args:
        batch: at 320 pixels.

    Returns:
        At 240 pixels, the cells at 60 x 60.
    """
    count, blocks = len(batch.picture), WINDOW // SUB
    side = torch.empty(count, 1).uniform_(0.45, 1.0) * torch.empty(count, 2).uniform_(0.9, 1.1)
    window = torch.zeros(count, 2, 3)
    mirror = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    window[:, 0, 0], window[:, 1, 1] = side[:, 0] * mirror, side[:, 1]
    window[:, :, 2] = torch.empty(count, 2).uniform_(-1, 1) * (1 - side).clamp_min(0)
    maps = torch.stack((batch.score, batch.target, batch.valid), 1)
    pixels = cut_windows(torch.cat((batch.picture, maps), 1), window, WINDOW)
    cells = cut_windows(batch.cells[:, None], window, blocks)[:, 0]
    gain, offset = (0.2 * torch.randn(count, 1, 1)).exp(), 0.4 * torch.randn(count, 1, 1)
    places = 0.5 * torch.randn(count, 1, 12, 12)
    wrong = [F.interpolate(places, (s, s), mode="bilinear")[:, 0] for s in (WINDOW, blocks)]
    light = torch.empty(count, 3, 1, 1).uniform_(0.7, 1.3) * torch.empty(count, 1, 1, 1).uniform_(0.7, 1.3)
    light[torch.rand(count) < 0.2] = 1
    return Batch(
        picture=0.5 + (pixels[:, :3] - 0.5) * light,
        score=(pixels[:, 3] * gain + offset + wrong[0]).clamp(-LIMIT, LIMIT),
        cells=cells * gain + offset + wrong[1],
        target=pixels[:, 4],
        valid=pixels[:, 5],
    )


def loss_of(logits: Tensor, target: Tensor, valid: Tensor, *, outline: float, overlap: float) -> Tensor:
    """Binary cross entropy in which the outline counts more, and one minus the soft Dice overlap.

    Args:
        logits, target, valid: (N, H, W); target and valid in [0, 1].
        outline: how much more a pixel counts within five pixels of the object's outline.
        overlap: weight of the second part.
    """
    grown, shrunk = (F.max_pool2d(sign * target[:, None], 11, 1, 5)[:, 0] for sign in (1, -1))
    weight = valid * (1 + outline * (grown + shrunk))  # (N, H, W)
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    p, truth = logits.sigmoid() * valid, target * valid
    dice = (2 * (p * truth).sum((1, 2)) + 1) / (p.sum((1, 2)) + truth.sum((1, 2)) + 1)  # (N,)
    return (cross * weight).sum() / weight.sum().clamp_min(1) + overlap * (1 - dice.mean())
