"""Measure mini on photos it was not trained on, beside the teacher.

    python -m train.eval_mini --model assets/models/mini --data ../data-full --split choose
    python -m train.eval_mini --model assets/models/mini --data ../data-full --split test \
        --teachers ../shared/weights --out assets/models/mini

Three figures: how well plain prototypes of its features segment (one support, its true mask); how well
its text evidence outlines each concept where it is shown; how well its best cells tell whether a concept
is shown at all. ``choose`` are VOC training photos kept out of training, to decide between runs;
``test`` is for reporting only.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.encoders.mini import MiniEncoder, load_mini

from . import metrics
from .distill_cache import load_module, read_square
from .distill_data import Photo, list_photos, split_rule
from .distill_losses import POOLED, prototypes
from .distill_truth import IGNORE, MASK_SIZE, WITH_MASKS, ConceptTable, Truth, build_truth, label_numbers

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


def read_pixels(photo: Photo, data: Path, size: int) -> Tensor:
    """(1, 3, size, size) in [0, 1]."""
    return torch.from_numpy(read_square(data / photo.key, size)).permute(2, 0, 1)[None].float() / 255


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


def mask_of(truth: Truth, row: int) -> Tensor:
    """(160, 160) concept numbers of one photo."""
    return torch.from_numpy(truth.masks[truth.row[row]])


def class_rows(truth: Truth, names: Sequence[str]) -> dict[str, list[int]]:
    """Photos that show each concept on more than 1 % of their area, by its name."""
    rows: dict[str, list[int]] = {}
    for i in np.flatnonzero(truth.row >= 0):
        shares = np.bincount(truth.masks[truth.row[i]].ravel(), minlength=256)[:IGNORE] / MASK_SIZE**2
        for number in np.flatnonzero(shares > LEAST).tolist():
            if number:
                rows.setdefault(names[number], []).append(int(i))
    return rows


@torch.no_grad()
def evidence_figures(
    model: MiniEncoder, photos: Sequence[Photo], truth: Truth, data: Path, *, size: int
) -> tuple[Table, Table, dict[str, int]]:
    """IoU of the text evidence where a concept is shown, and ROC AUC of its best cells for "shown".

    A cell belongs to the concept with the highest logit of the whole vocabulary.

    Returns:
        IoU by concept, AUC by concept, number of photos that show it.
    """
    names = [c.name for c in model.vocabulary.concepts]
    together, either = np.zeros(len(names)), np.zeros(len(names))
    best = np.zeros((len(photos), len(names)), np.float32)
    for i, photo in enumerate(photos):
        logits = model.network.concept_logits(model.encode(read_pixels(photo, data, size))[0])
        best[i] = best_cells(logits)
        found = F.interpolate(logits, (MASK_SIZE, MASK_SIZE), mode="bilinear")[0].argmax(0)
        target = mask_of(truth, i)
        known = target != IGNORE
        for number in np.flatnonzero((truth.state[i] == 1) & truth.complete[i]):
            together[number] += float((known & (found == number) & (target == number)).sum())
            either[number] += float((known & ((found == number) | (target == number))).sum())
    state = np.where(truth.complete, truth.state, -1)
    counts = (state == 1).sum(0)
    scored = [i for i in range(1, len(names)) if counts[i] >= FEWEST]
    iou = {names[i]: float(together[i] / either[i]) for i in scored}
    auc = {names[i]: roc_auc(best[state[:, i] == 1, i], best[state[:, i] == 0, i]) for i in scored}
    return Table(iou), Table(auc), {names[i]: int(counts[i]) for i in scored}


@torch.no_grad()
def labelled_figures(
    model: MiniEncoder, photos: Sequence[Photo], labels: Sequence[int], data: Path, *, size: int
) -> dict[str, dict[str, float]]:
    """How well each concept's best cells tell the photos labelled with it from the other photos.

    Args:
        model: to measure.
        photos: N photos with one label each.
        labels: concept of each photo.
        data: the data folder.
        size: side to which photos are stretched, in pixels.

    Returns:
        Concept name -> "photos" (how many) and "auc".
    """
    best = np.stack(
        [
            best_cells(model.network.concept_logits(model.encode(read_pixels(p, data, size))[0]))
            for p in photos
        ]
    )
    given = np.asarray(labels)
    figures = {}
    for number, concept in enumerate(model.vocabulary.concepts):
        shown = given == number
        if shown.sum() >= FEWEST:
            auc = roc_auc(best[shown, number], best[~shown, number])
            figures[concept.name] = {"photos": int(shown.sum()), "auc": auc}
    return figures


def best_cells(logits: Tensor) -> np.ndarray:
    """(1, V, h, w) -> (V,) mean of each concept's best cells."""
    flat = logits.flatten(2)
    return flat.topk(max(1, round(POOLED * flat.shape[2])), dim=2).values.mean(2)[0].numpy()


def never_cached(
    cache: Path, table: ConceptTable, imagenet_names: Sequence[str], limit: int
) -> tuple[list[Photo], list[int]]:
    """Labelled photos that a cache did not reach, so that no run on it can have seen them, and their labels.

    At most ``limit`` photos, at most 20 of one label.
    """
    done = json.loads((cache / "done.json").read_text())
    photos = [Photo(**row) for row in json.loads((cache / "photos.json").read_text())[done:]]
    labels = label_numbers(table, imagenet_names)
    counts: Counter[int] = Counter()
    kept: list[Photo] = []
    numbers: list[int] = []
    for photo in photos:
        number = labels.get((photo.label or "").casefold(), -1)
        if photo.source != "coco2017" and number > 0 and counts[number] < 20 and len(kept) < limit:
            counts[number] += 1
            kept.append(photo)
            numbers.append(number)
    return kept, numbers


