"""Measure PAIA and its parts: several classes, few masks, and pictures of which only the label is known.

    python -m train.ways --data ../shared/data/voc --split val --auxiliary-split train \
        --classes cat,cow,dog,horse,sheep,person --ways 1 --shots 1 --aux 0 2 6 12 --annotation mask \
        --episodes 100 --seed 0 1 2 --preset mini --out docs/results/paia-mini-mask.json

The rows are those of ``train.measure.ways``, the episodes those of ``train.data.ways``. ``--threshold``
names a folder that ``train.fit_paia`` made and adds rows with its threshold; an encoder that was trained with
it then serves all rows. Writes for each number of auxiliary pictures and each way of counting the mean over
the seeds, and their spread.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lfss.errors import InputError
from lfss.methods.paia import Paia, PaiaConfig
from lfss.methods.paia.weights import load_threshold
from lfss.predictor import Predictor

from . import cli
from .data.datasets import DataSet, write_text
from .data.encode import KINDS, Kind
from .data.remember import remember
from .data.ways import digest_of, sample_ways
from .measure import report
from .measure.ways import COUNTED, WaysSet, score_ways, variants_of
from .paper.threshold import load_encoder


@dataclass(frozen=True)
class Setting:
    """Which episodes are drawn: see ``train.data.ways.sample_ways``.

    Attributes:
        classes: by name.
        ways, shots: N and K.
        auxiliary: numbers of auxiliary pictures, each measured.
        annotation: how supports are marked.
        episodes: for each seed.
        seeds: of the draws.
        foreign: share of the auxiliary pictures that do not show the class.
        threshold: folder of a trained one, for more rows.
    """

    classes: Sequence[str]
    ways: int = 1
    shots: int = 1
    auxiliary: tuple[int, ...] = (2,)
    annotation: Kind = "mask"
    episodes: int = 1000
    seeds: tuple[int, ...] = (1234, 1235, 1236, 1237, 1238)
    foreign: float = 0.0
    threshold: Path | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    command = cli.as_typed("ways", arguments)
    return cli.run(lambda options: _run(options, command), _parser().parse_args(arguments))


def _run(options: argparse.Namespace, command: str) -> None:
    if options.out.exists():
        raise InputError(f"'{options.out}' is there already. Choose another --out, or remove it.")
    data, others, names = cli.read_data(options), cli.read_auxiliary(options), options.classes
    predictor = open_predictor(options.preset, options.device, options.cache, options.threshold)
    setting = Setting(
        names, options.ways, options.shots, tuple(options.aux), options.annotation, options.episodes,
        tuple(options.seed), options.foreign, options.threshold,
    )  # fmt: skip
    mean, lists = measure(predictor, data, others, setting)
    about = {
        "title": f"{len(names)} classes of {len(data.samples)} pictures in '{data.name}', split {data.split}",
        "command": command,
        "lists": lists,
        "episodes": options.episodes,
    }
    write_text(options.out, json.dumps({**about, "mean": mean}, indent=1))
    for u, rows in mean.items():
        print(f"\nauxiliary pictures: {u}\n{report.text_table(rows['native'])}")


def open_predictor(preset: str, device: str, cache: Path, threshold: Path | None) -> Predictor:
    """PAIA with encoders that remember, unless the encoder was trained together with the threshold."""
    predictor = Predictor.load(preset, method=Paia.name, device=device)
    if threshold is not None and load_encoder(predictor, threshold):
        return remember(predictor, None)[0]  # what is kept on the disk is of the encoder as it was
    return remember(predictor, cache)[0]


def measure(
    predictor: Predictor, data: DataSet, others: DataSet | None, setting: Setting
) -> tuple[dict[str, Any], dict[int, str]]:
    """Scores of all variants: by number of auxiliary pictures, protocol and variant; digests of the episodes.

    Args:
        predictor: with the method PAIA; its encoders may remember what they made.
        data: pictures of queries and supports.
        others: pictures of the auxiliary ones; None: a reserved third of ``data``.
        setting: what is drawn.

    Raises:
        InputError: such episodes cannot be drawn from these pictures.
    """
    lists = {
        seed: sample_ways(
            data, setting.classes, ways=setting.ways, shots=setting.shots, auxiliary=max(setting.auxiliary),
            count=setting.episodes, seed=seed, others=others, foreign=setting.foreign,
        )
        for seed in setting.seeds
    }  # fmt: skip
    methods = {name: _method(config, predictor) for name, config in variants_of(PaiaConfig()).items()}
    if setting.threshold is not None:
        methods |= {
            f"{name}, trained": _method(config, predictor, setting.threshold)
            for name, config in variants_of(PaiaConfig()).items()
            if config.threshold and config.iterations
        }
    pictures = WaysSet(data, others or data, setting.annotation)
    runs = [
        score_ways(predictor, methods, pictures, lists[s], seed=s, auxiliary=setting.auxiliary, progress=True)
        for s in setting.seeds
    ]
    mean: dict[str, Any] = {
        str(u): {p: report.clean(report.summarise([run[u][p] for run in runs])) for p in COUNTED}
        for u in setting.auxiliary
    }
    return mean, {seed: digest_of(episodes) for seed, episodes in lists.items()}


def _method(config: PaiaConfig, predictor: Predictor, threshold: Path | None = None) -> Paia:
    method = Paia(config)
    if threshold is not None:
        load_threshold(method.threshold, threshold)
    return method.eval().requires_grad_(False).to(predictor.device)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("ways", __doc__)
    cli.add_data(parser)
    cli.add_never_trained(parser)
    cli.add_model(parser)
    cli.add_classes(parser)
    cli.add_auxiliary(parser)
    parser.add_argument("--ways", type=int, default=1, help="classes of an episode")
    parser.add_argument("--shots", type=int, default=1, help="supports of a class")
    parser.add_argument("--aux", type=int, nargs="+", default=[2], help="pictures without masks of a class")
    parser.add_argument(
        "--foreign", type=float, default=0.0, help="share of them, 0 to 1, that show something else"
    )
    parser.add_argument("--annotation", choices=KINDS, default="mask", help="how supports are marked")
    parser.add_argument("--threshold", type=Path, help="folder of a trained one, for more rows")
    cli.add_episodes(parser, 1000, seeds=cli.FIVE_SEEDS)
    cli.add_result(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
