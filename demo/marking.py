"""Marks on a support: drawn on the canvas, saved as they are drawn, and looked at by the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from .canvas import build_canvas
from .drawing import keep_drawing, support_task
from .handlers import LIGHT, MODEL, guarded
from .session import Session
from .sessions import Sessions


def build_marking(sessions: Sessions) -> tuple[gr.Group, gr.HTML, list[gr.Button]]:
    """The canvas, hidden until a support is chosen; buttons remove marks, or the support."""
    with gr.Group(visible=False, elem_id="marking") as group:
        canvas = build_canvas(
            save=lambda key, name, drawn: keep_drawing(sessions, key, name, drawn), elem_id="marks-canvas"
        )
        with gr.Row():
            buttons = [
                gr.Button("No marks", elem_id="unmark", min_width=100),
                gr.Button("Remove support", elem_id="remove-support", min_width=120),
            ]
    return group, canvas, buttons


def wire_marking(
    gallery: gr.Gallery, marking: tuple[gr.Group, gr.HTML, list[gr.Button]],
    sessions: Sessions, session_id: gr.State, outputs: list[Any],
    shown: Callable[[Session], dict[Any, Any]], looked: Callable[[Session], dict[Any, Any]],
) -> None:  # fmt: skip
    """Open the canvas on a click in the gallery.

    Args:
        shown: fills ``outputs`` after the list of supports has changed.
        looked: fills some of them after a support was marked; the canvas stays as it is.
    """
    group, canvas, (unmark, remove) = marking
    chosen = gr.State(None)

    @guarded
    def choose(key: str, event: gr.SelectData) -> tuple[Any, ...]:
        session = sessions.get(key)
        index = session.check_index(event.index)
        return index, support_task(session, key, index), gr.update(visible=True)

    @guarded
    def marked(key: str) -> dict[Any, Any]:
        return looked(sessions.get(key))

    @guarded
    def use_none(key: str, index: int | None) -> dict[Any, Any]:
        session = sessions.get(key)
        session.mark(session.check_index(index), None, "label only")
        return {canvas: support_task(session, key, session.check_index(index)), **looked(session)}

    @guarded
    def take_away(key: str, index: int | None) -> dict[Any, Any]:
        session = sessions.get(key)
        del session.supports[session.check_index(index)]
        session.readings = session.agreements = ()
        return shown(session)

    gallery.select(choose, session_id, [chosen, canvas, group], **LIGHT)
    waiting = {**MODEL, "show_progress_on": gallery}
    canvas.input(marked, session_id, outputs, trigger_mode="always_last", **waiting)
    unmark.click(use_none, [session_id, chosen], [canvas, *outputs], **waiting)
    remove.click(take_away, [session_id, chosen], outputs, **waiting)
