"""What a fold costs on this machine: its maps, its training and its test, with and without the cache.

::

    python -m train.bench_fold --data ../shared/data --preset train.teachers:vit

A sample of the episodes of ``train/configs/portable.json`` is run three times: with encoders that forget,
with an empty cache of encoder outputs, and with that cache filled. A few steps of the portable decoder are
timed on the same maps, and a few episodes of the test as ``train.evaluate`` scores them. From these the
whole fold follows: the recipe's episodes and steps, and a test of 1,000 one-shot episodes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lfss.methods.lfss import LfssConfig
from lfss.predictor import Predictor
from lfss.presets import find_preset

from . import cli
from .data import benchmark
from .data.datasets import DataSet
from .data.episodes import sample_episodes
from .data.remember import remember
from .decoders.learning import Recipe
from .decoders.portable import PortableLearner
from .maps import Task, draw_tasks, mark_unknown_words, open_sources, run_task, shrink
from .measure.scoring import Settings, score_episode
from .measure.stopwatch import CLOCKS, Clock

CONFIG = Path(__file__).parent / "configs" / "portable.json"


def seconds_a_task(
    tasks: Sequence[Task], sources: Sequence[DataSet], predictor: Predictor, clock: Clock
) -> tuple[float, list[dict[str, Tensor]]]:
    """Seconds of an episode's maps, and the maps with what they should become; shapes as ``train.maps``.

    Args:
        tasks: episodes.
        sources: their data sets.
        predictor: whose maps are made.
        clock: reads the time.
    """
    start, made = clock(), []
    for task in tasks:
        tensors, query = run_task(task, sources[task.source], predictor)
        picture = torch.from_numpy(shrink(query.image.pixels)).permute(2, 0, 1) / 255
        truth = (query.mask, ~query.ignore)
        target, valid = (torch.from_numpy(shrink(m.astype("float32"))) for m in truth)
        maps, logits = tensors["maps"][0].cpu().clone(), tensors["training_free"][0].cpu().clone()
        made.append({"maps": maps, "logits": logits, "picture": picture, "target": target, "valid": valid})
    return (clock() - start) / len(tasks), made


def seconds_a_step(
    examples: Sequence[dict[str, Tensor]], recipe: Recipe, clock: Clock, steps: int = 8
) -> float:
    """Seconds of one step of the portable decoder; the first does not count.

    Tensors have the shapes that ``train.maps`` states.

    Args:
        examples: from ``seconds_a_task``.
        recipe: of the training.
        clock: reads the time.
        steps: how many are timed.
    """
    chosen = [examples[i % len(examples)] for i in range(recipe.batch)]
    batch = {name: torch.stack([e[name].float() for e in chosen]) for name in chosen[0]}
    learner = PortableLearner(recipe, [])
    learner.log = lambda *given, **named: None  # type: ignore[method-assign]  # there is no trainer
    optimiser = torch.optim.AdamW(learner.network.parameters(), recipe.rate)
    start = 0.0
    for step in range(steps + 1):
        if step == 1:
            start = clock()
        optimiser.zero_grad()
        learner.training_step(batch).backward()
        optimiser.step()
    return (clock() - start) / steps


def seconds_a_test(
    data: DataSet, classes: Sequence[str], predictor: Predictor, count: int, clock: Clock
) -> float:
    """Seconds of a one-shot episode of the test, its pictures encoded before.

    Args:
        data: pictures to test on.
        classes: that are asked for.
        predictor: what is tested.
        count: episodes.
        clock: reads the time.
    """
    specs = sample_episodes(data, classes, shots=1, count=count, seed=0).episodes
    settings = Settings(predictor.preset.name, "mask", "native", (), presence=False)
    start = 0.0
    for round_ in range(2):  # the first encodes
        start = clock()
        for i, spec in enumerate(specs):
            score_episode(predictor, data, spec, settings, seed=round_, index=i)
    return (clock() - start) / count


def measure(
    data: Path, preset: str, *, config: dict[str, Any], count: int, group: str | None, cache: Path,
    clock: str = "wall",
) -> dict[str, Any]:  # fmt: skip
    """All seconds of one preset on this machine.

    Args:
        data: folder of the data sets.
        preset: name, or ``module:function``.
        config: which episodes, as for ``train.maps``.
        count: episodes of each sample.
        group: of ``train.data.benchmark``, for the test; None leaves the test out.
        cache: of the data sets' indices; encoder outputs go to a folder that is removed.
        clock: ``wall``, or ``processor`` for a machine that others use too (with one thread).
    """
    ticks = CLOCKS[clock]
    chosen = find_preset(preset)
    method = replace(chosen.methods.get("lfss", LfssConfig()), decoder="none", keep_maps=True)
    forgets = Predictor.load(chosen.with_method("lfss", method))
    opened = open_sources(config, data, cache)
    sources = [source for source, _ in opened]
    tasks = mark_unknown_words(draw_tasks(config, opened), forgets)
    pictures = {(t.source, p) for t in tasks for p in (t.episode.query, *t.episode.supports)}
    sample = tasks[:count]
    seen = [(t.source, p) for t in sample for p in (t.episode.query, *t.episode.supports)]
    seconds_a_task(sample[:2], sources, forgets, ticks)  # warms up
    without, _ = seconds_a_task(sample, sources, forgets, ticks)
    with tempfile.TemporaryDirectory() as folder:
        empty, _ = remember(forgets, Path(folder), memory=0)
        first, _ = seconds_a_task(sample, sources, empty, ticks)
        filled, _ = remember(forgets, Path(folder), memory=0)
        again, made = seconds_a_task(sample, sources, filled, ticks)
    recipe = Recipe()
    step = seconds_a_step(made, recipe, ticks)
    test = 0.0
    if group:
        picked = benchmark.pick_group(group)
        reported = benchmark.reporting_set(picked, data, cache)
        kept, _ = remember(forgets, None)
        test = seconds_a_test(reported, benchmark.reported_classes(picked, reported), kept, count, ticks)
    picture = (first - again) * count / len(set(seen))
    episodes = len(tasks)
    fixed = recipe.steps * step + benchmark.EPISODES * test
    return {
        "preset": chosen.name,
        "threads": torch.get_num_threads(),
        "seconds": {
            "an episode's maps, encoders forget": without,
            "an episode's maps, cache filled": again,
            "a picture, encoded and stored": picture,
            f"a step of {recipe.batch} episodes": step,
            "an episode of the test, cache filled": test,
        },
        "fold": {"episodes": episodes, "pictures": len(pictures), "steps": recipe.steps},
        "minutes a fold": {
            "without cache": (episodes * without + fixed) / 60,
            "cache empty at first": (episodes * again + len(pictures) * picture + fixed) / 60,
            "cache filled": (episodes * again + fixed) / 60,
        },
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = cli.command("bench_fold", __doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    cli.add_preset(parser)
    parser.add_argument("--config", type=Path, default=CONFIG, help="which episodes")
    parser.add_argument("--group", default="cat-cow", help=f"of {benchmark.NAME}, for the test")
    parser.add_argument("--episodes", type=int, default=24, help="of each sample")
    cli.add_cache(parser)
    cli.add_clock(parser)
    parser.add_argument("--json", action="store_true", help="for machines")
    return cli.run(_run, parser.parse_args(argv))


def _run(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    config = json.loads(args.config.read_text(encoding="utf-8"))
    report = measure(
        args.data, args.preset, config=config, count=args.episodes, group=args.group, cache=args.cache,
        clock=args.clock,
    )  # fmt: skip
    if args.json:
        print(json.dumps(report, indent=1))
        return
    fold = report["fold"]
    print(f"{report['preset']}, {report['threads']} threads")
    for name, seconds in report["seconds"].items():
        print(f"  {name:<40} {seconds:.3f} s")
    size = f"{fold['episodes']} episodes over {fold['pictures']} pictures, {fold['steps']} steps"
    print(f"A fold, {size}, and the test:")
    for name, minutes in report["minutes a fold"].items():
        print(f"  {name:<40} {minutes:.1f} min")


if __name__ == "__main__":
    sys.exit(main())
