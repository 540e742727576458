"""Export: drafts in the formats of other tools, as one zip."""

from __future__ import annotations

import html
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from lfss.annotations import FORMATS
from lfss.annotations.bundle import write_bundle
from lfss.annotations.pieces import How, pieces
from lfss.drafts import Draft, Status
from lfss.errors import InputError
from lfss.labels import find_label

from . import last_export, review, views
from .handlers import LIGHT, PRIVATE, guarded
from .session import Session
from .sessions import Sessions

STATES: dict[str, Status] = {
    "Accepted": "accepted",
    "Edited": "edited",
    "Object absent": "absent",
    "Drafts nobody has checked": "proposed",
}
OBJECTS = {
    "One for each object; in panoptic, VOC and PNG one for each label": "",
    "One for each object, in every format that can": "parts",
    "One for each object, those that touch cut apart": "each",
    "One for each label in a picture": "together",
}
COUNTED = 500  # drafts whose objects are counted before an export
CHECKED = ["Accepted", "Edited", "Object absent"]


def chosen_drafts(session: Session, labels: Sequence[str], states: Sequence[str]) -> Sequence[Draft]:
    """The drafts of these labels and states, a label after the other, read one by one as they are used."""
    status = [STATES[state] for state in states if state in STATES]
    known = [category.name for category in session.workspace.labels()]
    names = [name for name in labels if find_label(name, known)]
    return session.workspace.drafts(names, status, order="label")


def counted(session: Session, labels: Sequence[str], states: Sequence[str]) -> str:
    """How many drafts an export would hold, as HTML."""
    found = session.workspace.stats().drafts
    status = {STATES[state] for state in states if state in STATES}
    total = sum(n for name in labels for s, n in found.get(name, {}).items() if s in status)
    left = sum(found.get(name, {}).get("proposed", 0) for name in labels)
    lines = [f"{total} drafts will be exported." if total != 1 else "1 draft will be exported."]
    if left and "proposed" not in status and not total:
        lines.append(
            f"Nobody has checked {review.drafts_of(left)} yet: decide in Review, or tick the last box."
        )
    elif left and "proposed" not in status:
        lines.append(f"Left out: {review.drafts_of(left)} that nobody has checked.")
    if not found:
        return views.empty("There is nothing to export yet", ["Run and review first."])
    return views.notes(lines) + _table(session, [name for name in labels if name in found], status)