def roc_auc(shown: np.ndarray, absent: np.ndarray) -> float:
    """Chance that a photo that shows a thing scores higher than one that does not; a tie counts half."""
    if not len(shown) or not len(absent):
        return float("nan")
    truth = np.repeat([True, False], [len(shown), len(absent)])
    return metrics.roc_auc(np.concatenate((shown, absent)).tolist(), truth.tolist())


def load_photos(data: Path, split: str, table: ConceptTable, limit: int | None) -> tuple[list[Photo], Truth]:
    """Photos with masks of one split ("choose" or "test"), and what is known of them."""
    photos = [p for p in list_photos(data) if p.part == split and p.source in WITH_MASKS][:limit]
    unknown = np.zeros((len(photos), 1000), np.float16)
    return photos, build_truth(photos, data, table, unknown, imagenet_names=[""] * 1000)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Measure mini on held-out photos.")
    parser.add_argument("--model", type=Path, required=True, help="folder with config.json and weights")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=("choose", "test"), default="choose")
    parser.add_argument("--teachers", type=Path, help="folder with teachers.py and its weights")
    parser.add_argument("--compare", action="store_true", help="measure the teacher's prototypes as well")
    parser.add_argument("--only-prototypes", action="store_true", help="leave text evidence out")
    parser.add_argument("--cache", type=Path, help="also measure on labelled photos that this cache lacks")
    parser.add_argument("--size", type=int, default=400)
    parser.add_argument("--episodes", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="only so many photos")
    parser.add_argument("--labelled", type=int, default=1000, help="at most so many of those")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder for figures.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    table = ConceptTable.load()
    photos, truth = load_photos(args.data, args.split, table, args.limit)
    model = load_mini(args.model)
    figures: dict[str, object] = {
        "split": args.split,
        "size": args.size,
        "seed": args.seed,
        "photos": len(photos),
    }
    encoders: dict[str, tuple[Encode, int]] = {"mini": (lambda x: model.encode(x)[1][0], args.size)}
    if args.teachers and args.compare:
        vit = load_module(args.teachers).load_teacher("vit_tiny16")
        encoders["vit_tiny16"] = (lambda x: vit.features(x)["block11"], args.size // 16 * 16 - 16)
    for kind, (rows, classes) in _tasks(photos).items():
        part, known = _subset(photos, truth, rows)
        for name, (encode, size) in encoders.items():
            with torch.inference_mode():
                found = prototype_iou(
                    encode, part, known, table.names, args.data,
                    size=size, episodes=args.episodes, seed=args.seed, classes=classes,
                )  # fmt: skip
            figures[f"prototype_iou/{kind}/{name}"] = {"mean": found.mean, **found.figures}
            print(
                kind,
                name,
                f"{found.mean:.3f}",
                {k: round(v, 2) for k, v in found.figures.items()},
                flush=True,
            )
    if not args.only_prototypes:
        iou, auc, counts = evidence_figures(model, photos, truth, args.data, size=args.size)
        figures["evidence"] = {
            n: {"photos": counts[n], "iou": iou.figures[n], "auc": _or_none(auc.figures[n])} for n in counts
        }
        print(f"evidence IoU {iou.mean:.3f}, presence AUC {auc.mean:.3f} over {len(counts)} concepts")
        for name in counts:
            print(f"  {name:15s} {counts[name]:4d} IoU {iou.figures[name]:.2f} AUC {auc.figures[name]:.2f}")
    if args.cache and args.teachers:
        names = load_module(args.teachers).imagenet_classes(args.teachers)
        unseen, labels = never_cached(args.cache, table, names, args.labelled)
        labelled = labelled_figures(model, unseen, labels, args.data, size=args.size)
        figures["labelled"] = labelled
        mean = np.mean([row["auc"] for row in labelled.values()])
        print(f"labelled photos: presence AUC {mean:.3f} over {len(labelled)} concepts")
    if args.out:
        text = json.dumps(figures, indent=1)
        (args.out / "figures.json").write_text(text + "\n", encoding="utf-8")


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _tasks(photos: Sequence[Photo]) -> dict[str, tuple[list[int], Sequence[str] | None]]:
    """Name of a measurement -> rows of its photos, and its classes."""
    rows = {s: [i for i, p in enumerate(photos) if p.source == s] for s in ("voc", "coco")}
    tasks: dict[str, tuple[list[int], Sequence[str] | None]] = {
        "voc": (rows["voc"], VOC_TEN),
        "coco": (rows["coco"], None),
        "coco_no_masks": (rows["coco"], split_rule()["coco_classes_without_masks"]),
    }
    return {name: task for name, task in tasks.items() if task[0]}


def _subset(photos: Sequence[Photo], truth: Truth, rows: list[int]) -> tuple[list[Photo], Truth]:
    part = Truth(truth.masks, truth.row[rows], truth.state[rows], truth.label[rows], truth.complete[rows])
    return [photos[i] for i in rows], part


if __name__ == "__main__":
    main()
