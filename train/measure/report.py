"""Scores as a table for people, JSON for programs, and plots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .metrics import Scores


def summarise(runs: Sequence[Mapping[str, Scores]]) -> dict[str, dict[str, Any]]:
    """Mean over runs of every figure, and the standard deviation of the means.

    Args:
        runs: for each seed, the scores of each kind of mask.

    Returns:
        For each kind of mask: the fields of ``Scores`` as means over runs, and ``miou_std``,
        ``boundary_miou_std``, ``fb_iou_std`` (of the sample; 0 for a single run).
    """
    table: dict[str, dict[str, Any]] = {}
    for name in runs[0]:
        scores = [run[name] for run in runs]
        row: dict[str, Any] = {}
        for field in ("iou", "boundary_iou", "episodes"):
            values = [getattr(score, field) for score in scores]
            everywhere = [c for c in values[0] if all(c in v for v in values)]
            row[field] = {c: float(np.mean([v[c] for v in values])) for c in everywhere}
        for field in ("miou", "boundary_miou", "fb_iou"):
            figures = [getattr(score, field) for score in scores]
            row[field] = float(np.mean(figures))
            row[f"{field}_std"] = float(np.std(figures, ddof=1)) if len(figures) > 1 else 0.0
        table[name] = row
    return table


def text_table(table: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures times 100: a line for each kind of mask, a column for each class."""
    classes = list(next(iter(table.values()))["iou"])
    head = ["", *classes, "mIoU", "±", "FB-IoU", "boundary"]
    lines = [head]
    for name, row in table.items():
        figures = [row["iou"][c] for c in classes]
        figures += [row["miou"], row["miou_std"], row["fb_iou"], row["boundary_miou"]]
        lines.append([name, *("-" if f is None or math.isnan(f) else f"{100 * f:.1f}" for f in figures)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        )
        for line in lines
    )


def as_json(scores: Mapping[str, Scores]) -> dict[str, Any]:
    """Scores as plain numbers; NaN becomes null, which every reader of JSON understands."""
    return {name: clean(asdict(score)) for name, score in scores.items()}


def clean(value: Any) -> Any:
    """The same nested value with None for NaN."""
    if isinstance(value, Mapping):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def draw(table: Mapping[str, Mapping[str, Any]], growth: Mapping[str, Sequence[float]], path: Path) -> None:
    """Save a picture: IoU by class, and how mIoU settles as episodes are added.

    Args:
        table: as ``summarise`` makes it.
        growth: for each kind of mask, mIoU after 1, 2, 3 ... episodes of the first seed.
        path: a PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    classes = list(next(iter(table.values()))["iou"])
    places = np.arange(len(classes) + 1)
    figure, (bars, lines) = pyplot.subplots(
        1, 2, figsize=(7 + 0.9 * len(classes), 4.2), layout="constrained", width_ratios=(len(classes) + 3, 5)
    )
    width = 0.85 / len(table)
    for i, (name, row) in enumerate(table.items()):
        heights = [*(row["iou"][c] for c in classes), row["miou"]]
        bars.bar(places + (i - (len(table) - 1) / 2) * width, heights, width, label=name)
        lines.plot(np.arange(1, len(growth[name]) + 1), growth[name], label=name)
    bars.set_xticks(places, [*classes, "mean"])
    bars.set(ylabel="IoU", ylim=(0, 1), title="by class")
    bars.legend(fontsize="x-small")
    lines.set(xlabel="episodes", ylim=(0, 1), title="mIoU as episodes are added")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def draw_curve(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Save a picture: IoU on classes kept apart against minutes, beside the fixed rule.

    Args:
        history: validations, each with minutes, step, iou and fixed_rule.
        path: a PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    minutes = [row["minutes"] for row in history]
    axis.plot(minutes, [row["iou"] for row in history], "o-", label="decoder")
    axis.plot(minutes, [row["fixed_rule"] for row in history], "--", label="fixed rule")
    axis.set(xlabel="minutes", ylabel="mIoU, classes kept apart", xlim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
