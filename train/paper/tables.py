"""The paper's tables from results: what was measured, beside the paper's figures and what bounds them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .jobs import COLUMNS, FIGURE_5, Job, Set
from .published import TABLES
from .run import RESULT

# Read-outs of a result, as rows: what is claimed first, then what bounds it.
MEASURED = {
    "decoder": "LFSS, this project: trained decoder",
    "final": "LFSS, this project: fixed rule, nothing trained",
    "final, edges": "the same, moved to the picture's edges",
    "refined": "refined mask of the query",
    "initial": "initial mask of the query",
    "prototype, true mask": "plain prototypes of the supports' true masks",
    "all foreground": "every pixel is object",
}

Numbers = list[float | None]
Line = tuple[str, str, Numbers]
"""Method, annotation, numbers in percent."""


def read_results(jobs: Iterable[Job], out: Path) -> dict[Job, dict[str, Any]]:
    """The finished ones."""
    paths = {job: job.folder(out) / RESULT for job in jobs}
    return {job: json.loads(p.read_text(encoding="utf-8")) for job, p in paths.items() if p.exists()}


def make_table(
    number: int,
    results: dict[Job, dict[str, Any]],
    *,
    backbones: Sequence[str],
    sets: Sequence[Set],
    command: str,
) -> dict[str, Any]:
    """One table as JSON holds it: parts (one for each backbone or data set) with columns and rows.

    Args:
        number: 1 to 5, or 0 for figure 5.
        results: of its jobs, as far as they are finished.
        backbones, sets: as they were asked for.
        command: as it was typed.
    """
    parts: dict[str, Any] = {}
    for name, columns, rows in _parts(number, results, backbones, sets):
        parts[name] = {
            "columns": list(columns),
            "rows": {m: {"annotation": a, "values": v} for m, a, v in rows},
        }
    titles = sorted({r["title"] for r in results.values()})
    title = (
        TABLES[number].title if number else "matching inside the refined mask only, and all over (figure 5)"
    )
    return {
        "command": command,
        "table": number,
        "title": title,
        "official": bool(results) and all(r["official"] for r in results.values()),
        "data": titles,
        "episodes": sorted({r["episodes"] for r in results.values()}),
        "seeds": sorted({r["seed"] for r in results.values()}),
        "hours": sum(sum(r["seconds"].values()) for r in results.values()) / 3600,
        "parts": parts,
    }


def as_text(table: dict[str, Any]) -> str:
    """The table as Markdown, for the terminal and for a page."""
    what = f"Table {table['table']}" if table["table"] else "Figure 5"
    lines = [f"{what}: {table['title']}. mIoU in percent, one support, label only."]
    if not table["official"]:
        lines.append(
            "Not the official data, so these are no results on it: " + "; ".join(table["data"]) + "."
        )
    for name, part in table["parts"].items():
        lines += ["", f"| {name} | marks | {' | '.join(part['columns'])} |"]
        lines.append(f"|---|---|{'---|' * len(part['columns'])}")
        for method, row in part["rows"].items():
            cells = ("-" if v is None else f"{v:.1f}" for v in row["values"])
            lines.append(f"| {method} | {row['annotation']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _parts(
    number: int, results: dict[Job, dict[str, Any]], backbones: Sequence[str], sets: Sequence[Set]
) -> Iterator[tuple[str, Sequence[str], list[Line]]]:
    """Name, columns and rows of each part."""
    if number in (1, 2):
        for backbone in backbones:
            mine = {j.fold: r for j, r in results.items() if j.backbone == backbone}
            rows = _published(number, backbone)
            for name, title in MEASURED.items():
                numbers = [_miou(mine.get(fold), name) for fold in range(4)]
                rows.append((title, "P" if "true" in name else "I", [*numbers, _mean(numbers)]))
            yield backbone, TABLES[number].columns, rows
        return
    columns: Sequence[str] = TABLES[number].columns if number else ("with RCM", "with CCM")
    for data_set in sets:
        mine_of = {j: r for j, r in results.items() if j.set == data_set}
        if not mine_of:
            continue
        rows = _published(number, data_set)
        if number == 3:
            values = [_mean([_miou(r, name) for r in mine_of.values()]) for name in ("initial", "refined")]
            rows.append(("this project", "I", values))
        else:
            variants = COLUMNS.get(number, FIGURE_5)
            for name in ("decoder", "final", "refined"):
                of = [[_miou(r, name) for j, r in mine_of.items() if j.variant == v] for v in variants]
                rows.append((MEASURED[name], "I", [_mean(values) for values in of]))
        yield data_set, columns, rows


def _published(number: int, part: str) -> list[Line]:
    rows = TABLES[number].rows.get(part, ()) if number else ()
    return [(method, marks, list(values)) for method, marks, values in rows]


def miou_of(row: Mapping[str, Any], *, official: bool) -> float | None:
    """mIoU in percent of one kind of mask, None where nothing was counted.

    The field counts a class that no episode asks for as 0, which on the official lists never happens; on a
    subset such a class is left out of the mean.

    Args:
        row: of a result, with ``iou`` of each class and ``miou``.
        official: whether the pictures are the official ones.
    """
    mean = row["miou"] if official else _mean(list(row["iou"].values()))
    return None if mean is None else 100 * mean


def _miou(result: dict[str, Any] | None, name: str) -> float | None:
    row = (result or {}).get("mean", {}).get(name)
    return None if result is None or row is None else miou_of(row, official=result["official"])


def _mean(values: Sequence[float | None]) -> float | None:
    """Of those that are there; None where none is."""
    there = [v for v in values if v is not None]
    return sum(there) / len(there) if there else None
