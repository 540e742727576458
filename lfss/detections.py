"""Drafts as ``supervision.Detections`` and back, for the many programs that speak them.

A row is an object: its mask, box, class number, class name and confidence. Each row also carries, as text,
what this program knows of its draft, so that rows that come back as they went make the same drafts, and rows
that were changed make edited ones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .annotations.intake import Intake
from .annotations.pieces import How, pieces
from .annotations.plan import check_labels
from .annotations.provenance import object_seal, written
from .annotations.report import Report
from .annotations.rle import bounds
from .annotations.sheets import Sheet
from .drafts import Draft, Status
from .errors import InputError
from .images import Image

if TYPE_CHECKING:
    from supervision import Detections

_FACTS = "lfss"  # the column with what is known of a draft
_BY_HAND = 1.0  # confidence of a mask that no model has scored


def to_detections(
    drafts: Sequence[Draft], *, labels: Sequence[str] | None = None, objects: How = "parts"
) -> Detections:
    """The drafts of one picture as detections.

    Args:
        drafts: of one picture, of any labels. Rejected and absent ones have no row.
        labels: all labels in the order of their class numbers; without it, in order of appearance.
        objects: a row for each object, or one for each draft; see ``annotations.pieces.pieces``.

    Returns:
        ``mask`` (N, H, W) bool; ``xyxy`` (N, 4) pixel borders; ``confidence`` (N,) in [0, 1], 1 for masks
        drawn by hand; ``class_id`` (N,); ``data["class_name"]``, ``data["status"]`` and ``data["lfss"]``, N
        texts each.

    Raises:
        InputError: the package is missing, or the drafts are of several pictures.
        ExportError: labels that would be confused, or that the list lacks.
    """
    if len({(draft.image_digest, draft.image_name, draft.size) for draft in drafts}) > 1:
        raise InputError("Detections are of one picture. Give the drafts of one picture at a time.")
    order = check_labels(dict.fromkeys(draft.label for draft in drafts), labels)
    rows = []
    for draft in drafts:
        masks = [] if draft.empty else list(pieces(draft, objects))
        facts = json.dumps(written(draft, draft.mask, objects, [object_seal([mask]) for mask in masks]))
        rows += [(draft, mask, facts) for mask in masks]
    height, width = drafts[0].size if drafts else (0, 0)
    boxes = [(x, y, x + w, y + h) for y, x, h, w in (bounds(mask) for _, mask, _ in rows)]
    scores = [_BY_HAND if draft.score is None else draft.score for draft, _, _ in rows]
    return _supervision().Detections(
        xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        mask=np.array([mask for _, mask, _ in rows], np.bool_).reshape(len(rows), height, width),
        confidence=np.array(scores, np.float32),
        class_id=np.array([order.index(draft.label) for draft, _, _ in rows], int),
        data={
            "class_name": np.array([draft.label for draft, _, _ in rows], str),
            "status": np.array([draft.status for draft, _, _ in rows], str),
            _FACTS: np.array([facts for _, _, facts in rows], str),
        },
    )


def from_detections(
    detections: Detections,
    image: Image,
    *,
    labels: Sequence[str] | None = None,
    status: Status | None = None,
    model: str = "unknown",
    report: Report | None = None,
) -> list[Draft]:
    """Detections on a picture as drafts, one for each label; each row is an object.

    Args:
        detections: with masks, from ``to_detections`` or from any model.
        image: the picture that they are on.
        labels: names by class number; without it, ``data["class_name"]`` says them.
        status: of all drafts; by default what ``to_detections`` noted, *edited* for masks that differ from
            those it wrote, and *proposed* for detections of other programs.
        model: who made the detections of other programs.
        report: takes the rows that cannot be used; without it the first such row is an error.

    Raises:
        InputError: there are no masks, a mask has another size than the picture or covers no pixel, or a row
            has no name.
    """
    if len(detections) and detections.mask is None:
        raise InputError("These detections have boxes but no masks. Use a model that gives masks.")
    intake = Intake(None, status=status, report=report)
    height, width = image.size
    sheet = intake.picture(image.name, (height, width), digest=image.digest)
    for row in range(len(detections)):
        with intake.entry(f"Detection {row}"):
            _add(intake, sheet, detections, row, labels, model)
    return [replace(draft, image_name=image.name, image_path=image.path) for draft in intake.drafts()]


def _add(
    intake: Intake,
    sheet: Sheet,
    detections: Detections,
    row: int,
    labels: Sequence[str] | None,
    model: str,
) -> None:
    assert detections.mask is not None
    mask = np.asarray(detections.mask[row], np.bool_)
    if mask.shape != sheet.size:
        raise InputError(
            f"Its mask is {mask.shape}, the picture is {sheet.size} (rows, columns). Give masks at the "
            "picture's own size."
        )
    facts: dict[str, Any] = {"status": "proposed", "model": model}
    if _FACTS in detections.data:
        said = json.loads(str(detections.data[_FACTS][row]))
        facts = said if isinstance(said, dict) else facts
    elif detections.confidence is not None:
        facts["score"] = min(max(float(detections.confidence[row]), 0.0), 1.0)
    intake.add(sheet, _name(detections, row, labels), mask, facts)


def _name(detections: Detections, row: int, labels: Sequence[str] | None) -> str:
    if labels is None and "class_name" in detections.data:
        return str(detections.data["class_name"][row])
    number = None if detections.class_id is None else int(detections.class_id[row])
    if labels is None or number is None or not 0 <= number < len(labels):
        raise InputError(f"Its class number {number} has no name. Give the names as 'labels'.")
    return labels[number]


def _supervision() -> Any:
    try:
        import supervision
    except ImportError as error:
        raise InputError("Detections need one more package: pip install supervision.") from error
    return supervision
