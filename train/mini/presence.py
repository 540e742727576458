"""Teach mini to tell whether a picture shows a thing at all, from what one pass gives.

    python -m train.mini.presence --model assets/models/mini --data ../data-full

The network stays as it is. For each concept, a logistic regression reads two numbers: what the class token
says of the picture, and the concept's best cells. Their two weights are the same for all concepts, fitted on
the VOC training photos that were kept out of training ("choose"), where each concept and both answers weigh
alike. A concept's own offset follows from training photos, drawn towards the common one where few show it.
Writes the judge into ``model.safetensors`` and its figures into ``config.json``: run it again after each
export.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.encoders.judge import best_cells
from lfss.encoders.mini import JUDGE, MiniEncoder, load_mini
from lfss.weights import load_model, save_model

from .. import cli
from ..measure.metrics import roc_auc
from .concepts import ConceptTable, imagenet_names, imagenet_synsets
from .photos import fraction, list_photos
from .pixels import look
from .truth import Known, Truth, states, unmarked_concepts, without

FEWEST = 8  # photos of a concept, and without it, from which its AUC says anything
SHRINK = 20.0  # photos of a concept after which its own offset counts as much as the common one
SIZE = 384


class Read(NamedTuple):
    """What the judge reads of N photos, (N, V, 2), and what is known of them, (N, V): 1, 0, or -1."""

    values: Tensor
    state: Tensor

    def part(self, rows: Tensor) -> Read:
        """Some of the photos, by their numbers (M,)."""
        return Read(self.values[rows], self.state[rows])


def read(model: MiniEncoder, photos: Sequence[Known], data: Path, table: ConceptTable, size: int) -> Read:
    """Run the network over photos.

    Args:
        model: whose judge is fitted.
        photos: what is known of each.
        data: the data folder.
        table: the model's concepts.
        size: pictures are stretched to ``size x size`` pixels.
    """
    unmarked = unmarked_concepts(table)
    values = [
        torch.stack((seen.whole, best_cells(seen.odds)[0]), 1) for seen in look(model, photos, data, size)
    ]
    state = np.stack([states(known, len(table.names), unmarked) for known in photos])
    return Read(torch.stack(values), torch.from_numpy(state))


def fit(seen: Read, concepts: Sequence[int]) -> tuple[Tensor, float]:
    """Two weights and one offset for all concepts; each concept, and of it both answers, weigh alike.

    Args:
        seen: photos that were not trained on.
        concepts: numbers of the concepts that are used.

    Returns:
        (2,) the weights, and the offset.
    """
    values, state = seen.values[:, concepts], seen.state[:, concepts]
    part = torch.stack([(state == a) / (state == a).sum(0).clamp_min(1) for a in (0, 1)]).sum(0)
    weight = torch.tensor([0.5, 0.5], requires_grad=True)
    offset = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, offset], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        error = F.binary_cross_entropy_with_logits(
            values @ weight + offset, (state == 1).float(), reduction="none"
        )
        total = (error * part).sum() / part.sum()
        total.backward()
        return total

    optimiser.step(loss)
    return weight.detach(), offset.item()


def own_offsets(seen: Read, weight: Tensor, offset: float) -> Tensor:
    """(V,) offset of each concept: halfway between its mean with and without, as far as photos tell.

    Args:
        seen: training photos; they are surer than new ones, whether they show it or not.
        weight, offset: of ``fit``.
    """
    logits = seen.values @ weight
    shown, absent = (seen.state == 1).float(), (seen.state == 0).float()
    count = torch.minimum(shown.sum(0), absent.sum(0))
    middle = sum((logits * photos).sum(0) / photos.sum(0).clamp_min(1) for photos in (shown, absent)) / 2
    share = count / (count + SHRINK)
    common = (middle * share).sum() / share.sum().clamp_min(1e-6)  # what the common offset answers to
    return offset - share * (middle - common)


def aucs(scores: Tensor, state: Tensor) -> dict[int, float]:
    """ROC AUC of each concept that enough photos show and do not show; scores and state (N, V)."""
    found = {}
    for c in range(scores.shape[1]):
        shown, absent = scores[state[:, c] == 1, c].tolist(), scores[state[:, c] == 0, c].tolist()
        if min(len(shown), len(absent)) >= FEWEST:
            found[c] = roc_auc([*shown, *absent], [True] * len(shown) + [False] * len(absent))
    return found


def learn(train: Read, choose: Read) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Weight (V, 2) and bias (V,) of the judge, and a report with figures by concept number."""
    measured = list(aucs(choose.values[:, :, 1], choose.state))
    pair, offset = fit(choose, measured)
    bias = own_offsets(train, pair, offset)
    judged = aucs(choose.values @ pair + bias, choose.state)
    cells, whole = (aucs(choose.values[:, :, i], choose.state) for i in (1, 0))
    report = {
        "photos": len(choose.state), "training photos": len(train.state), "weight": pair.tolist(),
        "auc": float(np.mean(list(judged.values()))),
        "auc of best cells": float(np.mean(list(cells.values()))),
        "by concept": {
            c: {"best cells": cells[c], "whole picture": whole[c], "judge": judged[c]} for c in measured
        },
    }  # fmt: skip
    return pair.expand(len(bias), 2).clone(), bias, report


def write(folder: Path, weight: Tensor, bias: Tensor, report: dict[str, Any]) -> None:
    """Put the judge beside the network's weights.

    Args:
        folder: of the model.
        weight: (2,).
        bias: (V,), one for each concept.
        report: what was measured, kept in the model's configuration.
    """
    config, state = load_model(folder)
    names = [concept["name"] for concept in config["concepts"]]
    by_concept = {names[c]: row for c, row in report["by concept"].items()}
    state |= dict(zip(JUDGE, (weight.half(), bias.half())))
    save_model(folder, state, {**config, "presence": {**report, "by concept": by_concept}})


def left_out(config: Mapping[str, Any]) -> list[str]:
    """The concepts whose photos the model was kept from (``train.mini.train --exclude``)."""
    return list(config.get("training", {}).get("recipe", {}).get("exclude", ()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return cli.run(_run, _parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("mini.presence", __doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with config.json and weights")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", type=int, default=SIZE, help="side of the photos, the preset's")
    parser.add_argument("--limit", type=int, default=800, help="only so many training photos")
    parser.add_argument("--threads", type=int, default=1)
    return parser


def _run(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    words = imagenet_names()
    table = ConceptTable.load(words)
    truth = Truth(options.data, table, table.labels(words, imagenet_synsets()))
    listed = sorted(list_photos(options.data), key=lambda photo: fraction(photo.key))
    hidden = {table.names.index(name) for name in left_out(load_model(options.model)[0])}
    parts = {
        part: without((truth.of(p) for p in listed if p.part == part and p.source in sources), hidden)
        for part, sources in (("train", ("voc", "coco", "imagenet1000")), ("choose", ("voc",)))
    }
    model = load_mini(options.model)
    seen = [
        read(model, photos, options.data, table, options.size)
        for photos in (parts["train"][: options.limit], parts["choose"])
    ]
    weight, bias, report = learn(*seen)
    write(options.model, weight, bias, report)
    for c, row in report["by concept"].items():
        print(f"{table.names[c]:15s}", *(f"{name} {value:.3f}" for name, value in row.items()))
    print(f"AUC {report['auc of best cells']:.3f} -> {report['auc']:.3f}, weights {report['weight']}")


if __name__ == "__main__":
    sys.exit(main())
