"""Train mini: the embedded model of ``assets/models/mini``.

    python -m train.distill --config train/configs/mini.json --data ../data-full \
        --teachers ../shared/weights --cache ../cache-mini --run ../runs/mini
    python -m train.distill --run ../runs/mini --data ../data-full --export assets/models/mini

The first command trains, and goes on where it stopped when it is given again; where its checkpoint is
gone, ``--begin assets/models/mini`` goes on from the model. The second writes what
the run has so far as a model. ``train.distill_cache`` fills the cache, before or meanwhile.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lfss.encoders.mini import Mini, MiniConfig, mini_config
from lfss.encoders.vocabulary import Vocabulary
from lfss.weights import load_into, load_model, save_model

from .mini import losses
from .mini.batches import Batch, Cache, Sampler
from .mini.cache import TOKENS, load_module
from .mini.names import name_cosines, words_near
from .mini.photos import list_photos, split_rule
from .mini.truth import IGNORE, WITH_MASKS, ConceptTable, build_truth, read_coco, read_mask

CHECKPOINT = "checkpoint.pt"
SAVE_SECONDS = 120
LOG_STEPS = 20
ENOUGH = 20  # masked photos after which a concept is half believed


@dataclass(frozen=True)
class Stage:
    """Steps at one crop size; ``zoom`` is the smallest window as a share of the photo."""

    steps: int
    size: int
    zoom: float


@dataclass(frozen=True)
class TrainConfig:
    """All that a run depends on, beside its data."""

    seed: int
    pairs: int
    singles: int
    drawn_share: float
    stages: tuple[Stage, ...]
    learning_rate: float
    weight_decay: float
    warmup: int
    decay: int
    average: float
    weights: dict[str, float]
    exclude: tuple[str, ...] = ()
    restarts: tuple[int, ...] = ()

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> TrainConfig:
        """From a config file or a checkpoint."""
        lists = {name: tuple(value.get(name, ())) for name in ("exclude", "restarts")}
        return cls(**{**value, "stages": tuple(Stage(**s) for s in value["stages"]), **lists})

    @property
    def steps(self) -> int:
        """Of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage(self, step: int) -> Stage:
        """The stage that a step belongs to."""
        for stage in self.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        return self.stages[-1]

    def rate(self, step: int) -> float:
        """Learning rate: a linear start, then constant, a linear end over ``decay`` steps.

        So the length of a run can be changed while it runs; a cosine would have to know it before. A run
        that had come to its end can be made longer by naming that step in ``restarts``: there the rate,
        down at nothing, starts once more.
        """
        begin = max(s for s in (0, *self.restarts) if s <= step)
        end = min(s for s in (*self.restarts, self.steps) if s > step)
        return self.learning_rate * min(1.0, (step - begin + 1) / self.warmup, (end - step) / self.decay)


class Student(nn.Module):
    """Mini, and the heads that only training needs: one for each teacher layer."""

    def __init__(self, config: MiniConfig):
        super().__init__()
        self.mini = Mini(config)
        self.tokens = nn.ModuleList(nn.Conv2d(config.width, dim, 1) for dim in TOKENS.values())


def training_loss(
    student: Student, batch: Batch, weights: dict[str, float], near: Tensor | None
) -> dict[str, Tensor]:
    """The weighted parts of the loss, by name.

    Args:
        student: in training mode.
        batch: see ``Batch``.
        weights: of the parts.
        near: (V, V) cosine of the concepts' names in a language model, NaN where unknown; None for none.
    """
    maps = student.mini.maps(batch.pixels)
    dense, features = student.mini.heads(maps)
    # Every second cell is enough to teach names, and saves a fifth of a step.
    logits = student.mini.concept_logits(dense[:, :, ::2, 1::2])
    target = batch.target[:, ::2, 1::2]
    coarse = F.adaptive_avg_pool2d(maps, batch.tokens[0].shape[-1])
    tokens = [losses.token_loss(head(coarse), target) for head, target in zip(student.tokens, batch.tokens)]
    paired = slice(0, len(batch.mask))
    parts = {
        "tokens": tokens[0] + 0.3 * tokens[1],
        "episode": losses.episode_loss(features[paired], batch.mask, batch.weight),
        "evidence": losses.evidence_loss(logits, target, batch.allowed),
        "cells": losses.cell_presence_loss(logits, target),
        "presence": losses.presence_loss(logits, batch.state),
    }
    if near is not None:
        table = F.normalize(student.mini.table, dim=1)
        known = ~near.isnan()
        parts["names"] = ((table @ table.T)[known] - near[known]).square().mean()
    return {name: weights[name] * value for name, value in parts.items()}


