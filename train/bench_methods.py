"""Parameters and cost of a query of each method on this machine, beside one pass of ResNet-50.

    python -m train.bench_methods --preset mini --threads 1 --clock processor \
        --out docs/results/cost-methods-mini.json

A query is what ``Predictor.predict`` does with a decoded photo of one megapixel: encoders, method and edges;
its supports are encoded before. Networks have random weights where they need any, since cost does not depend
on them. The rounds go through all methods and the other network in turn, and a ratio is the median over the
rounds, so that a busy machine slows both sides. Only ratios of one run compare.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch

from lfss.labels import Label
from lfss.methods import Method
from lfss.methods.lfss import Lfss, LfssConfig
from lfss.methods.paia import Paia
from lfss.methods.tlg import Tlg, TlgConfig
from lfss.predictor import Predictor
from lfss.support import Support

from . import cli
from .bench import forward_pass, picture
from .data.datasets import write_text
from .fit import TLG_CONFIG, read_recipe
from .measure.stopwatch import CLOCKS, Meter


def methods_of(channels: tuple[int, ...]) -> dict[str, Method]:
    """What is compared, by name; ``channels`` are those of the backbone's levels."""
    _, trained_here = read_recipe(TLG_CONFIG, {})
    return {
        "lfss, fixed rule": Lfss(channels, LfssConfig()),
        "lfss, the paper's decoder": Lfss(channels, LfssConfig(decoder="paper")),
        "paia": Paia(),
        "tlg, as described": Tlg(channels, TlgConfig()),
        "tlg, as trained here": Tlg(channels, TlgConfig(**trained_here["method"])),
    }


def measure(name: str, *, repeat: int, shots: int, against: str, clock: str) -> dict[str, Any]:
    """Parameters, seconds and ratios by method.

    Args:
        name: of the preset, or ``module:function``.
        repeat: rounds; the median counts.
        shots: supports, each with a mask.
        against: the timm network that a query is compared with.
        clock: ``wall``, or ``processor`` for a machine that others use too (with one thread).
    """
    loaded = Predictor.load(name, device="cpu")
    square = np.zeros((500, 500), bool)
    square[120:360, 150:400] = True
    supports = [Support.from_mask(picture(500, 500, seed=10_000 + i), square) for i in range(shots)]
    photo, other = picture(1000, 1000), forward_pass(against)
    ready = {}
    for title, method in methods_of(loaded.encoders.backbone.channels).items():
        network = method.eval().requires_grad_(False)
        predictor = Predictor(loaded.preset, loaded.encoders, network, loaded.device, loaded.edges)
        ready[title] = (predictor, predictor.prepare(Label("dog"), supports))
    watch, rounds = Meter(CLOCKS[clock]), []
    for _ in range(repeat + 1):
        times = {}
        with watch.running():
            other()
        times[against] = watch.take()
        with watch.running():
            loaded.encode(photo)
        times["encoders"] = watch.take()
        for title, (predictor, prepared) in ready.items():
            with watch.running():
                predictor.predict(prepared, photo, assume_present=True)
            times[title] = watch.take()
        rounds.append(times)
    counted = rounds[1:]  # the first warms up
    rows = {
        title: {
            "parameters": (count := sum(p.numel() for p in predictor.method.parameters())),
            "millions of parameters": count / 1e6,
            "query": median(times[title] for times in counted),
            f"query, in passes of {against}": median(times[title] / times[against] for times in counted),
            "beyond encoders": median(times[title] - times["encoders"] for times in counted),
        }
        for title, (predictor, _) in ready.items()
    }
    return {
        "preset": loaded.preset.name, "threads": torch.get_num_threads(), "clock": clock, "shots": shots,
        "encoders": median(times["encoders"] for times in counted),
        against: median(times[against] for times in counted), "rows": rows,
    }  # fmt: skip


def as_text(report: dict[str, Any], against: str) -> str:
    """The report as aligned lines."""
    lines = [
        f"{report['preset']}, {report['shots']} supports, {report['threads']} threads: encoders "
        f"{1000 * report['encoders']:.0f} ms, {against} {1000 * report[against]:.0f} ms"
    ]
    for title, row in report["rows"].items():
        lines.append(
            f"  {title:<28}{row['parameters']:>12,} parameters{1000 * row['query']:>8.0f} ms a query"
            f"{row[f'query, in passes of {against}']:>7.2f} x"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    parser = cli.command("bench_methods", __doc__)
    cli.add_preset(parser)
    parser.add_argument("--repeat", type=int, default=7, help="rounds; the median counts")
    parser.add_argument("--shots", type=int, default=1, help="supports")
    parser.add_argument("--against", metavar="NETWORK", default="resnet50", help="of timm")
    cli.add_clock(parser)
    parser.add_argument("--out", type=Path, help="a .json")
    command = cli.as_typed("bench_methods", arguments)
    return cli.run(lambda options: _run(options, command), parser.parse_args(arguments))


def _run(options: argparse.Namespace, command: str) -> None:
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    report = measure(
        options.preset,
        repeat=options.repeat,
        shots=options.shots,
        against=options.against,
        clock=options.clock,
    )
    if options.out:
        write_text(options.out, json.dumps({"command": command, **report}, indent=1))
    print(as_text(report, options.against))


if __name__ == "__main__":
    sys.exit(main())
