"""Improve with the whole folder: what would change, side by side; apply it, leave it, or take it back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr

from . import background, review, views
from .bulk import cards
from .folder_help import carry_out, forget_passes, learn, preview
from .handlers import LIGHT, MODEL, guarded
from .review import drafts_of
from .review_view import ReviewTab, View
from .service import Service
from .session import Session
from .sessions import Sessions

HINT = (
    "All pictures with drafts teach, most of all the masks that you accepted or corrected. You see first "
    "what would change; what you have checked stays."
)


class FolderPanel(NamedTuple):
    """Components of the panel."""

    improve: gr.Button
    apply: gr.Button
    leave: gr.Button
    undo: gr.Button
    told: gr.HTML
    learns: gr.Checkbox
    begun: gr.State
    learned: gr.State


def build_folder_panel() -> FolderPanel:
    """Lay out the panel."""
    with gr.Accordion("The whole folder", open=True, elem_id="whole-folder"):
        improve = gr.Button("Improve with the whole folder", size="sm", elem_id="improve")
        told = gr.HTML(elem_id="improve-told", padding=False)
        with gr.Row():
            apply = gr.Button(
                "Apply", size="sm", elem_id="improve-apply", variant="primary", visible=False, min_width=90
            )
            leave = gr.Button("Leave", size="sm", elem_id="improve-leave", visible=False, min_width=90)
        learns = gr.Checkbox(
            label="Learn from each draft that I accept", elem_id="learns", container=False,
            info="In the background. What you have checked and the draft before you stay as they are.",
        )  # fmt: skip
        undo = gr.Button("Take the folder's help back", size="sm", elem_id="improve-undo")
        gr.HTML(views.notes([HINT]), padding=False)
    # Here, within a tab: a state beside the tabs makes Gradio mix up their names.
    return FolderPanel(improve, apply, leave, undo, told, learns, gr.State(0), gr.State(0))


def wire_folder_panel(
    panel: FolderPanel, tab: ReviewTab, service: Service, sessions: Sessions, session_id: gr.State
) -> None:
    """Connect its buttons."""

    def asking(*, shown: bool) -> dict[Any, Any]:
        return {panel.apply: gr.update(visible=shown), panel.leave: gr.update(visible=shown)}

    @guarded
    def look(key: str) -> Iterator[dict[Any, Any]]:
        session = sessions.get(key)
        session.lesson = None
        background.stop(session)
        yield asking(shown=False)
        for bar in learn(service, session):
            yield {panel.told: bar}
        text, changed = "", 0
        for step in preview(service, session):
            if isinstance(step, str):
                yield {panel.told: step}
            else:
                text, changed = seen(session, step), step.changed
        yield {panel.told: text, **asking(shown=changed > 0)}

    @guarded
    def apply(key: str, *view: str) -> Iterator[dict[Any, Any]]:
        session = sessions.get(key)
        kept = 0
        for step in carry_out(service, session):
            if isinstance(step, str):
                yield {panel.told: step}
            else:
                kept = step
        session.lesson = None
        told = [
            f"{drafts_of(kept)} changed with the whole folder.",
            "Undo, or 'Take the folder's help back', undoes it.",
        ]
        done = {panel.told: views.notes(told, kind="done"), **asking(shown=False)}
        yield {**done, **tab.shown(session, key, View(*view))}

    @guarded
    def leave(key: str) -> dict[Any, Any]:
        sessions.get(key).lesson = None
        return {panel.told: views.notes(["Nothing was changed."]), **asking(shown=False)}

    @guarded
    def undo(key: str, *view: str) -> dict[Any, Any]:
        from lfss.refine_folder import undo as take_back

        session = sessions.get(key)
        session.lesson = None
        background.stop(session)
        with session.turn:
            count = take_back(session.workspace, review.labels(session))
            forget_passes(session)
        told = f"{drafts_of(count)} as before." if count else "The folder has not changed any draft."
        done = {panel.told: views.notes([told], kind="done"), **asking(shown=False)}
        return {**done, **tab.shown(session, key, View(*view))}

    @guarded
    def switch(key: str, wanted: bool) -> None:
        background.switch(sessions.get(key), on=wanted)

    @guarded
    def watch(key: str) -> Iterator[dict[Any, Any]]:
        """What goes on in the background, and at its end the list as it is then shown."""
        work = sessions.get(key).background
        for step in work.errand.follow() if work else ():
            yield {panel.told: step}
        yield {panel.learned: time.monotonic()}

    @guarded
    def refresh(key: str, *view: str) -> dict[Any, Any]:
        return tab.beside(sessions.get(key), View(*view))

    panel.learns.input(switch, [session_id, panel.learns], None, **LIGHT)
    panel.begun.change(watch, session_id, [panel.told, panel.learned], **LIGHT)
    panel.learned.change(refresh, [session_id, *tab.view], tab.around, **LIGHT)
    heavy = {**MODEL, **LIGHT}
    both = [panel.apply, panel.leave, panel.told]
    inputs = [session_id, *tab.view]
    panel.improve.click(look, session_id, both, **heavy)
    panel.apply.click(apply, inputs, [*both, *tab.outputs], **heavy)
    panel.leave.click(leave, session_id, both, **LIGHT)
    panel.undo.click(undo, inputs, [*both, *tab.outputs], **LIGHT)


def seen(session: Session, found: Any) -> str:
    """What would change, as HTML: a count, why, and the biggest changes before and after."""
    lesson = session.lesson
    assert lesson is not None
    told = f"{drafts_of(found.changed)} would change."
    return cards(session, found.biggest, told, [verdict.reason for verdict in lesson.verdicts])
