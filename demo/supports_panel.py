"""Steps 1 and 2 of the first tab: labels, their supports, and what the model reads in those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import numpy as np

from lfss.errors import LfssError
from lfss.images import SUFFIXES
from lfss.labels import parse_label

from . import example, views, words
from .classes import ClassItem
from .classes_panel import ClassesPanel, wire_classes
from .colours import colour_of
from .handlers import LIGHT, MODEL, guarded
from .marking import build_marking, wire_marking
from .run import prepare
from .service import Service
from .session import Session
from .sessions import Sessions

WEAK_WORD = (
    "The model knows little of '{word}', so it goes by what the supports look like. Give three to five, or "
    "mark the object in one."
)
WEAK = 0.5  # of the median agreement: a support below it differs from the others


@dataclass(frozen=True)
class SupportsPanel:
    """Components that other parts of the page read or fill."""

    classes: ClassesPanel
    label: gr.Textbox
    not_words: gr.Textbox
    words: gr.HTML
    gallery: gr.Gallery
    notes: gr.HTML
    marking: gr.Group
    changed: list[Any] = field(default_factory=list)  # events after which other results are to be seen

    @property
    def typed(self) -> list[Any]:
        """Inputs: the number of the class that is edited, its label and "not" words."""
        return [self.classes.choice, self.label, self.not_words]

    @property
    def outputs(self) -> list[Any]:
        """What ``shown`` fills."""
        return [
            *self.classes.outputs, self.label, self.not_words, self.words, self.gallery, self.notes,
            self.marking,
        ]  # fmt: skip

    def shown(self, service: Service, session: Session, *, extra: Sequence[str] = ()) -> dict[Any, Any]:
        """Everything as the session has it; ``extra`` are sentences to add."""
        return {
            **self.classes.shown(session),
            self.label: session.label,
            self.not_words: session.not_words,
            self.words: word_notes(service, session.label, session.not_words),
            **self.looked(session, extra=extra),
            self.marking: gr.update(visible=False),
        }

    def looked(self, session: Session, *, extra: Sequence[str] = ()) -> dict[Any, Any]:
        """The supports alone, as the model reads them."""
        several = len(session.classes) > 1
        name = f"Supports of '{session.classes.chosen.name or 'the new label'}'" if several else "Supports"
        if session.example:
            name = "Supports of the worked example"
        pictures = support_pictures(session)
        return {
            self.gallery: gr.update(value=pictures, label=name, visible=bool(pictures)),
            self.notes: views.notes([*extra, *support_notes(session)]),
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
    weak = service.weak_word(parsed.phrases)
    advice = [WEAK_WORD.format(word=weak)] if weak else []
    return views.notes(lines, kind="warning") + views.notes(advice)


def support_pictures(session: Session) -> list[tuple[str, str]]:
    """A file and a caption for each support, with its marks and what the model takes from it.

    Each thing that a caption says has a line of its own.
    """
    pictures = [
        (session.file_of(shown.image.pixels), f"{shown.image.name}\nsaved")
        for shown in session.class_pictures.values()
    ]
    colour = colour_of(session, session.classes.chosen.name)
    for i, item in enumerate(session.supports):
        pixels = views.shrunk(session.shown(item.picture.digest).pixels, 400)
        known = item.marks()
        if known is not None:
            pixels = views.shown_marks(pixels, known)
        if i < len(session.readings):
            pixels = views.shown_mask(pixels, session.readings[i], opacity=0.3, colour=colour)
        agrees = f"\nagrees {session.agreements[i]:.2f}" if i < len(session.agreements) else ""
        pictures.append((session.file_of(pixels), f"{item.picture.name}\n{item.note}{agrees}"))
    return pictures


def support_notes(session: Session) -> list[str]:
    """How to read the supports, and which of them differs from the others."""
    if session.class_file and not session.supports:
        return [f"The saved class '{session.label}' is in use; adding a support begins a new one."]
    if not session.supports:
        return []
    read = "Coloured is what the model takes from each support. " if session.readings else ""
    lines = [f"{read}Click a support to mark the object in it."]
    if session.agreements:
        lines.append(f"'Agrees' tells its {words.word('agreement')} with the others.")
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


def look(service: Service, session: Session, item: ClassItem | None = None) -> list[str]:
    """Ask the model what it takes from each support of a class, by default the one that is edited.

    Returns:
        Sentences on what stands in the way.
    """
    item = item or session.classes.chosen
    if service.problem or not item.supports:
        return []
    try:
        item.readings, item.agreements = service.look_at_supports(prepare(service, item))
    except LfssError as error:
        item.readings = item.agreements = ()
        if not item.label.strip():
            return ["Type a label to see what the model takes from each support."]
        return [str(error)]
    return []


def build_supports(service: Service, sessions: Sessions, session_id: gr.State) -> SupportsPanel:
    """Lay out and wire steps 1 and 2."""
    gr.HTML(views.step(1, "Name it"), padding=False)
    choice = gr.Radio([], label="Labels", info="Choose one to change it.", visible=False, elem_id="labels")
    label = gr.Textbox(
        label="Label", placeholder="dog, puppy", info="One name; synonyms after commas.", max_lines=1,
        elem_id="label",
    )  # fmt: skip
    words = gr.HTML(elem_id="words", padding=False)
    with gr.Row():
        add = gr.Button("Add another label", size="sm", elem_id="add-label")
        remove = gr.Button("Remove this label", size="sm", visible=False, elem_id="remove-label")
    with gr.Accordion("Not these words", open=False):
        not_words = gr.Textbox(
            label="Words that are something else", placeholder="wolf, fox", max_lines=1,
            info="What is easily mistaken for it. Optional.", elem_id="not-words",
        )  # fmt: skip
    gr.HTML(views.step(2, "Show it"), padding=False)
    drop = gr.File(
        label="Drop one to five photos that show it", file_count="multiple", file_types=sorted(SUFFIXES),
        height=104, elem_id="supports",
    )  # fmt: skip
    share = gr.Button("Use the photos of the other labels too", size="sm", visible=False, elem_id="share")
    with gr.Accordion("Paste a picture or use the webcam", open=False):
        paste = gr.Image(
            sources=["clipboard", "webcam"], type="filepath", image_mode=None, height=220, elem_id="paste",
            show_label=False,
        )  # fmt: skip
    gallery = gr.Gallery(
        label="Supports", columns=3, height="auto", allow_preview=False, object_fit="contain",
        elem_id="support-gallery", interactive=False, buttons=[],
    )  # fmt: skip
    notes = gr.HTML(elem_id="support-notes", padding=False)
    marking = build_marking(sessions)
    classes = ClassesPanel(choice, remove, share)
    panel = SupportsPanel(classes, label, not_words, words, gallery, notes, marking[0])

    def shown(session: Session) -> dict[Any, Any]:
        return panel.shown(service, session, extra=look(service, session))

    def looked(session: Session) -> dict[Any, Any]:
        return panel.looked(session, extra=look(service, session))

    wire_marking(gallery, marking, sessions, session_id, panel.outputs, shown, looked)
    _wire_words(panel, service, sessions, session_id)
    _wire_supports(panel, service, sessions, session_id, drop, paste)
    panel.changed.extend(wire_classes(panel, add, service, sessions, session_id, shown))
    return panel


def _wire_words(panel: SupportsPanel, service: Service, sessions: Sessions, session_id: gr.State) -> None:
    @guarded
    def typed(key: str, number: int | None, label: str, not_words: str) -> dict[Any, Any]:
        session = sessions.get(key)
        item = session.classes.numbered(number)
        if item is None:
            return {panel.words: gr.skip()}
        if (label, not_words) != (item.label, item.not_words):
            session.typed_over = session.example
            item.class_file, item.readings, item.agreements = None, (), ()
        item.label, item.not_words = label, not_words
        return {panel.words: word_notes(service, label, not_words), **panel.classes.named(session)}

    @guarded
    def settled(key: str, number: int | None, label: str, not_words: str) -> dict[Any, Any]:
        session = sessions.get(key)
        item = session.classes.numbered(number)
        if item is None or ((label, not_words) == (item.label, item.not_words) and item.readings):
            return {panel.notes: gr.skip()}
        item.label, item.not_words = label, not_words
        extra = look(service, session, item)
        if item is not session.classes.chosen:  # another one has been chosen meanwhile
            return {panel.notes: gr.skip()}
        return panel.looked(session, extra=extra)

    inputs = [session_id, *panel.typed]
    for box in (panel.label, panel.not_words):
        # Not input: Gradio tells it of keys that write a letter only, not of Backspace or of pasted text.
        box.change(typed, inputs, [panel.words, panel.classes.choice], trigger_mode="always_last", **LIGHT)
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
            example.leave(session)
        session.class_file, session.class_pictures = None, {}
        refused = session.add_supports(files if isinstance(files, list) else [files])
        extra = [*refused, *look(service, session)]
        return {drop: None, paste: None} | panel.shown(service, session, extra=extra)

    outputs, waiting = [drop, paste, *panel.outputs], {**MODEL, "show_progress_on": panel.gallery}
    for event, source in ((drop.upload, drop), (paste.input, paste)):
        panel.changed.append(
            event(add, [session_id, source, panel.label, panel.not_words], outputs, **waiting)
        )
