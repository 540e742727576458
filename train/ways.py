"""Measure PAIA and its parts: several classes, few masks, and pictures of which only the label is known.

    python -m train.ways --data ../shared/data/voc --split val --auxiliary-split train \
        --classes cat,cow,dog,horse,sheep,person --ways 1 --shots 1 --aux 0 2 6 12 --annotation mask \
        --episodes 100 --seed 0 1 2 --preset mini --out docs/results/paia-mini-mask.json

The rows are those of ``train.measure.ways``, the episodes those of ``train.data.ways``. Writes for each
number of auxiliary pictures and each way of counting the mean over the seeds, and their spread.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lfss.errors import InputError
from lfss.methods.paia import Paia, PaiaConfig
from lfss.predictor import Predictor

from . import cli
from .data.datasets import open_data, write_text
from .data.encode import KINDS
from .data.remember import remember
from .data.ways import digest_of, sample_ways
from .measure import report
from .measure.ways import COUNTED, WaysSet, score_ways, variants_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(typed)
    return cli.run(lambda o: _run(o, " ".join(["python -m train.ways", *typed])), options)


def _run(options: argparse.Namespace, command: str) -> None:
    if options.out.exists():
        raise InputError(f"'{options.out}' is there already. Choose another --out, or remove it.")
    data = open_data(options.data, options.layout, split=options.split, cache=options.cache)
    others = None
    if options.auxiliary_split:
        others = open_data(options.data, options.layout, split=options.auxiliary_split, cache=options.cache)
    names = [name.strip() for name in options.classes.split(",")]
    lists = {
        seed: sample_ways(
            data, names, ways=options.ways, shots=options.shots, auxiliary=max(options.aux),
            count=options.episodes, seed=seed, others=others, foreign=options.foreign,
        )
        for seed in options.seed
    }  # fmt: skip
    predictor, _ = remember(
        Predictor.load(options.preset, method=Paia.name, device=options.device), options.cache
    )
    methods = {name: _method(config, predictor) for name, config in variants_of(PaiaConfig()).items()}
    pictures = WaysSet(data, others or data, options.annotation)
    runs = [
        score_ways(predictor, methods, pictures, lists[s], seed=s, auxiliary=options.aux, progress=True)
        for s in options.seed
    ]
    mean: dict[str, Any] = {
        str(u): {p: report.clean(report.summarise([run[u][p] for run in runs])) for p in COUNTED}
        for u in options.aux
    }
    about = {
        "title": f"{len(names)} classes of {len(data.samples)} pictures in '{data.name}', split {data.split}",
        "command": command,
        "lists": {seed: digest_of(episodes) for seed, episodes in lists.items()},
        "episodes": options.episodes,
    }
    write_text(options.out, json.dumps({**about, "mean": mean}, indent=1))
    for u, rows in mean.items():
        print(f"\nauxiliary pictures: {u}\n{report.text_table(rows['native'])}")


def _method(config: PaiaConfig, predictor: Predictor) -> Paia:
    return Paia(config).eval().requires_grad_(False).to(predictor.device)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("ways", __doc__)
    cli.add_data(parser)
    cli.add_model(parser)
    parser.add_argument("--classes", required=True, help="names, separated by commas")
    parser.add_argument("--auxiliary-split", help="list of the pictures without masks (default: a third)")
    parser.add_argument("--ways", type=int, default=1, help="classes of an episode")
    parser.add_argument("--shots", type=int, default=1, help="supports of a class")
    parser.add_argument("--aux", type=int, nargs="+", default=[2], help="pictures without masks of a class")
    parser.add_argument("--foreign", type=float, default=0.0, help="share of them that show something else")
    parser.add_argument("--annotation", choices=KINDS, default="mask", help="how supports are marked")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--seed", type=int, nargs="+", default=[1234, 1235, 1236, 1237, 1238])
    parser.add_argument("--out", type=Path, required=True, help="a .json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
