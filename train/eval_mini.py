"""Measure mini on photos it was not trained on, beside the teacher.

    python -m train.eval_mini --model assets/models/mini --data ../data-full --split choose
    python -m train.eval_mini --model assets/models/mini --data ../data-full --split test --compare \
        --teachers ../shared/weights --cache ../cache-mini --out assets/models/mini

Plain prototypes of its features (one support, its true mask), and how well it knows each word
(``train.mini.words``). ``choose`` are VOC training photos kept out of training, to decide between runs;
``test`` is for reporting only. With ``--out``, figures.json and vocabulary.csv, from which
``train.card`` fills the model card.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.encoders.mini import MiniEncoder, load_mini

from .card import read_figures, write_figures
from .distill import masked_photos
from .measure.report import clean
from .mini.cache import load_module
from .mini.losses import prototypes
from .mini.photos import Photo, split_rule
from .mini.pixels import load_photos, mask_of, read_pixels, subset
from .mini.truth import IGNORE, MASK_SIZE, ConceptTable, Truth
from .mini.words import WordScore, never_cached, score_labelled, score_words, write_table

TEACHER_SIZE = 384  # a multiple of its 16-px patches, where its prototypes are best
LEAST = 0.01  # share of the photo that a thing must cover to be support, query or "shown"
VOC_TEN = ("car", "cat", "chair", "cow", "dog", "horse", "person", "potted plant", "sheep", "couch")
FEWEST = 5  # photos that a class needs to be scored

Encode = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Table:
    """One figure for each class."""

    figures: dict[str, float]

    @property
    def mean(self) -> float:
        """Over classes."""
        return float(np.nanmean(list(self.figures.values()))) if self.figures else float("nan")


def prototype_iou(
    encode: Encode, photos: Sequence[Photo], truth: Truth, names: Sequence[str], data: Path, *,
    size: int, episodes: int, seed: int, classes: Sequence[str] | None = None,
) -> Table:  # fmt: skip
    """One-shot IoU of plain prototypes: mean object and background vector of the support's true mask.

    Per class, intersections over unions summed over episodes; every cell goes to the nearer prototype by
    cosine, enlarged to the mask's size.

    Args:
        encode: (1, 3, size, size) -> (1, C, h, w).
        photos: N photos with masks.
        truth: of these photos.
        names: of the concepts.
        data: the data folder.
        size: side to which photos are stretched, in pixels.
        episodes: how many pairs, shared evenly among the classes.
        seed: of the pairs.
        classes: to score; all with enough photos if None.
    """
    rows = class_rows(truth, names)
    chosen = [c for c in (classes or rows) if len(rows.get(c, ())) >= FEWEST]
    rng = np.random.default_rng(seed)
    kept: dict[int, Tensor] = {}
    figures = {}
    for name in chosen:
        number, together, either = list(names).index(name), 0.0, 0.0
        for _ in range(max(1, episodes // len(chosen))):
            support, query = rng.choice(rows[name], 2, replace=False).tolist()
            for row in (support, query):
                if row not in kept:
                    kept[row] = F.normalize(encode(read_pixels(photos[row], data, size)), dim=1)
            found = nearest_prototype(kept[support], mask_of(truth, support), kept[query], number)
            target = mask_of(truth, query)
            known = target != IGNORE
            together += float((found & (target == number) & known).sum())
            either += float(((found | (target == number)) & known).sum())
        figures[name] = together / either
    return Table(figures)


def nearest_prototype(support: Tensor, support_mask: Tensor, query: Tensor, number: int) -> Tensor:
    """(S, S) bool: where the query is nearer to the support's object than to its background."""
    both = torch.stack((support_mask == number, support_mask != IGNORE)).float()[None]
    shares = F.interpolate(both, support.shape[-2:], mode="area")[0]
    vectors, _ = prototypes(support, shares[:1], shares[1:])
    logits = torch.einsum("bchw,bkc->bkhw", query, vectors)
    logits = F.interpolate(logits, (MASK_SIZE, MASK_SIZE), mode="bilinear", align_corners=False)
    return logits[0, 1] > logits[0, 0]


def class_rows(truth: Truth, names: Sequence[str]) -> dict[str, list[int]]:
    """Photos that show each concept on more than 1 % of their area, by its name."""
    rows: dict[str, list[int]] = {}
    for i in np.flatnonzero(truth.row >= 0):
        shares = np.bincount(truth.masks[truth.row[i]].ravel(), minlength=256)[:IGNORE] / MASK_SIZE**2
        for number in np.flatnonzero(shares > LEAST).tolist():
            if number:
                rows.setdefault(names[number], []).append(int(i))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    args = _parser().parse_args(arguments)
    torch.set_num_threads(args.threads)
    table = ConceptTable.load()
    photos, truth = load_photos(args.data, args.split, table, args.limit)
    model = load_mini(args.model)
    about = {"split": args.split, "size": args.size, "seed": args.seed, "photos": len(photos)}
    figures: dict[str, Any] = {**about, "prototype_iou": _prototypes(args, model, table, photos, truth)}
    if not args.only_prototypes:
        figures |= _words(args, model, table, photos, truth)
    if args.out:
        results = read_figures(args.out).get("results", {})  # of other commands
        write_figures(args.out, clean({**figures, "results": results}))