def start(
    config: TrainConfig, concepts: int, run: Path, begin: Path | None = None
) -> tuple[Student, dict[str, Tensor], Any, int]:
    """Student, its running average, optimiser and the next step; from the checkpoint if there is one.

    Without a checkpoint the weights are random, or those of the exported model ``begin``: then the step is
    the one it was exported at, and only what training alone needs (teacher heads, optimiser) starts anew.

    Raises:
        WeightsUnavailable, WeightsMismatch: ``begin`` cannot be read, or knows other concepts.
    """
    torch.manual_seed(config.seed)
    student = Student(MiniConfig(concepts=concepts))
    step = 0
    if begin is not None and not (run / CHECKPOINT).exists():
        about, state = load_model(begin)
        known = student.mini.state_dict()  # the file also holds the judge of presence
        state = {k: v.to(known[k].dtype) for k, v in state.items() if k in known}
        load_into(student.mini, state, source=f"The weights in '{begin}'")
        step = int(about["training"]["steps"])
    matrices = [p for p in student.parameters() if p.ndim > 1]
    vectors = [p for p in student.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=config.learning_rate,
    )
    average = {k: v.clone() for k, v in student.mini.state_dict().items()}
    if (run / CHECKPOINT).exists():
        saved = torch.load(run / CHECKPOINT)
        student.load_state_dict(saved["student"])
        optimiser.load_state_dict(saved["optimiser"])
        average, step = saved["average"], saved["step"]
    return student, average, optimiser, step


def save(
    run: Path, student: Student, average: dict[str, Tensor], optimiser: Any, step: int, more: dict[str, Any]
) -> None:
    """Write the checkpoint in one move."""
    value = {
        "student": student.state_dict(),
        "average": average,
        "optimiser": optimiser.state_dict(),
        "step": step,
    }
    part = run / (CHECKPOINT + ".part")
    torch.save({**value, **more}, part)
    part.replace(run / CHECKPOINT)


def train(
    config: TrainConfig, sampler: Sampler, near: Tensor | None, run: Path, more: dict[str, Any],
    begin: Path | None = None,
) -> None:  # fmt: skip
    """Train to the end of the config's stages, or go on from the run's checkpoint.

    Args:
        config: what to do.
        sampler: of batches; seeded anew from the step at a resume, so no crop is drawn twice.
        near: see ``training_loss``.
        run: folder for checkpoint.pt and log.csv.
        more: kept in the checkpoint, for the export.
        begin: see ``start``.
    """
    run.mkdir(parents=True, exist_ok=True)
    concepts = len(more["concepts"])
    student, average, optimiser, first = start(config, concepts, run, begin)
    student.train()
    sampler.rng = np.random.default_rng([config.seed, first])
    saved_at = time.time()
    for step in range(first, config.steps):
        began = time.time()
        stage = config.stage(step)
        batch = sampler.draw(
            config.pairs, config.singles, stage.size, drawn_share=config.drawn_share, zoom=stage.zoom
        )
        parts = training_loss(student, batch, config.weights, near)
        loss = torch.stack(list(parts.values())).sum()
        for group in optimiser.param_groups:
            group["lr"] = config.rate(step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        optimiser.step()
        _follow(average, student.mini.state_dict(), min(config.average, (step + 1) / (step + 10)))
        if step % LOG_STEPS == 0 or step + 1 == config.steps:
            _log(run / "log.csv", step, stage.size, time.time() - began, parts)
        if time.time() - saved_at > SAVE_SECONDS or step + 1 == config.steps:
            save(run, student, average, optimiser, step + 1, more)
            saved_at = time.time()


@torch.no_grad()
def _follow(average: dict[str, Tensor], now: dict[str, Tensor], keep: float) -> None:
    for name, value in now.items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - keep)
        else:
            average[name].copy_(value)


