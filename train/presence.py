"""Teach mini to tell whether a picture shows a thing at all: a linear judge of the picture as a whole.

    python -m train.presence --model assets/models/mini --data ../data-full --teachers ../shared/weights \
        --cache ../cache-mini

The network stays as it is. For every concept that enough training photos show, a logistic regression is
fitted on what ``lfss.encoders.judge`` reads: the mean and the maximum of each channel of the maps, and the
concept's own best cells. Photos with and without the concept weigh alike, so 0.5 means even odds; of both,
photos whose masks say so have most of the weight, because they are scenes and not portraits of one thing. The
VOC training photos that were kept out of training ("choose") decided that and decide the penalty, then one
scale and one offset for all concepts, so that the judge is no surer than it may be on new photos. Writes the
judge into ``model.safetensors`` and its figures into ``config.json``: run it again after each export.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from lfss.encoders.judge import best_cells, summary
from lfss.encoders.mini import JUDGE, MiniEncoder, load_mini
from lfss.weights import load_model, save_model

from . import cli
from .measure.metrics import roc_auc
from .mini.batches import Cache
from .mini.cache import load_module, read_square
from .mini.photos import Photo
from .mini.truth import ConceptTable, Truth, build_truth

ENOUGH = 20  # photos that must show a concept before it is learnt
FEWEST = 8  # photos of a concept from which its AUC says anything
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.3)
DRAWN = 0.9  # weight of photos whose masks tell what they show; the rest are labelled or classified
BATCH = 8

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Seen:
    """What a judge reads of N photos, and what is known of them.

    Attributes:
        whole: (N, 2 C), see ``lfss.encoders.judge.summary``.
        own: (N, V) mean logit of each concept's best cells.
        state: (N, V): 1 shown, 0 not shown, -1 not known.
        drawn: (N, V) bool: the state is known from a mask.
    """

    whole: Tensor
    own: Tensor
    state: Tensor
    drawn: Tensor

    def part(self, rows: Bools) -> Seen:
        """Some of the photos."""
        chosen = torch.from_numpy(rows)
        return Seen(self.whole[chosen], self.own[chosen], self.state[chosen], self.drawn[chosen])

    def logits(self, weight: Tensor, bias: Tensor) -> Tensor:
        """(N, V) of a judge with weight (V, 2 C + 1) and bias (V,)."""
        return self.whole @ weight[:, :-1].T + self.own * weight[:, -1] + bias


@torch.inference_mode()
def look(model: MiniEncoder, photos: Sequence[Photo], data: Path, truth: Truth, *, size: int) -> Seen:
    """Run the network over photos, stretched to ``size x size`` as the product does."""
    whole, own = [], []
    for start in tqdm(range(0, len(photos), BATCH), desc="photos", unit="batch"):
        squares = [read_square(data / photo.key, size) for photo in photos[start : start + BATCH]]
        pixels = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float() / 255
        maps = model.network.maps(pixels)
        whole.append(summary(maps))
        own.append(best_cells(model.network.concept_logits(model.network.heads(maps)[0])))
    state, drawn = torch.from_numpy(truth.state.astype(np.int8)), torch.from_numpy(truth.complete)
    return Seen(torch.cat(whole).clone(), torch.cat(own).clone(), state, drawn)


def shares(seen: Seen, concepts: Sequence[int]) -> Tensor:
    """(N, C) weight of each photo for each concept; those that show it sum to 1/2, and so do the others."""
    state, drawn = seen.state[:, list(concepts)], seen.drawn[:, list(concepts)]
    total = torch.zeros(state.shape)
    for value in (0, 1):
        groups = [((state == value) & side).float() for side in (drawn, ~drawn)]
        weights = torch.stack([g * w / g.sum(0).clamp_min(1) for g, w in zip(groups, (DRAWN, 1 - DRAWN))])
        total += (weights.sum(0) / weights.sum((0, 1)).clamp_min(1e-9)) / 2
    return total


def fit(seen: Seen, concepts: Sequence[int], penalty: float) -> tuple[Tensor, Tensor]:
    """One logistic regression for each concept, photos weighing as ``shares`` says.

    Args:
        seen: training photos.
        concepts: numbers of those to learn; the rows of all others are zero.
        penalty: on the squares of the weights in units of each input's spread, the best cells' excepted, so
            that a high one leaves these alone.

    Returns:
        Weight (V, 2 C + 1) and bias (V,).
    """
    chosen = list(concepts)
    middle, spread = seen.whole.mean(0), seen.whole.std(0).clamp_min(1e-5)
    own_middle, own_spread = seen.own[:, chosen].mean(0), seen.own[:, chosen].std(0).clamp_min(1e-5)
    whole, own = (seen.whole - middle) / spread, (seen.own[:, chosen] - own_middle) / own_spread
    shown, part = (seen.state[:, chosen] == 1).float(), shares(seen, chosen)
    weight = torch.zeros(len(chosen), whole.shape[1], requires_grad=True)
    last = torch.ones(len(chosen), requires_grad=True)  # begin with the best cells alone
    bias = torch.zeros(len(chosen), requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, last, bias], max_iter=150, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits = whole @ weight.T + own * last + bias
        error = F.binary_cross_entropy_with_logits(logits, shown, reduction="none")
        total = (error * part).sum() + penalty * weight.square().sum()
        total.backward()
        return total

    optimiser.step(loss)
    with torch.no_grad():
        rows = weight / spread
        own_rows = last / own_spread
        offsets = bias - rows @ middle - own_rows * own_middle
        all_weights = torch.zeros(seen.own.shape[1], seen.whole.shape[1] + 1)
        all_biases = torch.zeros(seen.own.shape[1])
        all_weights[chosen] = torch.cat((rows, own_rows[:, None]), 1)
        all_biases[chosen] = offsets
    return all_weights, all_biases


def calibrate(logits: Tensor, state: Tensor) -> tuple[float, float]:
    """Scale and offset after which logits fit photos that were not trained on, each concept weighing alike.

    Args:
        logits: (N, C).
        state: (N, C).
    """
    shown, absent = (state == 1).float(), (state == 0).float()
    part = shown / shown.sum(0).clamp_min(1) + absent / absent.sum(0).clamp_min(1)
    scale, offset = torch.ones(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS([scale, offset], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        error = F.binary_cross_entropy_with_logits(scale * logits + offset, shown, reduction="none")
        total = (error * part).sum() / part.sum()
        total.backward()
        return total

    optimiser.step(loss)
    return scale.item(), offset.item()


def aucs(scores: Tensor, state: Tensor, concepts: Sequence[int]) -> dict[int, float]:
    """ROC AUC of each concept that enough photos show and do not show."""
    found = {}
    for c in concepts:
        known = state[:, c] >= 0
        shown = state[known, c] == 1
        if min(int(shown.sum()), int((~shown).sum())) >= FEWEST:
            found[c] = roc_auc(scores[known, c].tolist(), shown.tolist())
    return found


def learn(train: Seen, choose: Seen) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """The judge, and how it was chosen.

    Returns:
        Weight (V, 2 C + 1), bias (V,), and a report by concept number.
    """
    counts = (train.state == 1).sum(0)
    concepts = [c for c in range(1, len(counts)) if counts[c] >= ENOUGH and (train.state[:, c] == 0).any()]
    tried = {}
    for penalty in PENALTIES:
        weight, bias = fit(train, concepts, penalty)
        found = aucs(choose.logits(weight, bias), choose.state, concepts)
        tried[penalty] = (float(np.mean(list(found.values()))), weight, bias, found)
        print(f"penalty {penalty:g}: AUC {tried[penalty][0]:.3f} over {len(found)} concepts", flush=True)
    best = max(tried, key=lambda p: tried[p][0])
    mean, weight, bias, after = tried[best]
    measured = list(after)
    scale, offset = calibrate(choose.logits(weight, bias)[:, measured], choose.state[:, measured])
    before = aucs(choose.own, choose.state, measured)
    report = {
        "photos": len(train.state), "concepts": len(concepts), "penalty": best,
        "scale": scale, "offset": offset,
        "auc": mean, "auc of best cells": float(np.mean(list(before.values()))),
        "by concept": {c: {"best cells": before[c], "judge": after[c]} for c in measured},
    }  # fmt: skip
    learnt = weight.any(1)
    return scale * weight, torch.where(learnt, scale * bias + offset, bias), report


def write(folder: Path, weight: Tensor, bias: Tensor, report: dict[str, Any]) -> None:
    """Put the judge beside the network's weights."""
    config, state = load_model(folder)
    names = [concept["name"] for concept in config["concepts"]]
    by_concept = {names[c]: row for c, row in report["by concept"].items()}
    state |= dict(zip(JUDGE, (weight.half(), bias.half())))
    save_model(folder, state, {**config, "presence": {**report, "by concept": by_concept}})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = cli.command("presence", __doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with config.json and weights")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, required=True, help="folder with teachers.py")
    parser.add_argument("--cache", type=Path, required=True, help="of train.distill_cache")
    parser.add_argument("--size", type=int, default=256, help="side of the photos, the preset's")
    parser.add_argument("--limit", type=int, help="only so many training photos")
    parser.add_argument("--threads", type=int, default=1)
    return cli.run(_run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    table, cache = ConceptTable.load(), Cache.open(options.cache)
    parts = np.array([photo.part for photo in cache.photos])
    rows = np.flatnonzero(parts == "train")[: options.limit]
    rows = np.concatenate((rows, np.flatnonzero(parts == "choose")))
    photos = [cache.photos[i] for i in rows]
    names = load_module(options.teachers).imagenet_classes(options.teachers)
    truth = build_truth(photos, options.data, table, np.asarray(cache.logits[rows]), imagenet_names=names)
    seen = look(load_mini(options.model), photos, options.data, truth, size=options.size)
    choose = parts[rows] == "choose"
    weight, bias, report = learn(seen.part(~choose), seen.part(choose))
    write(options.model, weight, bias, report)
    for c, row in report["by concept"].items():
        print(f"{table.names[c]:15s} best cells {row['best cells']:.2f}  judge {row['judge']:.2f}")
    print(f"AUC {report['auc of best cells']:.3f} -> {report['auc']:.3f}, {report['concepts']} concepts")


if __name__ == "__main__":
    sys.exit(main())
