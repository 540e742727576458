"""Fill the tables of the pages of docs/ from result files.

    python -m train.tables                 # every page below docs/
    python -m train.tables --check         # change nothing; fail where a table is not what the files say

A table stands in a page between two comments. The first says in TOML how it is made, the second ends it; what
is between them is written by this command and by nobody else::

    <!-- table
    cell = "mini-{row}.json#mean/{column}"
    [rows]
    "the label only" = "label"
    "a box" = "box"
    [columns]
    "fixed rule" = "final, edges/miou"
    "cat and cow" = ["final, edges/iou/cat", "final, edges/iou/cow"]
    -->
    <!-- end of table -->

``cell`` is an address with {row} and {column}: a file of docs/results, ``#``, and the path to a number in
it, its keys separated by ``/``. A list of values takes the mean of the numbers at all its addresses. A
number ``x`` beside a number ``x_std``, or a pair of numbers, is printed as mean and spread; a spread of
exactly 0 is that of a single seed and is left out. ``scale`` (100) and ``decimals`` (1) say how numbers are
printed, ``bold`` lists rows to print in bold, ``corner`` heads the first column; they stand before the
sections. A number that is null or a key that is not there is printed as "-"; a file that is not there is an
error. Below the table stand the commands that made the files.

So a measurement is published in two steps: let its command write its JSON into docs/results (``--out
docs/results/NAME.json``, or copy it there), then name it in a page and run this command. A test checks that
all pages of the project are up to date.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lfss.errors import InputError

from . import cli
from .data.datasets import write_text

_TABLE = re.compile(r"(<!-- table\n(.*?)\n-->\n).*?(<!-- end of table -->)", re.DOTALL)

Cell = tuple[float, float | None] | None
"""A number and its spread; None where there is none."""


@dataclass(frozen=True)
class Table:
    """What the comment before a table says; see the module's text.

    Attributes:
        cell: address with {row} and {column}.
        rows, columns: what is printed, and what stands in the address; a list is averaged.
        scale, decimals: how numbers are printed.
        bold: names of rows.
        corner: heads the first column.
    """

    cell: str
    rows: dict[str, str | list[str]]
    columns: dict[str, str | list[str]]
    scale: float = 100.0
    decimals: int = 1
    bold: list[str] = field(default_factory=list)
    corner: str = ""

    @classmethod
    def read(cls, text: str, page: Path) -> Table:
        """From TOML.

        Raises:
            InputError: it is not TOML, or has other fields.
        """
        try:
            return cls(**tomllib.loads(text))
        except (tomllib.TOMLDecodeError, TypeError) as error:
            raise InputError(f"A table of '{page}' cannot be read: {error}.") from error


class Results:
    """Result files of one folder, each read once.

    Attributes:
        used: names of the files that were asked for, in order.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._read: dict[str, Any] = {}
        self.used: dict[str, None] = {}

    def file(self, name: str) -> Any:
        """The content of a file.

        Raises:
            InputError: it is not there, not JSON, or outside the folder.
        """
        if name not in self._read:
            path = self._folder / name
            if not path.resolve().is_relative_to(self._folder.resolve()):
                raise InputError(f"'{name}' is not inside '{self._folder}'. Put result files there.")
            try:
                self._read[name] = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise InputError(f"The result file '{path}' cannot be read: {error}.") from error
        self.used[name] = None
        return self._read[name]

    def cell(self, address: str) -> Cell:
        """The number at ``file#key/key``, None where the file has none there.

        Raises:
            InputError: the address has no ``#``, its file cannot be read, or it leads to no number.
        """
        name, mark, path = address.partition("#")
        if not mark:
            raise InputError(
                f"The address '{address}' needs a file, '#', and a path: a.json#mean/final/miou."
            )
        keys, value, around = path.split("/"), self.file(name), None
        for key in keys:
            if isinstance(value, list) and key.isdigit() and int(key) < len(value):
                around, value = None, value[int(key)]
            elif isinstance(value, dict) and key in value:
                around, value = value, value[key]
            else:
                return None
        if isinstance(value, list) and len(value) == 2:
            return None if value[0] is None else (float(value[0]), value[1])
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"'{address}' is no number but {json.dumps(value)[:60]}.")
        return float(value), (around or {}).get(f"{keys[-1]}_std")


def render(table: Table, results: Results) -> str:
    """The table as Markdown, and below it the commands that made its files."""
    before, results.used = results.used, {}
    lines = [f"| {table.corner} | {' | '.join(table.columns)} |", f"|---|{'---|' * len(table.columns)}"]
    for name, row in table.rows.items():
        cells = [_printed(_mean(table, row, column, results), table) for column in table.columns.values()]
        if name in table.bold:
            name, cells = f"**{name}**", [f"**{c}**" if c != "-" else c for c in cells]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    commands = [f"    {file}: {_command(results.file(file))}" for file in results.used]
    results.used = before | results.used
    return "\n".join((*lines, "", "Made by:", "", *commands))


def fill(page: Path, results: Results) -> str:
    """The page's text with all its tables made anew."""
    text = page.read_text(encoding="utf-8")
    return _TABLE.sub(lambda m: f"{m[1]}\n{render(Table.read(m[2], page), results)}\n\n{m[3]}", text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = cli.command("tables", __doc__)
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="pages, and results/ in it")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail where a page is not up to date"
    )
    return cli.run(_run, parser.parse_args(arguments))


def _run(args: argparse.Namespace) -> int:
    results = Results(args.docs / "results")
    pages = {page: fill(page, results) for page in sorted(args.docs.rglob("*.md"))}
    old = [page for page, text in pages.items() if text != page.read_text(encoding="utf-8")]
    if args.check and old:
        names = ", ".join(map(str, old))
        print(f"Not up to date: {names}. Run: python -m train.tables", file=sys.stderr)
        return 1
    for page in old:
        write_text(page, pages[page])
        print(page)
    return 0


def _mean(table: Table, row: str | list[str], column: str | list[str], results: Results) -> Cell:
    rows, columns = ([v] if isinstance(v, str) else v for v in (row, column))
    found = [
        results.cell(table.cell.replace("{row}", r).replace("{column}", c)) for r in rows for c in columns
    ]
    numbers = [cell for cell in found if cell is not None]
    if not numbers:
        return None
    if len(found) == 1:
        return numbers[0]
    return sum(value for value, _ in numbers) / len(numbers), None  # a mean of spreads says nothing


def _printed(cell: Cell, table: Table) -> str:
    if cell is None:
        return "-"
    value, spread = (None if v is None else f"{table.scale * v:.{table.decimals}f}" for v in cell)
    return f"{value} ± {spread}" if cell[1] else str(value)


def _command(content: Any) -> str:
    command = content.get("command") if isinstance(content, dict) else None
    return " ".join(str(command or "(the file does not say)").split())


if __name__ == "__main__":
    sys.exit(main())
