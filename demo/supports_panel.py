"""Steps 1 and 2 of the first tab: the label, the supports, marks on them, and what the model reads there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import numpy as np
import numpy.typing as npt

from lfss.errors import LfssError, SupportError
from lfss.images import SUFFIXES
from lfss.labels import parse_label
from lfss.morphology import fill_holes

from . import example, views
from .handlers import LIGHT, MODEL, guarded
from .run import prepare
from .service import Service
from .session import Session
from .sessions import Sessions

BOX, SCRIBBLE, MASK = "Box", "Scribble", "Mask"
HOW_TO_MARK = {
    BOX: "Draw anything that reaches from one corner of the object to the other: the box around it counts.",
    SCRIBBLE: "Blue strokes lie on the object, orange ones beside it. A few are enough.",
    MASK: "Paint the object blue, or draw around it: what a stroke encloses is filled.",
}
WEAK = 0.5  # of the median agreement: a support below it differs from the others


@dataclass(frozen=True)
class SupportsPanel:
    """Components that other parts of the page read or fill."""

    label: gr.Textbox
    not_words: gr.Textbox
    words: gr.HTML
    gallery: gr.Gallery
    notes: gr.HTML
    marking: gr.Group
    added: list[Any] = field(default_factory=list)  # events after which the supports are others

    @property
    def outputs(self) -> list[Any]:
        """What ``shown`` fills."""
        return [self.label, self.not_words, self.words, self.gallery, self.notes, self.marking]

    def shown(self, service: Service, session: Session, *, extra: Sequence[str] = ()) -> dict[Any, Any]:
        """Everything as the session has it; ``extra`` are sentences to add."""
        return {
            self.label: session.label,
            self.not_words: session.not_words,
            self.words: word_notes(service, session.label, session.not_words),
            self.gallery: support_pictures(session),
            self.notes: views.notes([*extra, *support_notes(session)]),
            self.marking: gr.update(visible=False),
        }


def word_notes(service: Service, label: str, not_words: str) -> str:
    """What the preset says of the words as typed, as HTML."""
    if not label.strip():
        return ""
    try:
        parsed = parse_label(label, not_words=not_words)
    except LfssError as error:
        return views.notes([str(error)], kind="warning")
    lines = []
    for word, closest in service.unknown_words((*parsed.phrases, *parsed.distractors)).items():
        near = f" Known and close: {', '.join(closest)}." if closest else ""
        lines.append(f"The model does not know '{word}'.{near} It can still be found: mark it in a support.")
    return views.notes(lines, kind="warning")


def support_pictures(session: Session) -> list[tuple[npt.NDArray[np.uint8], str]]:
    """Each support with its marks and, in pink, what the model takes from it."""
    pictures = [
        (shown.image.pixels, f"{shown.image.name} · saved") for shown in session.class_pictures.values()
    ]
    for i, item in enumerate(session.supports):
        pixels = views.shrunk(session.shown(item.picture.digest).pixels, 400)
        known = item.marks()
        if known is not None:
            pixels = views.shown_marks(pixels, known)
        if i < len(session.readings):
            pixels = views.shown_mask(pixels, session.readings[i], opacity=0.3)
        agrees = f"agrees {session.agreements[i]:.2f} · " if i < len(session.agreements) else ""
        pictures.append((pixels, f"{agrees}{item.note} · {item.picture.name}"))
    return pictures


def support_notes(session: Session) -> list[str]:
    """How to read the supports, and which of them differs from the others."""
    if session.class_file and not session.supports:
        return [f"The saved class '{session.label}' is in use; adding a support begins a new one."]
    if not session.supports:
        return []
    lines = ["Pink is what the model takes from each support. Click one to mark the object in it."]
    if session.agreements:
        middle = float(np.median(session.agreements))
        names = [
            f"'{item.picture.name}'"
            for item, value in zip(session.supports, session.agreements)
            if value < WEAK * middle
        ]
        if names:
            lines.append(
                f"{', '.join(names)} differs from the other supports. Mark the object, or remove it."
            )
    return lines


def known_from(value: dict[str, Any] | None, kind: str, size: tuple[int, int]) -> npt.NDArray[np.int8]:
    """Marks from an editor.

    Args:
        value: of the editor.
        kind: ``Box``, ``Scribble`` or ``Mask``.
        size: (H, W) of the support's picture.

    Returns:
        (H, W) int8: 1 object, 0 not, -1 unknown.

    Raises:
        SupportError: nothing was drawn.
    """
    strokes = views.read_strokes(value, size)
    known = np.full(size, -1, np.int8)
    if kind == BOX:
        box = views.box_around(strokes.inside | strokes.outside)
        if box is not None:
            known[:] = 0
            known[box[1] : box[3], box[0] : box[2]] = -1
            if (known == 0).any():
                return known
    elif kind == MASK and strokes.inside.any():
        return np.asarray(fill_holes(strokes.inside) & ~strokes.outside, np.int8)
    elif kind == SCRIBBLE and (strokes.inside.any() or strokes.outside.any()):
        known[strokes.inside], known[strokes.outside] = 1, 0
        return known
    raise SupportError(
        "Nothing is drawn yet. Draw on the picture with the brush, then press 'Use these marks'."
    )


def look(service: Service, session: Session) -> list[str]:
    """Ask the model what it takes from each support; returns sentences on what stands in the way."""
    if service.problem or not session.supports:
        return []
    try:
        prepared, _ = prepare(service, session)
        session.readings, session.agreements = service.look_at_supports(prepared)
    except LfssError as error:
        session.readings = session.agreements = ()
        if not session.label.strip():
            return ["Type a label to see what the model takes from each support."]
        return [str(error)]
    return []


def build_supports(service: Service, sessions: Sessions, session_id: gr.State) -> SupportsPanel:
    """Lay out and wire steps 1 and 2."""
    gr.Markdown("### 1 · Name it")
    label = gr.Textbox(
        label="Label", placeholder="dog, puppy", info="One name; synonyms after commas.", elem_id="label"
    )
    words = gr.HTML(elem_id="words", padding=False)
    with gr.Accordion("Not these words", open=False):
        not_words = gr.Textbox(
            label="Words that are something else",
            placeholder="wolf, fox",
            info="What is easily mistaken for it. Optional.",
            elem_id="not-words",
        )
    gr.Markdown("### 2 · Show it")
    drop = gr.File(
        label="Drop one to five photos that show it",
        file_count="multiple",
        file_types=sorted(SUFFIXES),
        height=140,
        elem_id="supports",
    )
    with gr.Accordion("Paste a picture or use the webcam", open=False):
        paste = gr.Image(
            sources=["clipboard", "webcam"], type="filepath", image_mode=None, height=220, elem_id="paste",
            show_label=False,
        )  # fmt: skip
    gallery = gr.Gallery(
        label="Supports", columns=3, height="auto", allow_preview=False, object_fit="contain", format="jpeg",
        elem_id="support-gallery", interactive=False, buttons=[],
    )  # fmt: skip
    notes = gr.HTML(elem_id="support-notes", padding=False)
    with gr.Group(visible=False, elem_id="marking") as marking:
        kind = gr.Radio([BOX, SCRIBBLE, MASK], value=BOX, label="Mark the object in this support")
        help_text = gr.Markdown(HOW_TO_MARK[BOX], elem_classes="lfss-hint")
        editor = gr.ImageEditor(
            type="numpy", image_mode="RGBA", sources=(), transforms=(), layers=False, height=420,
            show_label=False, elem_id="marks-editor", buttons=[],
            brush=gr.Brush(
                default_size=8, colors=[views.OBJECT_BRUSH, views.OTHER_BRUSH], color_mode="fixed"
            ),
        )  # fmt: skip
        with gr.Row():
            use = gr.Button("Use these marks", variant="primary", elem_id="use-marks", min_width=120)
            unmark = gr.Button("No marks", elem_id="unmark", min_width=100)
            remove = gr.Button("Remove support", elem_id="remove-support", min_width=120)
    chosen = gr.State(None)
    panel = SupportsPanel(label, not_words, words, gallery, notes, marking)
    _wire_words(panel, service, sessions, session_id)
    _wire_supports(panel, service, sessions, session_id, drop, paste)

    @guarded
    def choose(key: str, event: gr.SelectData) -> tuple[Any, ...]:
        session = sessions.get(key)
        index = session.check_index(event.index)
        pixels = session.shown(session.supports[index].picture.digest).pixels
        brush = gr.Brush(
            default_size=views.brush_size(pixels),
            colors=[views.OBJECT_BRUSH, views.OTHER_BRUSH],
            color_mode="fixed",
        )
        return index, gr.update(value=views.editor_value(pixels), brush=brush), gr.update(visible=True)

    def looked(session: Session) -> dict[Any, Any]:
        return panel.shown(service, session, extra=look(service, session))

    @guarded
    def use_marks(key: str, index: int | None, value: dict[str, Any], how: str) -> dict[Any, Any]:
        session = sessions.get(key)
        index = session.check_index(index)
        session.mark(index, known_from(value, how, session.supports[index].picture.size), how.lower())
        return looked(session)

    @guarded
    def use_none(key: str, index: int | None) -> dict[Any, Any]:
        session = sessions.get(key)
        session.mark(session.check_index(index), None, "label only")
        return looked(session)

    @guarded
    def take_away(key: str, index: int | None) -> dict[Any, Any]:
        session = sessions.get(key)
        del session.supports[session.check_index(index)]
        session.readings = session.agreements = ()
        return looked(session)

    gallery.select(choose, session_id, [chosen, editor, marking], **LIGHT)
    kind.change(lambda how: HOW_TO_MARK[how], kind, help_text, **LIGHT)
    waiting = {**MODEL, "show_progress_on": gallery}
    use.click(use_marks, [session_id, chosen, editor, kind], panel.outputs, **waiting)
    unmark.click(use_none, [session_id, chosen], panel.outputs, **waiting)
    remove.click(take_away, [session_id, chosen], panel.outputs, **waiting)
    return panel


def _wire_words(panel: SupportsPanel, service: Service, sessions: Sessions, session_id: gr.State) -> None:
    @guarded
    def typed(key: str, label: str, not_words: str) -> str:
        session = sessions.get(key)
        if (label, not_words) != (session.label, session.not_words):
            session.class_file, session.readings, session.agreements = None, (), ()
        session.label, session.not_words = label, not_words
        return word_notes(service, label, not_words)

    @guarded
    def settled(key: str, label: str, not_words: str) -> dict[Any, Any]:
        session = sessions.get(key)
        if (label, not_words) == (session.label, session.not_words) and session.readings:
            return {panel.gallery: gr.skip(), panel.notes: gr.skip()}
        session.label, session.not_words = label, not_words
        extra = look(service, session)
        return {
            panel.gallery: support_pictures(session),
            panel.notes: views.notes([*extra, *support_notes(session)]),
        }

    inputs = [session_id, panel.label, panel.not_words]
    for box in (panel.label, panel.not_words):
        box.input(typed, inputs, panel.words, trigger_mode="always_last", **LIGHT)
        box.blur(settled, inputs, [panel.gallery, panel.notes], **{**MODEL, **LIGHT})


def _wire_supports(
    panel: SupportsPanel, service: Service, sessions: Sessions, session_id: gr.State, drop: gr.File,
    paste: gr.Image,
) -> None:  # fmt: skip
    @guarded
    def add(key: str, files: Any, label: str, not_words: str) -> dict[Any, Any]:
        session = sessions.get(key)
        if not files:
            return {drop: None}
        session.label, session.not_words = label, not_words  # what was typed last may still be on its way
        if session.example:
            leave_example(session)
        session.class_file, session.class_pictures = None, {}
        refused = session.add_supports(files if isinstance(files, list) else [files])
        extra = [*refused, *look(service, session)]
        return {drop: None, paste: None} | panel.shown(service, session, extra=extra)

    outputs = [drop, paste, *panel.outputs]
    typed, waiting = [panel.label, panel.not_words], {**MODEL, "show_progress_on": panel.gallery}
    panel.added.append(drop.upload(add, [session_id, drop, *typed], outputs, **waiting))
    panel.added.append(paste.input(add, [session_id, paste, *typed], outputs, **waiting))


def leave_example(session: Session) -> None:
    """Put the worked example away; a label that was typed over it stays."""
    label, not_words = session.label, session.not_words
    session.clear()
    if label != example.LABEL:
        session.label, session.not_words = label, not_words
