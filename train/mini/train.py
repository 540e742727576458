"""Fine-tune mini's trunk and heads.

    python -m train.mini.train --data ../data-full --run ../runs/mini

The trunk's start weights are timm's ``vit_tiny_patch16_224.augreg_in21k_ft_in1k``, from the hub or from the
models folder; ``--trunk FILE`` names another file with the same tensors. The command trains, and goes on
where it stopped when it is given again. ``python -m train.mini.export`` writes the run's model.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lfss.encoders.mini_network import READ, Maps, Mini, MiniConfig
from lfss.encoders.vit import PATCH, VisionTransformer
from lfss.weights import find_file, load_into, read_state

from .. import cli
from . import losses
from .batches import Batch, Sampler
from .concepts import SURROUNDINGS, ConceptTable, imagenet_names, imagenet_synsets
from .photos import list_photos, split_rule
from .truth import Known, Truth, unmarked_concepts, without

TRUNK = "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"
RECIPE = Path(__file__).parent / "recipe.json"
CHECKPOINT = "checkpoint.pt"
SAVE_SECONDS = 150
LOG_STEPS = 10


@dataclass(frozen=True)
class Stage:
    """Steps with crops of ``size`` pixels: ``pairs`` of them and ``singles``, ``zoom`` the smallest window
    as a share of the photo; the tokens of ``kept`` crops are held near the original network's."""

    steps: int
    size: int
    zoom: float
    pairs: int
    singles: int
    kept: int


@dataclass(frozen=True)
class Recipe:
    """All that a run depends on, beside its data; ``frozen`` first blocks of the trunk stay as they are."""

    seed: int
    frozen: int
    stages: tuple[Stage, ...]
    trunk_rate: float
    head_rate: float
    weight_decay: float
    warmup: int
    decay: int
    average: float
    groups: dict[str, float]
    weights: dict[str, float]
    exclude: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Recipe:
        """From a recipe file or a checkpoint."""
        stages = tuple(Stage(**s) for s in value["stages"])
        return cls(**{**value, "stages": stages, "exclude": tuple(value["exclude"])})

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

    def pace(self, step: int) -> float:
        """Share of the learning rates: a linear start, constant, a linear end over ``decay`` steps.

        So the length of a run can be changed while it runs.
        """
        return min(1.0, (step + 1) / self.warmup, (self.steps - step) / self.decay)


