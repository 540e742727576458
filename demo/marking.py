"""Marks on a support, box, scribble or mask: from strokes in an editor to what is known of the picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np
import numpy.typing as npt

from lfss.errors import SupportError
from lfss.morphology import fill_holes

from . import views
from .handlers import LIGHT, MODEL, guarded
from .session import Session
from .sessions import Sessions

BOX, SCRIBBLE, MASK = "Box", "Scribble", "Mask"
HOW_TO_MARK = {
    BOX: "Draw anything that reaches from one corner of the object to the other: the box around it counts.",
    SCRIBBLE: "Blue strokes lie on the object, orange ones beside it. A few are enough.",
    MASK: "Paint the object blue, or draw around it: what a stroke encloses is filled.",
}


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


def build_marking() -> tuple[gr.Group, gr.Radio, gr.ImageEditor, list[gr.Button]]:
    """The editor, hidden until a support is chosen; buttons use marks, remove them, or remove the support."""
    with gr.Group(visible=False, elem_id="marking") as group:
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
            buttons = [
                gr.Button("Use these marks", variant="primary", elem_id="use-marks", min_width=120),
                gr.Button("No marks", elem_id="unmark", min_width=100),
                gr.Button("Remove support", elem_id="remove-support", min_width=120),
            ]
    kind.change(lambda how: HOW_TO_MARK[how], kind, help_text, **LIGHT)
    return group, kind, editor, buttons


def wire_marking(
    gallery: gr.Gallery, marking: tuple[gr.Group, gr.Radio, gr.ImageEditor, list[gr.Button]],
    sessions: Sessions, session_id: gr.State, outputs: list[Any], looked: Callable[[Session], dict[Any, Any]],
) -> None:  # fmt: skip
    """Open the editor on a click in the gallery; ``looked`` fills ``outputs`` after a support has changed."""
    group, kind, editor, (use, unmark, remove) = marking
    chosen = gr.State(None)

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

    gallery.select(choose, session_id, [chosen, editor, group], **LIGHT)
    waiting = {**MODEL, "show_progress_on": gallery}
    use.click(use_marks, [session_id, chosen, editor, kind], outputs, **waiting)
    unmark.click(use_none, [session_id, chosen], outputs, **waiting)
    remove.click(take_away, [session_id, chosen], outputs, **waiting)
