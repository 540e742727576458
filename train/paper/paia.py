"""PAIA's tables on the pictures that are here, with frozen networks: the parts, ways and shots, weak marks.

    python -m train.reproduce paia --table 5 --data ../shared/data/voc --split val --auxiliary-split train \\
        --classes cat,cow,dog,horse,sheep,person --presets mini --episodes 50 --seed 0 1 2

Table 1 is one way with one and five supports, 2 two ways, 4 the kinds of marks, 5 the parts of the method
(the paper's 3 is COCO: ``--layout coco --table 1``). Encoders are frozen, so folds do not matter, and what is
measured stands beside the paper's figures without being comparable: the paper trains its encoder. A threshold
that ``train.fit_paia`` trained on other classes gives more rows (``--threshold``). Each column is kept in a
file of its own, which tables share, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lfss.errors import InputError

from .. import cli
from ..data.datasets import write_text
from ..data.encode import Kind
from ..ways import Setting, measure, open_predictor

Columns = dict[str, tuple[int, int, Kind]]
"""Ways, shots and marks by the head of the column."""

TABLES: dict[int, Columns] = {
    1: {"1-way 1-shot": (1, 1, "mask"), "1-way 5-shot": (1, 5, "mask")},
    2: {"2-way 1-shot": (2, 1, "mask"), "2-way 5-shot": (2, 5, "mask")},
    4: {"dense": (1, 1, "mask"), "scribble": (1, 1, "scribble"), "box": (1, 1, "box")},
    5: {"1-way 1-shot": (1, 1, "mask")},
}
ROWS = {  # variants of train.measure.ways, as the paper calls them
    "prototypes": "plain prototypes (PANet untrained)",
    "soft pooling": "without the threshold",
    "one iteration": "without the iterations",
    "paia": "all parts",
    "paia, background too": "all parts, background too",
    "one iteration, trained": "without the iterations, trained threshold",
    "paia, trained": "all parts, trained threshold",
    "paia, background too, trained": "all parts, background too, trained threshold",
}
PUBLISHED: dict[int, dict[str, tuple[float, ...]]] = {  # VGG-16, mean of the folds, encoder trained
    1: {"PANet": (48.1, 55.7), "PAIA": (53.2, 57.7)},
    2: {"PAIA": (51.76, 54.17)},
    4: {"PANet": (48.1, 44.8, 45.1), "PAIA": (53.2, 53.0, 51.9)},
    5: {"PANet": (48.1,), "without DSMP": (51.0,), "without IFM": (52.1,), "PAIA": (53.2,)},
}


def main(arguments: Sequence[str]) -> int:
    """Make one table; returns the exit code."""
    options = _parser().parse_args(arguments)
    command = f"python -m train.reproduce paia {shlex.join(arguments)}"
    return cli.run(lambda o: _run(o, command), options, stopped=cli.GOES_ON)


def _run(options: argparse.Namespace, command: str) -> None:
    data, others, names = cli.read_data(options), cli.read_auxiliary(options), options.classes
    title = f"{len(names)} classes of {len(data.samples)} pictures in '{data.name}', split {data.split}"
    made: dict[str, Any] = {}
    for preset in options.presets:
        predictor = open_predictor(preset, options.device, options.cache, options.threshold)
        columns = made[preset] = {}
        for column, (ways, shots, kind) in columns_of(options.table, options.columns).items():
            setting = Setting(
                names, ways, shots, (options.aux,), kind, options.episodes, tuple(options.seed),
                threshold=options.threshold,
            )  # fmt: skip
            part = options.out / f"{preset.replace(':', '-')}-{ways}-way-{shots}-shot-{kind}.json"
            key = f"{title}, auxiliary {options.auxiliary_split}: {setting}"
            columns[column] = _column(part, key, partial(measure, predictor, data, others, setting))
    table = {"command": command, "table": options.table, "title": title, "mean": made}
    write_text(options.out / f"paia-table{options.table}.json", json.dumps(table, indent=1))
    print(as_text(options.table, made, title))


def columns_of(table: int, wanted: Sequence[str] | None) -> Columns:
    """The columns of a table by name, or those of them that are wanted.

    Raises:
        InputError: it has no such column.
    """
    columns = TABLES[table]
    for name in wanted or ():
        if name not in columns:
            raise InputError(f"Table {table} has no column '{name}'; it has {', '.join(columns)}.")
    return {name: columns[name] for name in wanted or columns}


def _column(part: Path, key: str, work: Callable[[], tuple[dict[str, Any], Any]]) -> dict[str, Any]:
    """The variants' scores of one column, as kept if the same episodes were asked for before."""
    if part.exists():
        kept = json.loads(part.read_text(encoding="utf-8"))
        if kept["setting"] == key:
            return kept["mean"]
    mean, _ = work()
    ((_, rows),) = mean.items()
    write_text(part, json.dumps({"setting": key, "mean": rows}, indent=1))
    return rows


def as_text(number: int, made: Mapping[str, Any], title: str) -> str:
    """The table as Markdown, the paper's figures below."""
    columns = list(next(iter(made.values())))
    lines = [
        f"PAIA, Table {number}, on {title}: no official result. mIoU in percent, mean and spread over seeds.",
        "",
        f"| | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
    ]
    for preset, table in made.items():
        measured = table[columns[0]]["native"]
        for row, name in ((row, name) for row, name in ROWS.items() if row in measured):
            found = (table[c]["native"][row] for c in columns)
            figures = " | ".join(f"{100 * c['miou']:.1f} ± {100 * c['miou_std']:.1f}" for c in found)
            lines.append(f"| {preset}: {name} | {figures} |")
    for name, values in PUBLISHED[number].items():
        published = dict(zip(TABLES[number], values))
        cells = (f"{published[c]:.1f}" if c in published else "-" for c in columns)
        lines.append(f"| *paper, VGG-16 trained: {name}* | {' | '.join(cells)} |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("reproduce paia", __doc__)
    cli.add_data(parser)
    cli.add_never_trained(parser)
    parser.add_argument("--table", type=int, choices=sorted(TABLES), required=True)
    parser.add_argument("--columns", nargs="+", metavar="NAME", help="only these of the table's columns")
    cli.add_auxiliary(parser)
    cli.add_classes(parser)
    parser.add_argument("--presets", nargs="+", default=["mini"], help="networks, frozen")
    parser.add_argument("--aux", type=int, default=2, help="pictures without masks of a class (paper: 2)")
    parser.add_argument("--threshold", type=Path, help="folder of a trained one, for more rows")
    cli.add_episodes(parser, 1000, seeds=cli.FIVE_SEEDS)
    cli.add_device(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/paia"), help="results")
    return parser
