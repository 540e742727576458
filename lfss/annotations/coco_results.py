"""COCO results: a list of masks with scores, to be measured against a ground truth.

A result points at pictures and labels by number alone. The numbers are those of a ground truth file
(``match``), found by file name and label; without one, those that ``coco.write`` gives to the same
drafts. Every entry needs a score: a mask drawn by hand counts as certain. Pictures without a mask
leave no trace, as the format wants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..drafts import Draft
from ..errors import ExportError
from . import reading
from .coco import run_lengths
from .output import new_folder, placed, write_json_list
from .pieces import How, check_how
from .plan import ExportPlan, plan_export


def write(
    drafts: Sequence[Draft],
    out: Path,
    *,
    match: Path | None = None,
    objects: How = "parts",
    labels: Sequence[str] | None = None,
) -> list[Path]:
    """Write ``results.json``.

    Args:
        drafts: what to export; see ``plan_export``.
        out: a folder that does not exist yet, or is empty.
        match: a COCO ground truth whose numbers shall be used.
        objects: a shape for each object (``parts``, ``each``), or one for all; see ``pieces.pieces``.
        labels: all labels in the order of their numbers; without it, in order of appearance.

    Returns:
        The files written.

    Raises:
        ExportError: the drafts cannot be exported, the ground truth lacks one of their pictures or
            labels, or the folder cannot be written.
        InputError: the ground truth cannot be read.
    """
    check_how(objects)
    plan = plan_export(drafts, labels)
    images, categories = _numbers(plan, match)

    def results() -> Iterator[dict[str, Any]]:
        for picture in plan.pictures:
            for draft in (drafts[p] for p in picture.drafts):
                ids = {"image_id": images[picture.name], "category_id": categories[draft.label]}
                for shape in run_lengths(draft, objects):
                    # Without its box: readers that find one take it for a box result.
                    kept = {k: v for k, v in shape.items() if k not in ("bbox", "area")}
                    yield ids | {"score": 1.0} | kept

    with new_folder(out) as folder:
        write_json_list(folder / "results.json", results())
        return placed(folder, out)


def _numbers(plan: ExportPlan, match: Path | None) -> tuple[dict[str, int], dict[str, int]]:
    """Numbers of pictures and labels."""
    if match is None:
        images = {p.name: number for number, p in enumerate(plan.pictures, start=1)}
        return images, {label: number for number, label in enumerate(plan.labels, start=1)}
    with reading.about_file(match):
        data = reading.load_object(match, "images", "categories")
        known = {reading.text(i["file_name"]).rsplit("/", 1)[-1]: i["id"] for i in data["images"]}
        categories = {reading.text(c["name"]): c["id"] for c in data["categories"]}
    images = {p.name: known[n] for p in plan.pictures if (n := _found(p.name, p.original, known))}
    for picture in plan.pictures:
        if picture.name not in images:
            raise ExportError(
                f"'{match.name}' has no picture '{picture.original}'. Leave it out of the export."
            )
    _check_categories(plan, match, categories)
    return images, categories


def _found(name: str, original: str, known: Mapping[str, int]) -> str | None:
    return next((n for n in (original.rsplit("/", 1)[-1], name) if n in known), None)


def _check_categories(plan: ExportPlan, match: Path, categories: Mapping[str, int]) -> None:
    for label in plan.labels:
        if label not in categories:
            raise ExportError(f"'{match.name}' has no label '{label}'. Rename the label as it is there.")
