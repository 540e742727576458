"""What a second look at small objects brings, and what it costs.

    python -m train.second_look --data ../shared/data/coco --layout coco --never-trained \
        --classes cup,bottle,bird --episodes 120 --out docs/results/second-look-coco.json

One-shot episodes whose query shows the object, label only. Each query is segmented with and without
``lfss.second_look``; figures stand by the share of the picture that the object fills. Choices of
``lfss.second_look`` were made on training photos; val photos are only reported.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from lfss.predictor import Predictor
from lfss.reasoning import CLOSER

from . import cli
from .data.datasets import DataSet, write_text
from .data.encode import drafts_of, prepare_episode
from .data.episodes import EpisodeSpec, sample_episodes
from .measure.metrics import overlap

SIZES = (0.0, 0.02, 0.06, 0.15, 1.0)  # bounds of the share of the picture that the object fills
USABLE = 0.8  # IoU of a draft that needs no work
CHANGED = 0.02  # IoU by which a mask must differ to count as better or worse
DRAWS = 2000


@dataclass(frozen=True)
class Pair:
    """One query, segmented in both ways.

    Attributes:
        query, class_name: which, and what was searched for.
        share: of the picture that the object fills.
        once, twice: IoU without and with the second look.
        looked: whether there was a second look.
        seconds: of each, the picture's encoding included.
    """

    query: str
    class_name: str
    share: float
    once: float
    twice: float
    looked: bool
    seconds: tuple[float, float]


@dataclass(frozen=True)
class Gain:
    """Figures of some queries: mean IoU and share of usable masks each way, and what changed.

    ``low`` and ``high`` hold 95 % of bootstrap draws of the mean gain; ``time`` is the seconds with a second
    look over those without, of the queries that were looked at twice, as a median; 0 without any.
    """

    queries: int
    looked: int
    once: float
    twice: float
    low: float
    high: float
    usable_once: float
    usable_twice: float
    better: int
    worse: int
    time: float


def compare(predictor: Predictor, data: DataSet, spec: EpisodeSpec) -> Pair:
    """Segment the query of an episode in both ways.

    Raises:
        NoForeground: no support shows the object.
    """
    given = prepare_episode(predictor, data, spec, "label", seed=0)
    query, ious, seconds, looked = given.query, [], [], False
    for again in (False, True):
        prediction = predictor.predict(given.prepared, query.image, assume_present=True, second_look=again)
        both, either = overlap(prediction.mask, query.mask, query.ignore)
        ious.append(both / either if either else 1.0)
        seconds.append(prediction.seconds)
        looked = any(stage.key == CLOSER.key for stage in prediction.stages)
    return Pair(
        spec.query, spec.class_name, float(query.mask.mean()), ious[0], ious[1], looked,
        (seconds[0], seconds[1]),
    )  # fmt: skip


def gain_of(pairs: Sequence[Pair], *, seed: int = 0) -> Gain:
    """Figures of at least one pair; ``seed`` is the bootstrap's."""
    once, twice = (np.array([getattr(p, name) for p in pairs]) for name in ("once", "twice"))
    gains = twice - once
    drawn = np.random.default_rng(seed).integers(0, len(pairs), (DRAWS, len(pairs)))
    low, high = np.percentile(gains[drawn].mean(1), (2.5, 97.5))
    times = [p.seconds[1] / p.seconds[0] for p in pairs if p.looked]
    return Gain(
        len(pairs), len(times), float(once.mean()), float(twice.mean()), float(low), float(high),
        float((once >= USABLE).mean()), float((twice >= USABLE).mean()),
        int((gains > CHANGED).sum()), int((gains < -CHANGED).sum()),
        float(np.median(times)) if times else 0.0,
    )  # fmt: skip


def by_size(pairs: Sequence[Pair]) -> dict[str, Gain]:
    """Figures of all queries, and of those whose object fills a certain share of the picture."""
    found = {"all": gain_of(pairs)}
    for low, high in pairwise(SIZES):
        inside = [p for p in pairs if low <= p.share < high or p.share == high == 1]
        if inside:
            found[f"{low:.0%} to {high:.0%}"] = gain_of(inside)
    return found


def table(found: dict[str, Gain]) -> str:
    """Markdown, a row for each size."""
    lines = [
        "| object fills | queries | read twice | once | twice | gain, 95 % | usable | better, worse | time |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, g in found.items():
        lines.append(
            f"| {name} | {g.queries} | {g.looked} | {100 * g.once:.1f} | {100 * g.twice:.1f} | "
            f"{100 * g.low:+.1f} to {100 * g.high:+.1f} | {g.usable_once:.0%} to {g.usable_twice:.0%} | "
            f"{g.better}, {g.worse} | {g.time:.1f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    command = cli.as_typed("second_look", arguments)
    return cli.run(lambda options: _run(options, command), _parser().parse_args(arguments))


def _run(options: argparse.Namespace, command: str) -> None:
    data = cli.read_data(options)
    episodes = sample_episodes(data, options.classes, shots=1, count=options.episodes, seed=options.seed)
    predictor = Predictor.load(options.preset, device=options.device)
    pairs = drafts_of(episodes, lambda spec: compare(predictor, data, spec))
    found = by_size(pairs)
    print(table(found))
    content = {
        "command": command,
        "episodes": episodes.digest,
        "sizes": {name: asdict(gain) for name, gain in found.items()},
        "pairs": [asdict(pair) for pair in pairs],
    }
    write_text(options.out, json.dumps(content, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("second_look", __doc__)
    cli.add_data(parser)
    cli.add_model(parser)
    cli.add_held_out(parser)
    cli.add_never_trained(parser)
    cli.add_classes(parser)
    cli.add_episodes(parser, 120)
    cli.add_result(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
