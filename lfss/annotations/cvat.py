"""CVAT for images 1.1: one XML file; masks as run lengths over their box, every pixel kept.

Masks may overlap; later labels lie on top (``z_order``). ``source`` says ``auto`` for a machine's
draft, ``semi-auto`` for one that a person accepted or changed, ``manual`` for one drawn by hand. The
rest of the provenance are attributes, which CVAT keeps where the task's labels have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO
from xml.sax.saxutils import escape, quoteattr

from ..drafts import Draft
from .cvat_reading import read as read
from .output import copy_pictures, new_folder, placed
from .palette import colour_of, hexadecimal
from .pieces import How, check_how, pieces
from .plan import ExportPlan, plan_export
from .provenance import Value, object_seal, written
from .rle import Mask, crop_counts

ATTRIBUTES = (
    "status", "model", "method", "prompt", "threshold", "score", "presence", "exported", "objects", "warning",
)  # fmt: skip


def write(
    drafts: Sequence[Draft],
    out: Path,
    *,
    objects: How = "parts",
    labels: Sequence[str] | None = None,
    images: bool = False,
) -> list[Path]:
    """Write ``annotations.xml``.

    Args:
        drafts: what to export; see ``plan_export``.
        out: a folder that does not exist yet, or is empty.
        objects: a mask for each object (``parts``, ``each``), or one for all; see ``pieces.pieces``.
        labels: all labels, the topmost last; without it, in order of appearance.
        images: copy the pictures to ``images``.

    Returns:
        The files written.

    Raises:
        ExportError: the drafts cannot be exported, or the folder cannot be written.
    """
    check_how(objects)
    plan = plan_export(drafts, labels)
    with new_folder(out) as folder:
        with (folder / "annotations.xml").open("w", encoding="utf-8", newline="\n") as file:
            file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n')
            _write_meta(file, plan)
            for number, picture in enumerate(plan.pictures):
                height, width = picture.size
                name = quoteattr(picture.name)
                file.write(f'<image id="{number}" name={name} width="{width}" height="{height}">\n')
                for place in picture.drafts:
                    draft = drafts[place]
                    masks = list(pieces(draft, objects))
                    seals = [object_seal([mask]) for mask in masks]
                    attributes = written(draft, draft.mask, objects, seals)
                    for mask in masks:
                        _write_mask(file, draft, mask, attributes, plan.labels.index(draft.label))
                file.write("</image>\n")
            file.write("</annotations>\n")
        if images:
            copy_pictures(plan.pictures, folder / "images")
        return placed(folder, out)


def _write_meta(file: TextIO, plan: ExportPlan) -> None:
    attributes = "".join(
        f"<attribute><name>{name}</name><mutable>False</mutable><input_type>text</input_type>"
        "<default_value></default_value><values></values></attribute>"
        for name in ATTRIBUTES
    )
    file.write(f"<meta><task><name>LFSS Studio</name><size>{len(plan.pictures)}</size><labels>\n")
    for place, label in enumerate(plan.labels):
        colour = hexadecimal(colour_of(place))
        file.write(
            f"<label><name>{escape(label)}</name><color>{colour}</color><type>mask</type>"
            f"<attributes>{attributes}</attributes></label>\n"
        )
    file.write("</labels></task></meta>\n")


def _write_mask(file: TextIO, draft: Draft, mask: Mask, attributes: Mapping[str, Value], order: int) -> None:
    counts, (top, left, height, width) = crop_counts(mask)
    if draft.origin.model == "person":
        source = "manual"
    else:
        source = "auto" if draft.status == "proposed" else "semi-auto"
    file.write(
        f'<mask label={quoteattr(draft.label)} source="{source}" occluded="0" '
        f'rle="{",".join(map(str, counts.tolist()))}" left="{left}" top="{top}" width="{width}" '
        f'height="{height}" z_order="{order}">'
    )
    for name in ATTRIBUTES:
        if name in attributes:
            file.write(f'<attribute name="{name}">{escape(str(attributes[name]))}</attribute>')
    file.write("</mask>\n")