def _prototypes(
    args: argparse.Namespace, model: MiniEncoder, table: ConceptTable, photos: list[Photo], truth: Truth
) -> dict[str, dict[str, float]]:
    encoders: dict[str, tuple[Encode, int]] = {"mini": (lambda x: model.encode(x)[1][0], args.size)}
    if args.teachers and args.compare:
        vit = load_module(args.teachers).load_teacher("vit_tiny16")
        encoders["vit_tiny16"] = (lambda x: vit.features(x)["block11"], TEACHER_SIZE)
    figures = {}
    for kind, (rows, classes) in _tasks(photos).items():
        part, known = subset(photos, truth, rows)
        for name, (encode, size) in encoders.items():
            with torch.inference_mode():
                found = prototype_iou(
                    encode, part, known, table.names, args.data,
                    size=size, episodes=args.episodes, seed=args.seed, classes=classes,
                )  # fmt: skip
            figures[f"{kind}/{name}@{size} px"] = {"mean": found.mean, **found.figures}
            each = {k: round(v, 2) for k, v in found.figures.items()}
            print(kind, name, f"{found.mean:.3f}", each, flush=True)
    return figures


def _words(
    args: argparse.Namespace, model: MiniEncoder, table: ConceptTable, photos: list[Photo], truth: Truth
) -> dict[str, Any]:
    """Figures of the text side; writes the table of the vocabulary beside them."""
    scores = score_words(model, photos, truth, args.data, size=args.size)
    labelled: dict[str, WordScore] = {}
    if args.cache and args.teachers:
        names = load_module(args.teachers).imagenet_classes(args.teachers)
        unseen, labels = never_cached(args.cache, table, names, args.labelled)
        labelled = score_labelled(model, unseen, labels, args.data, size=args.size)
    print(f"{'word':15s} photos  IoU  AUC (best cells)  accuracy  false")
    for name, score in scores.items():
        if score.iou is not None:
            numbers = (score.iou, score.auc, score.auc_best, score.accuracy, score.false)
            print(f"{name:15s} {score.photos:6d}", *("   -" if n is None else f"{n:4.2f}" for n in numbers))
    for title, found in (("with masks", scores), ("labelled", labelled)):
        aucs = [score.auc for score in found.values() if score.auc is not None]
        if aucs:
            print(f"presence, photos {title}: AUC {np.mean(aucs):.3f} over {len(aucs)} words")
    if args.out:
        write_table(args.out, model, masked_photos(args.data), scores, labelled)
    return {
        "words": {name: asdict(score) for name, score in scores.items()},
        "labelled": {name: asdict(score) for name, score in labelled.items()},
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m train.eval_mini", description="Measure mini on held-out photos."
    )
    parser.add_argument("--model", type=Path, required=True, help="folder with config.json and weights")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=("choose", "test"), default="choose")
    parser.add_argument("--teachers", type=Path, help="folder with teachers.py and its weights")
    parser.add_argument("--compare", action="store_true", help="measure the teacher's prototypes as well")
    parser.add_argument("--only-prototypes", action="store_true", help="leave the words out")
    parser.add_argument("--cache", type=Path, help="also measure on labelled photos that this cache lacks")
    parser.add_argument("--size", type=int, default=256, help="side of the photos; the preset's")
    parser.add_argument("--episodes", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="only so many photos")
    parser.add_argument("--labelled", type=int, default=1000, help="at most so many of those")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder for figures.json and vocabulary.csv")
    return parser


def _tasks(photos: Sequence[Photo]) -> dict[str, tuple[list[int], Sequence[str] | None]]:
    """Name of a measurement -> rows of its photos, and its classes."""
    rows = {s: [i for i, p in enumerate(photos) if p.source == s] for s in ("voc", "coco")}
    tasks: dict[str, tuple[list[int], Sequence[str] | None]] = {
        "voc": (rows["voc"], VOC_TEN),
        "coco": (rows["coco"], None),
        "coco_no_masks": (rows["coco"], split_rule()["coco_classes_without_masks"]),
    }
    return {name: task for name, task in tasks.items() if task[0]}


if __name__ == "__main__":
    main()
