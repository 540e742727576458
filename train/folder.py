"""Measure the folder pass: one support against the whole folder as teacher, also where the object lacks.

    python -m train.folder --data ../shared/data/voc --split val --classes cat,cow,dog,horse,sheep,person \
        --photos 24 --foreign 0 25 50 75 --seed 0 1 2 --preset mini --out docs/results/folder-mini.json

How folders are drawn and counted: ``train.measure.folders``. ``--set share=0.3`` changes a choice of
``lfss.folder_pass.FolderConfig``, to choose by training photos (``--split trainaug --held-out``). The JSON
holds, for each share of pictures that lack the object and each row, means over classes with their spread over
the seeds: ``miou``, ``usable`` of all drafts, ``shown`` of those whose picture shows the object, and
``helped``, the share of folders in which the pass trusted itself.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from lfss.cells import Encoder
from lfss.errors import InputError
from lfss.folder_pass import FolderConfig
from lfss.predictor import Predictor

from . import cli
from .data.datasets import DataSet, write_text
from .data.encode import KINDS, Kind
from .data.remember import remember
from .measure.folders import Score, draw_folder, predict_folder, score_folder

FIGURES = ("miou", "usable", "shown", "helped")
Run = dict[str, dict[str, dict[str, Score]]]
"""Of one seed: scores by share, row and class."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    command = cli.as_typed("folder", arguments)
    return cli.run(lambda options: _run(options, command), _parser().parse_args(arguments))


def read_choices(pairs: Sequence[str]) -> FolderConfig:
    """``NAME=VALUE`` pairs as a configuration.

    Raises:
        InputError: there is no such choice, or the value is no number.
    """
    kinds: dict[str, type] = {name: type(value) for name, value in asdict(FolderConfig()).items()}
    chosen: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            chosen[name] = kinds[name](value)
        except (KeyError, ValueError, TypeError):
            known = ", ".join(kinds)
            raise InputError(
                f"'{pair}' is no choice of the pass. Write NAME=NUMBER; names: {known}."
            ) from None
    return replace(FolderConfig(), **chosen)


def summarise(runs: Sequence[Run]) -> dict[str, Any]:
    """Means over classes, then over seeds with their spread, by share and row."""
    table: dict[str, Any] = {}
    for share, rows in runs[0].items():
        table[share] = {}
        for row in rows:
            seeds = [_means(run[share][row]) for run in runs]
            table[share][row] = {
                **{figure: float(np.mean([s[figure] for s in seeds])) for figure in FIGURES},
                **{
                    f"{f}_std": float(np.std([s[f] for s in seeds], ddof=min(1, len(seeds) - 1)))
                    for f in FIGURES
                },
                "iou": {c: float(np.mean([run[share][row][c].iou for run in runs])) for c in rows[row]},
            }
    return table


def _means(scores: Mapping[str, Score]) -> dict[str, float]:
    shown = [s.usable_shown for s in scores.values() if s.usable_shown is not None]
    return {
        "miou": float(np.mean([s.iou for s in scores.values()])),
        "usable": float(np.mean([s.usable for s in scores.values()])),
        "shown": float(np.mean(shown)) if shown else float("nan"),
        "helped": float(np.mean([s.helped for s in scores.values()])),
    }


def run_seed(
    predictor: Predictor, encoder: Encoder, data: DataSet, names: Sequence[str], config: FolderConfig, *,
    photos: int, foreign: Sequence[int], seed: int, kind: Kind = "label", checked: int = 0,
    supports: Sequence[int] = (),
) -> Run:  # fmt: skip
    """All classes and shares of one seed.

    Args:
        predictor, encoder: of one preset.
        data: where the pictures are.
        names: of the classes.
        config: of the folder pass.
        photos: that show the object, in each folder.
        foreign: percentages of pictures that do not show it.
        seed: of the folders.
        kind: how the support is marked.
        checked: how many pictures a person has corrected, for two more rows.
        supports: numbers of supports that are tried instead of the pass, for a row each.
    """
    made: Run = {str(share): {} for share in foreign}
    # All of them first, so that a class with too few pictures is told before an hour of work.
    folders = [
        draw_folder(
            data, name, photos=photos, most=max(foreign) / 100, seed=seed, supports=max(supports, default=1)
        )
        for name in names
    ]
    for name, folder in tqdm(list(zip(names, folders)), unit="class", desc=f"seed {seed}"):
        first = predict_folder(predictor, data, folder, kind)
        rivals = {f"{n} supports": predict_folder(predictor, data, folder, kind, n) for n in supports}
        for share in foreign:
            scores = score_folder(
                data, folder, first, encoder, config, foreign=share / 100, checked=checked, rivals=rivals
            )
            for row, score in scores.items():
                made[str(share)].setdefault(row, {})[name] = score
    return made


def _run(options: argparse.Namespace, command: str) -> None:
    if options.out.exists():
        raise InputError(f"'{options.out}' is there already. Choose another --out, or remove it.")
    config = read_choices(options.set)
    data = cli.read_data(options)
    names = options.classes
    predictor, _ = remember(Predictor.load(options.preset, device=options.device), options.cache)
    encoder = Encoder(predictor.encode, edges=predictor.edges)
    runs = [
        run_seed(
            predictor, encoder, data, names, config,
            photos=options.photos, foreign=options.foreign, seed=seed,
            kind=options.annotation, checked=options.checked, supports=options.supports,
        )
        for seed in options.seed
    ]  # fmt: skip
    table = summarise(runs)
    about = {
        "title": f"{len(names)} classes of {len(data.samples)} pictures in '{data.name}', split {data.split}",
        "command": command,
        "config": asdict(config),
        "mean": table,
    }
    write_text(options.out, json.dumps(about, indent=1))
    print(as_text(table))


def as_text(table: Mapping[str, Any]) -> str:
    """mIoU and usable drafts in percent, a line for each row and share."""
    lines = [f"{'lacks the object':<18}{'':<24}{'mIoU':>12}{'usable':>14}{'helped':>9}"]
    for share, rows in table.items():
        for row, v in rows.items():
            figures = "".join(f"{100 * v[f]:>9.1f} ± {100 * v[f + '_std']:<3.1f}" for f in ("miou", "usable"))
            lines.append(f"{share + ' %':<18}{row:<24}{figures}{100 * v['helped']:>6.0f} %")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("folder", __doc__)
    cli.add_data(parser)
    cli.add_model(parser)
    cli.add_held_out(parser)
    cli.add_classes(parser)
    cli.add_never_trained(parser)
    parser.add_argument("--photos", type=int, default=24, help="pictures of a folder (default: 24)")
    parser.add_argument(
        "--foreign", type=int, nargs="+", default=[0, 25, 50, 75], choices=range(101), metavar="PERCENT",
        help="of the folder that lack the object, a row for each (default: 0 25 50 75)",
    )  # fmt: skip
    parser.add_argument("--annotation", choices=KINDS, default="label", help="what is marked on the support")
    parser.add_argument("--checked", type=int, default=0, help="more rows, after so many were corrected")
    parser.add_argument(
        "--supports", type=int, nargs="+", default=[], choices=range(2, 21), metavar="N",
        help="rows for so many supports instead of the pass, its rival",
    )  # fmt: skip
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="a choice of the pass")
    parser.add_argument(
        "--seed", type=int, nargs="+", default=[0, 1, 2], help="one draw of folders for each (default: 0 1 2)"
    )
    cli.add_result(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