def _table(session: Session, labels: Sequence[str], status: set[Status]) -> str:
    """What an export would hold of each label, as HTML."""
    rows = []
    for name in labels:
        listed = [row for row in session.workspace.overview(name) if row.status in status]
        shown = [row for row in listed if row.status not in ("absent", "rejected")]
        objects = without = "…"
        if len(shown) <= COUNTED:
            found = [review.objects_in(session, row) for row in shown]
            objects, without = str(sum(found)), str(len(listed) - sum(n > 0 for n in found))
        pictures = len({row.digest for row in listed})
        cells = "".join(f"<td>{cell}</td>" for cell in (pictures, objects, without))
        rows.append(f"<tr><th>{html.escape(name)}</th>{cells}</tr>")
    if not rows:
        return ""
    head = "<th>Label</th><th>Pictures</th><th>Objects</th><th>Without any</th>"
    return (
        '<div class="lfss-table"><table class="lfss-tally"><thead><tr>'
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def export(
    session: Session, labels: Sequence[str], states: Sequence[str], formats: Sequence[str], *, images: bool,
    objects: str = "",
) -> Path:  # fmt: skip
    """Write the bundle.

    Args:
        session: of the visitor.
        labels, states, formats: names that were ticked.
        images: copy the pictures as well.

    Raises:
        InputError: nothing is chosen, or nothing matches.
        ExportError: it cannot be written.
    """
    if not formats:
        raise InputError("Choose at least one format.")
    drafts = chosen_drafts(session, labels, states)
    if not drafts:
        raise InputError("No draft matches this choice. Review some first, or tick more states.")
    out = session.folder / "exports" / f"lfss-export-{secrets.token_hex(3)}.zip"
    out.parent.mkdir(exist_ok=True)
    return write_bundle(
        drafts,
        out,
        formats=list(formats),
        options={"objects": objects} if objects else None,
        labels=list(labels),
        images=images,
        failed=session.failures,
    )


def shown_objects(session: Session, labels: Sequence[str], states: Sequence[str], how: str) -> str:
    """How many objects an export holds, in a sentence."""
    rule: How = "each" if how == "each" else "parts"
    drafts = chosen_drafts(session, labels, states)
    total = sum(1 for draft in drafts if not draft.empty for _ in pieces(draft, rule))
    return f"These drafts show {total} object{'' if total == 1 else 's'}."


def build_export(sessions: Sessions, session_id: gr.State) -> None:
    """Lay out and wire the tab."""
    # Results without a ground truth to match make no sense here.
    choices = [(form.title, name) for name, form in FORMATS.items() if name != "coco-results"]
    with gr.Tab("Export", id="export") as tab, gr.Row(equal_height=False, elem_id="export-form"):
        with gr.Column(min_width=320):
            labels = gr.CheckboxGroup([], label="Labels", elem_id="export-labels")
            states = gr.CheckboxGroup(
                list(STATES), value=CHECKED, label="Which drafts", elem_id="export-states"
            )
            counts = gr.HTML(elem_id="export-counts", padding=False)
        with gr.Column(min_width=320):
            formats = gr.CheckboxGroup(choices, value=["coco"], label="Formats", elem_id="export-formats")
            objects = gr.Radio(
                list(OBJECTS), value=next(iter(OBJECTS)), label="Shapes", elem_id="export-objects"
            )
            images = gr.Checkbox(label="Put the pictures in too", elem_id="export-images")
            write = gr.Button("Export", variant="primary", elem_id="export")
            out = gr.File(label="Bundle", visible=False, elem_id="export-file")
            hints = gr.HTML(elem_id="export-hints", padding=False)

    @guarded
    def refresh(key: str, chosen: list[str]) -> dict[Any, Any]:
        session = sessions.get(key)
        names = [category.name for category in session.workspace.labels()]
        last, begin = last_export.read(session), dict[Any, Any]()
        if last is not None:
            chosen = [state for state in STATES if state in last.states]
            kinds = [name for _, name in choices if name in last.formats]
            begin = {states: chosen, formats: kinds, images: last.images}
            begin |= {objects: last.objects} if last.objects in OBJECTS else {}
        listed = {labels: gr.update(choices=names, value=names), counts: counted(session, names, chosen)}
        return {**begin, **listed}

    @guarded
    def recount(key: str, names: list[str], chosen: list[str]) -> str:
        return counted(sessions.get(key), names, chosen)

    @guarded
    def make(
        key: str, names: list[str], chosen: list[str], kinds: list[str], shapes: str, with_images: bool
    ) -> tuple[Any, str]:
        session = sessions.get(key)
        how = OBJECTS.get(shapes, "")
        last_export.keep(session, last_export.Choice(tuple(chosen), tuple(kinds), shapes, with_images))
        path = export(session, names, chosen, kinds, images=with_images, objects=how)
        lines = [shown_objects(session, names, chosen, how)]
        lines += [f"{FORMATS[kind].title}: {FORMATS[kind].hint}" for kind in kinds]
        return gr.update(value=str(path), visible=True), views.notes(lines)

    tab.select(refresh, [session_id, states], [labels, states, counts, formats, objects, images], **LIGHT)
    for choice in (labels, states):
        choice.input(recount, [session_id, labels, states], counts, **LIGHT)
    write.click(make, [session_id, labels, states, formats, objects, images], [out, hints], **PRIVATE)