def _log(path: Path, step: int, size: int, seconds: float, parts: dict[str, Tensor]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", "size", "seconds", *parts])
        writer.writerow([step, size, f"{seconds:.2f}", *(f"{v.item():.4f}" for v in parts.values())])


def export(run: Path, folder: Path, data: Path | None = None) -> None:
    """Write the run's averaged weights as a model, floats as float16.

    Args:
        run: the training's folder.
        folder: where the model goes.
        data: the photos it was trained on, to count the masks behind each concept; trust is 1 without.
    """
    saved = torch.load(run / CHECKPOINT)
    trust = trust_of(masked_photos(data, saved["config"]["exclude"])) if data else None
    concepts = [
        {**c, "trust": 1.0 if trust is None else trust.get(c["name"], 0.0)} for c in saved["concepts"]
    ]
    vocabulary = Vocabulary.from_json(concepts, saved["near"])
    network = Mini(MiniConfig(concepts=len(vocabulary.concepts)))
    network.load_state_dict(saved["average"])
    state = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    training = {"steps": saved["step"], "config": saved["config"]}
    save_model(folder, state, {**mini_config(network, vocabulary), "training": training})


def masked_photos(data: Path, excluded: Sequence[str] = ()) -> Counter[str]:
    """In how many training photos each concept is marked by a mask."""
    table = ConceptTable.load()
    coco = read_coco(data) if (data / "coco").is_dir() else None
    unseen = {*split_rule()["coco_classes_without_masks"], *excluded}
    counts: Counter[str] = Counter()
    for photo in list_photos(data):
        if photo.part == "train" and photo.source in WITH_MASKS:
            numbers = np.unique(read_mask(photo, data, table, coco))
            shown = {table.names[n] for n in numbers.tolist() if n not in (0, IGNORE)}
            if not shown & unseen:
                counts.update(shown)
    return counts


def trust_of(masked: Mapping[str, int]) -> dict[str, float]:
    """Concept name -> how far its text may be believed, from the number n of masked training photos.

    n / (n + ENOUGH): a rule of the training data alone, so that no photo for measuring decides it. A
    concept without a mask was never outlined, and is treated as a word that is not known.
    """
    return {name: round(n / (n + ENOUGH), 2) for name, n in masked.items()} | {"background": 1.0}


def prepare(
    config: TrainConfig, data: Path, teachers: Path, cache_folder: Path
) -> tuple[Sampler, Tensor, dict[str, Any]]:
    """Open the cache, collect what is known of its photos, and make the sampler."""
    module = load_module(teachers)
    imagenet_names = module.imagenet_classes(teachers)
    table = ConceptTable.load()
    cache = Cache.open(cache_folder)
    truth = build_truth(
        cache.photos, data, table, cache.logits, imagenet_names=imagenet_names, excluded=config.exclude
    )
    unseen = {*split_rule()["coco_classes_without_masks"], *config.exclude}
    sampler = Sampler(cache, truth, table, unseen, np.random.default_rng(config.seed))
    names, vectors = module.clip_text_vocabulary(teachers)
    vocabulary = Vocabulary(table.concepts(imagenet_names))
    more = {
        "concepts": [asdict(c) for c in vocabulary.concepts],
        "near": words_near(vocabulary, names, vectors),
        "config": asdict(config),
    }
    return sampler, name_cosines(table, names, vectors), more


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Train mini, or export what a run has so far.")
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoint and log")
    parser.add_argument("--export", type=Path, help="write the run's model to this folder and stop")
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "configs" / "mini.json")
    parser.add_argument("--data", type=Path, help="folder with voc/, coco/, ... photos/")
    parser.add_argument("--teachers", type=Path, help="folder with teachers.py and its weights")
    parser.add_argument("--cache", type=Path, help="folder that train.distill_cache fills")
    parser.add_argument("--exclude-classes", default="", help="concepts whose masks are not used: cat,cow")
    parser.add_argument(
        "--begin", type=Path, metavar="MODEL", help="without a checkpoint: go on from this model"
    )
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(arguments)
    if args.export:
        export(args.run, args.export, args.data)
        return
    if not (args.data and args.teachers and args.cache):
        parser.error("training needs --data, --teachers and --cache")
    torch.set_num_threads(args.threads)
    value = json.loads(args.config.read_text(encoding="utf-8"))
    if args.exclude_classes:
        value["exclude"] = args.exclude_classes.split(",")
    config = TrainConfig.from_json(value)
    sampler, near, more = prepare(config, args.data, args.teachers, args.cache)
    train(config, sampler, near, args.run, more, args.begin)


if __name__ == "__main__":
    main()