class Original(nn.Module):
    """The network before fine-tuning: blocks after the frozen ones, and the last norm."""

    def __init__(self, trunk: VisionTransformer, frozen: int):
        super().__init__()
        self.trunk, self.frozen = deepcopy(trunk).eval().requires_grad_(False), frozen

    @torch.no_grad()
    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, D) after the frozen blocks -> the same after block 8 and, normalised, after block 11."""
        block8, block11 = self.trunk.run(tokens, self.frozen, READ)
        return block8, self.trunk.norm(block11)


def read_trunk(path: Path | None, models_dir: Path | None = None) -> dict[str, Tensor]:
    """The public weights with their ImageNet classifier, as float32, by name and in timm's shapes.

    Raises:
        WeightsUnavailable: they are neither here nor to be had.
    """
    state = read_state(path or find_file(TRUNK, "model.safetensors", models_dir=models_dir))
    return {name: value.float() for name, value in state.items()}


def begin(state: Mapping[str, Tensor], table: ConceptTable, config: MiniConfig) -> Mini:
    """A network that starts from the public weights, its concepts from the classifier's rows.

    Args:
        state: of ``read_trunk``.
        table: V concepts; each starts as the mean of its ImageNet classes, (D,).
        config: of the network.
    """
    network = Mini(config)
    trunk = {k: v for k, v in state.items() if not k.startswith("head.")}
    load_into(network.trunk, trunk, source="The trunk's weights")
    member = torch.from_numpy(table.imagenet()).float()
    share = member / member.sum(1, keepdim=True).clamp_min(1)
    with torch.no_grad():
        for head, offset in ((network.direct, 0.0), (network.shown, -5.0)):
            head.weight.copy_(share @ state["head.weight"])
            head.bias.copy_(share @ state["head.bias"] + offset)
        network.learnt.weight.mul_(0.1)
    return network


def look(network: Mini, original: Original, pixels: Tensor, kept: Tensor) -> tuple[Maps, Tensor, Tensor]:
    """Maps of a batch, what its crops show (B, V), and how far tokens moved from the original network's.

    Args:
        network: in training.
        original: what it started as.
        pixels: (B, 3, S, S) in [0, 1].
        kept: numbers of the crops whose tokens are compared.
    """
    x = network.tower(pixels)
    grid = (x.shape[-2] // PATCH, x.shape[-1] // PATCH)
    with torch.no_grad():
        tokens = network.trunk.embed(x)
        if original.frozen:
            (tokens,) = network.trunk.run(tokens, 0, [original.frozen - 1])
    block8, block11 = network.trunk.run(tokens, original.frozen, READ)
    block11 = network.trunk.norm(block11)
    wanted8, wanted11 = original(tokens[kept])
    moved = losses.token_loss(block11[kept], wanted11) + 0.5 * losses.token_loss(block8[kept], wanted8)
    # The class token alone tells what the picture shows, and is one of many.
    moved = moved + 0.5 * losses.token_loss(block11[kept, :1], wanted11[:, :1])
    maps = network.heads(block8, block11, grid)
    return maps, network.shown(maps.whole), moved


def training_loss(
    maps: Maps, shown: Tensor, moved: Tensor, batch: Batch, weights: Mapping[str, float], surroundings: Tensor
) -> dict[str, Tensor]:
    """The weighted parts of the loss, a scalar each, by name.

    Args:
        maps, shown, moved: of ``look``.
        batch: what it was made of.
        weights: of the parts.
        surroundings: (V,) bool, see ``losses.evidence_loss``.
    """
    paired = slice(0, len(batch.mask))
    parts = {
        "episode": losses.episode_loss(maps.match[paired], batch.mask, batch.weight),
        "evidence": losses.evidence_loss(
            maps.concepts, batch.targets, batch.complete, batch.label, surroundings
        ),
        "shown": losses.shown_loss(shown, batch.state),
        "tokens": moved,
    }
    return {name: weights[name] * value for name, value in parts.items()}


class Run:
    """A training run: network, its running average, optimiser, and the step it has come to."""

    def __init__(self, recipe: Recipe, network: Mini, folder: Path):
        self.recipe, self.network, self.folder, self.step = recipe, network, folder, 0
        self.original = Original(network.trunk, recipe.frozen)
        trunk = network.trunk
        for part in (trunk.patch_embed, *trunk.blocks[: recipe.frozen]):
            part.requires_grad_(False)
        for parameter in (trunk.cls_token, trunk.pos_embed):
            parameter.requires_grad_(False)
        slow = [*trunk.parameters(), *network.direct.parameters()]
        fast = [p for p in network.parameters() if not any(p is s for s in slow)]
        self.groups = [(slow, recipe.trunk_rate), (fast, recipe.head_rate)]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in found if p.requires_grad and (p.ndim > 1) == matrix],
                 "lr": rate, "rate": rate, "weight_decay": recipe.weight_decay if matrix else 0.0}
                for found, rate in self.groups
                for matrix in (True, False)
            ]
        )  # fmt: skip
        self.average = {k: v.clone() for k, v in network.state_dict().items()}

    def resume(self) -> None:
        """Go on from the folder's checkpoint, if there is one."""
        if (self.folder / CHECKPOINT).exists():
            saved = torch.load(self.folder / CHECKPOINT)
            self.network.load_state_dict(saved["network"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.average, self.step = saved["average"], saved["step"]

    def save(self, more: Mapping[str, Any]) -> None:
        """Write the checkpoint in one move."""
        value = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "recipe": asdict(self.recipe),
            "network_config": asdict(self.network.config),
        }
        part = self.folder / (CHECKPOINT + ".part")
        torch.save({**value, **more}, part)
        part.replace(self.folder / CHECKPOINT)

    def learn(self, batch: Batch, kept: Tensor, surroundings: Tensor) -> dict[str, Tensor]:
        """One step; returns the parts of the loss, a scalar each.

        Args:
            batch: of B crops.
            kept: (M,) numbers of the crops whose tokens are kept near the original network's.
            surroundings: (V,) bool, see ``losses.evidence_loss``.
        """
        maps, shown, moved = look(self.network, self.original, batch.pixels, kept)
        parts = training_loss(maps, shown, moved, batch, self.recipe.weights, surroundings)
        pace = self.recipe.pace(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = group["rate"] * pace
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        follow(self.average, self.network.state_dict(), min(self.recipe.average, self.step / (self.step + 9)))
        return parts


@torch.no_grad()
def follow(average: dict[str, Tensor], now: Mapping[str, Tensor], keep: float) -> None:
    """Move a running average of weights towards the present ones of the same shapes, in place."""
    for name, value in now.items():
        average[name].lerp_(value, 1 - keep)


def train(run: Run, sampler: Sampler, surroundings: Tensor, more: Mapping[str, Any]) -> None:
    """Train to the end of the recipe's stages.

    Args:
        run: where it begins or goes on.
        sampler: of batches; seeded anew from the step at a resume, so no crop is drawn twice.
        surroundings: (V,) bool, see ``losses.evidence_loss``.
        more: kept in the checkpoint, for the export.
    """
    recipe = run.recipe
    run.network.train()
    sampler.rng = np.random.default_rng([recipe.seed, run.step])
    saved_at = began = time.time()
    for batch, kept in ahead(sampler, recipe, run.step):
        parts = run.learn(batch, kept, surroundings)
        if run.step % LOG_STEPS == 0 or run.step == recipe.steps:
            _log(run.folder / "log.csv", run.step, (time.time() - began) / LOG_STEPS, parts)
            began = time.time()
        if time.time() - saved_at > SAVE_SECONDS or run.step == recipe.steps:
            run.save(more)
            saved_at = time.time()


def ahead(sampler: Sampler, recipe: Recipe, first: int) -> Iterator[tuple[Batch, Tensor]]:
    """Batches of the steps from ``first`` on, each with (M,) the crops to keep near the original network.

    A thread draws the next batch while the present one is learnt from.
    """

    def draw(step: int) -> tuple[Batch, Tensor]:
        stage = recipe.stage(step)
        batch = sampler.draw(stage.pairs, stage.singles, stage.size, stage.zoom)
        # Single crops, which no mask teaches, are always kept near the original; of the pairs some.
        paired = 2 * stage.pairs
        others = sampler.rng.permutation(paired)[: stage.kept - stage.singles]
        return batch, torch.from_numpy(np.concatenate((others, np.arange(paired, paired + stage.singles))))

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(draw, first)
        for step in range(first, recipe.steps):
            ready = coming.result()
            if step + 1 < recipe.steps:
                coming = pool.submit(draw, step + 1)
            yield ready


def _log(path: Path, step: int, seconds: float, parts: Mapping[str, Tensor]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", "seconds", *parts])
        writer.writerow([step, f"{seconds:.2f}", *(f"{v.item():.4f}" for v in parts.values())])


def trained_photos(data: Path, truth: Truth, exclude: Sequence[str]) -> list[Known]:
    """What is known of the photos that are trained on, without those that show an excluded concept.

    What is left does not say that an excluded concept is absent either: it is as unknown as a word without
    masks.
    """
    hidden = {truth.table.names.index(name) for name in exclude}
    found = (truth.of(photo) for photo in list_photos(data) if photo.part == "train")
    return [
        replace(known, complete=tuple(c for c in known.complete if c not in hidden))
        for known in without(found, hidden)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return cli.run(_run, _parser().parse_args(arguments), stopped=cli.GOES_ON)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("mini.train", __doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with voc/, coco/, ... photos/")
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoint and log")
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--trunk", type=Path, help="a file with the start weights, instead of the hub's")
    parser.add_argument("--exclude", default="", help="concepts whose photos are left out: cat,cow")
    parser.add_argument("--threads", type=int, default=2)
    return parser


def _run(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    options.run.mkdir(parents=True, exist_ok=True)
    value = json.loads(options.recipe.read_text(encoding="utf-8"))
    if options.exclude:
        value["exclude"] = options.exclude.split(",")
    recipe = Recipe.from_json(value)
    names = imagenet_names()
    table = ConceptTable.load(names)
    truth = Truth(options.data, table, table.labels(names, imagenet_synsets()))
    known = trained_photos(options.data, truth, recipe.exclude)
    print(f"{len(known)} photos, {len(table.names)} concepts", flush=True)
    sampler = Sampler(
        options.data, known, concepts=len(table.names), unmarked=unmarked_concepts(table),
        never={table.names.index(n) for n in split_rule()["coco_classes_without_masks"]},
        groups=recipe.groups, rng=np.random.default_rng(recipe.seed),
    )  # fmt: skip
    torch.manual_seed(recipe.seed)
    run = Run(recipe, begin(read_trunk(options.trunk), table, MiniConfig(len(table.names))), options.run)
    run.resume()
    surroundings = torch.tensor([name in SURROUNDINGS for name in table.names])
    train(run, sampler, surroundings, {"concepts": [asdict(c) for c in table.concepts(names)]})


if __name__ == "__main__":
    sys.exit(main())
