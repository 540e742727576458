"""Measure mini on photos it was not trained on.

    python -m train.mini.measure --model assets/models/mini --data ../data-full --split choose
    python -m train.mini.measure --model assets/models/mini --data ../data-full --split test \
        --out assets/models/mini

Plain prototypes of its features (one support, its true mask), and how well it knows each word
(``train.mini.words``). ``choose`` are VOC training photos kept out of training, to decide between runs;
``test`` is for reporting only. ``--out`` writes figures.json and vocabulary.csv, from which ``train.card``
fills the model card. ``--trunk FILE`` also measures the public weights before fine-tuning.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.encoders.mini import MiniEncoder, load_mini
from lfss.encoders.mini_network import READ, Mini
from lfss.encoders.vit import PATCH

from .. import cli
from ..card import read_figures, write_figures
from ..measure.report import clean
from .concepts import ConceptTable, imagenet_names, imagenet_synsets
from .export import masked_photos
from .losses import prototypes
from .photos import Photo, list_photos, split_rule
from .pixels import Seen, look, read_square
from .train import begin, read_trunk
from .truth import DRAWN, SIDE, UNKNOWN, Known, Truth
from .words import score_words, write_table

LEAST = 0.01  # share of the photo that a thing must cover to be support or query
VOC_TEN = ("car", "cat", "chair", "cow", "dog", "horse", "person", "potted plant", "sheep", "couch")
FEWEST = 5  # photos that a class needs to be scored


def prototype_iou(
    photos: Sequence[Known], features: Sequence[Tensor], names: Sequence[str], *,
    episodes: int, seed: int, classes: Sequence[str] | None = None,
) -> dict[str, float]:  # fmt: skip
    """One-shot IoU of plain prototypes: mean object and background vector of the support's true mask.

    Per class, intersections over unions summed over episodes; every cell goes to the nearer prototype by
    cosine, enlarged to the mask's size.

    Args:
        photos: N photos with masks.
        features: of each photo, (1, C, h, w), unit cells.
        names: of the concepts.
        episodes: how many pairs, shared evenly among the classes.
        seed: of the pairs.
        classes: to score; all with enough photos if None.
    """
    rows = class_rows(photos, names)
    chosen = [c for c in (classes or rows) if len(rows.get(c, ())) >= FEWEST]
    rng = np.random.default_rng(seed)
    figures = {}
    for name in chosen:
        number, together, either = list(names).index(name), 0, 0
        for _ in range(max(1, episodes // len(chosen))):
            support, query = rng.choice(rows[name], 2, replace=False).tolist()
            masks = [torch.from_numpy(known) for known in (photos[support].mask, photos[query].mask)]
            found = nearest_prototype(features[support], masks[0], features[query], number)
            right, valid = masks[1] == number, masks[1] != UNKNOWN
            together += int((found & right & valid).sum())
            either += int(((found | right) & valid).sum())
        figures[name] = together / either
    return figures


def nearest_prototype(support: Tensor, support_mask: Tensor, query: Tensor, number: int) -> Tensor:
    """(S, S) bool: where the query is nearer to the support's object than to its background.

    Args:
        support, query: (1, C, h, w) unit features.
        support_mask: (S, S) number of the concept at each pixel, ``UNKNOWN`` where nobody has said.
        number: of the concept.
    """
    both = torch.stack((support_mask == number, support_mask != UNKNOWN)).float()[None]
    shares = F.interpolate(both, support.shape[-2:], mode="area")[0]
    vectors, _ = prototypes(support, shares[:1] / shares[1:].clamp_min(1e-6), shares[1:])
    logits = torch.einsum("bchw,bkc->bkhw", query, vectors)
    logits = F.interpolate(logits, (SIDE, SIDE), mode="bilinear", align_corners=False)
    return logits[0, 1] > logits[0, 0]


def class_rows(photos: Sequence[Known], names: Sequence[str]) -> dict[str, list[int]]:
    """Photos that show each concept on more than 1 % of their area, by its name."""
    rows: dict[str, list[int]] = {}
    for i, known in enumerate(photos):
        assert known.mask is not None
        values, counts = np.unique(known.mask, return_counts=True)
        for number in values[counts > LEAST * known.mask.size].tolist():
            if number > 0:
                rows.setdefault(names[number], []).append(i)
    return rows


def tasks(photos: Sequence[Photo]) -> dict[str, tuple[list[int], Sequence[str] | None]]:
    """Name of a measurement -> rows of its photos, and its classes."""
    rows = {s: [i for i, p in enumerate(photos) if p.source == s] for s in ("voc", "coco")}
    found: dict[str, tuple[list[int], Sequence[str] | None]] = {
        "voc": (rows["voc"], VOC_TEN),
        "coco": (rows["coco"], None),
        "coco_no_masks": (rows["coco"], split_rule()["coco_classes_without_masks"]),
    }
    return {name: task for name, task in found.items() if task[0]}


def public_features(network: Mini, photos: Sequence[Known], data: Path, size: int) -> list[Tensor]:
    """Unit features of the trunk before fine-tuning: the blocks 8 and 11 side by side.

    Args:
        network: with the public weights.
        photos: N of them.
        data: the data folder.
        size: pictures are stretched to ``size x size`` pixels.

    Returns:
        N times (1, 2 D, h, w), with D channels of the trunk.
    """
    found = []
    for known in photos:
        with torch.inference_mode():
            tokens = network.trunk.run(
                network.trunk.embed(network.tower(read_square(data / known.photo.key, size))), 0, READ
            )
            both = [F.normalize(t[:, 1:], dim=2) for t in (tokens[0], network.trunk.norm(tokens[1]))]
            cells = torch.cat(both, 2).transpose(1, 2).unflatten(2, (size // PATCH, size // PATCH))
        found.append(F.normalize(cells, dim=1))
    return found


def measure(
    model: MiniEncoder, table: ConceptTable, photos: Sequence[Known], options: argparse.Namespace
) -> dict[str, Any]:
    """All figures of the model on photos with masks.

    Args:
        model: to measure.
        table: its concepts.
        photos: none that it was trained on.
        options: of the command line.
    """
    looks: list[Seen] = []
    for seen in look(model, photos, options.data, options.size):
        looks.append(Seen(seen.match.clone(), seen.odds.half().float(), seen.whole))
    networks = {"mini": [seen.match for seen in looks]}
    if options.trunk:
        public = begin(read_trunk(options.trunk), table, model.network.config).eval()
        networks["trunk before"] = public_features(public, photos, options.data, options.size)
    figures: dict[str, Any] = {}
    for kind, (rows, classes) in tasks([known.photo for known in photos]).items():
        for name, features in networks.items():
            found = prototype_iou(
                [photos[i] for i in rows], [features[i] for i in rows], table.names,
                episodes=options.episodes, seed=options.seed, classes=classes,
            )  # fmt: skip
            mean = float(np.mean(list(found.values()))) if found else float("nan")
            figures[f"{kind}/{name}@{options.size} px"] = {"mean": mean, **found}
            print(kind, name, f"{mean:.3f}", {k: round(v, 2) for k, v in found.items()}, flush=True)
    scores = score_words(table.names, model.vlm.judge, photos, looks)
    print(f"{'word':15s} photos  IoU  AUC  accuracy  false")
    for name, score in scores.items():
        if score.iou is not None:
            numbers = (score.iou, score.auc, score.accuracy, score.false)
            print(f"{name:15s} {score.photos:6d}", *("   -" if n is None else f"{n:4.2f}" for n in numbers))
    aucs = [score.auc for score in scores.values() if score.auc is not None]
    print(f"presence: AUC {np.mean(aucs):.3f} over {len(aucs)} words")
    if options.out:
        truth = Truth(options.data, table, table.labels(imagenet_names(), imagenet_synsets()))
        train = (truth.of(photo) for photo in list_photos(options.data) if photo.part == "train")
        write_table(options.out, model.vocabulary, masked_photos(train, table.names)[0], scores)
    return {"prototype_iou": figures, "words": {name: asdict(score) for name, score in scores.items()}}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return cli.run(_run, _parser().parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    words = imagenet_names()
    table = ConceptTable.load(words)
    truth = Truth(options.data, table, table.labels(words, imagenet_synsets()))
    listed = [p for p in list_photos(options.data) if p.part == options.split and p.source in DRAWN]
    photos = [truth.of(p) for p in listed if p.source in options.sources.split(",")][: options.limit]
    about = {"split": options.split, "size": options.size, "seed": options.seed, "photos": len(photos)}
    figures = {**about, **measure(load_mini(options.model), table, photos, options)}
    if options.out:
        results = read_figures(options.out).get("results", {})  # of other commands
        write_figures(options.out, clean({**figures, "results": results}))


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("mini.measure", __doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with config.json and weights")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=("choose", "test"), default="choose")
    parser.add_argument("--sources", default=",".join(DRAWN), help="sets of photos, separated by commas")
    parser.add_argument("--trunk", type=Path, help="also measure the public weights in this file")
    parser.add_argument("--size", type=int, default=384, help="side of the photos; the preset's")
    parser.add_argument("--episodes", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="only so many photos")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder for figures.json and vocabulary.csv")
    return parser


if __name__ == "__main__":
    sys.exit(main())
