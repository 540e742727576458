"""Correcting a draft with brush and repairs, and teaching the model from what was checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from lfss.errors import InputError

from . import review, views
from .handlers import LIGHT, MODEL, guarded
from .review import View
from .review_view import ReviewTab
from .run import run
from .service import Service
from .sessions import Sessions
from .supports_panel import look


def wire_editing(
    tab: ReviewTab, sessions: Sessions, session_id: gr.State, edit: gr.Button, editor: gr.ImageEditor,
    apply: gr.Button,
) -> None:  # fmt: skip
    @guarded
    def begin(key: str, *view: str) -> tuple[Any, Any]:
        session = sessions.get(key)
        draft = review.draft_of(session, View(*view))
        session.edited = draft.image_digest
        pixels = session.shown(draft.image_digest).pixels
        brush = gr.Brush(
            default_size=views.brush_size(pixels),
            colors=[views.OBJECT_BRUSH, views.OTHER_BRUSH],
            color_mode="fixed",
        )
        shown = views.shown_mask(pixels, draft.mask, opacity=0.3)
        return gr.update(value=views.editor_value(shown), brush=brush), gr.update(visible=True)

    @guarded
    def finish(key: str, value: dict[str, Any], *view: str) -> dict[Any, Any]:
        session = sessions.get(key)
        draft = review.draft_of(session, View(*view))
        if session.edited != draft.image_digest:
            raise InputError("Another draft has been chosen meanwhile. Press 'Edit' again.")
        strokes = views.read_strokes(value, draft.size)
        if not (strokes.inside.any() or strokes.outside.any()):
            raise InputError("Nothing is drawn yet. Draw on the picture, then press 'Apply strokes'.")
        review.change(session, View(*view), views.apply_strokes(draft.mask, strokes))
        return tab.shown(session, View(*view)) | tab.closed()

    edit.click(begin, [session_id, *tab.view], [editor, tab.editing], **LIGHT)
    apply.click(finish, [session_id, editor, *tab.view], tab.outputs, **LIGHT)


def wire_repairs(
    tab: ReviewTab, sessions: Sessions, session_id: gr.State, buttons: list[gr.Button], radius: gr.Slider
) -> None:
    def mending(name: str) -> Callable:
        @guarded
        def mend(key: str, reach: float, *view: str) -> dict[Any, Any]:
            session = sessions.get(key)
            review.repair(session, View(*view), name, int(reach))
            return tab.shown(session, View(*view))

        return mend

    for button in buttons:
        button.click(mending(str(button.value)), [session_id, radius, *tab.view], tab.outputs, **LIGHT)


def wire_teaching(
    tab: ReviewTab, service: Service, sessions: Sessions, session_id: gr.State,
    teach: gr.Button, again: gr.Button, lesson: gr.HTML,
) -> None:  # fmt: skip
    @guarded
    def learn(key: str, *view: str) -> str:
        session = sessions.get(key)
        item = review.teach(session, View(*view))
        taught = review.class_of(session, View(*view).label or "")
        look(service, session, taught)
        left = len(review.unchecked(session, View(*view).label or ""))
        lines = [f"'{item.picture.name}' is a support now; there are {len(taught.supports)}."]
        if left:
            lines.append(f"Press 'Run the unchecked drafts again' to let {left} drafts learn from it.")
        return views.notes(lines, kind="done")

    @guarded
    def run_again(key: str, *view: str) -> Iterator[dict[Any, Any]]:
        session, wanted = sessions.get(key), View(*view)
        queries = review.unchecked(session, wanted.label or "")
        if not queries:
            raise InputError("Every draft of this label has been checked; there is nothing to run again.")
        items = [review.class_of(session, wanted.label or "")]
        changed: list[str] = []
        shown, done = time.monotonic(), 0
        for update in run(service, session, session.settings, items=items, queries=queries):
            if update.digest:
                done = update.done
                if update.overlap is not None and update.overlap < review.SAME:
                    changed.append(f"{update.name} (overlap with before {update.overlap:.2f})")
            if time.monotonic() - shown > 0.3:
                shown = time.monotonic()
                bar = views.progress(
                    update.done, update.total, text=update.name, seconds_left=update.seconds_left
                )
                yield {lesson: bar}
        more = [f"… and {len(changed) - 20} more."] if len(changed) > 20 else []
        told = [f"{done} drafts were run again, {len(changed)} of them changed.", *changed[:20], *more]
        yield {lesson: views.notes(told, kind="done"), **tab.shown(session, wanted)}

    inputs = [session_id, *tab.view]
    teach.click(learn, inputs, lesson, **{**MODEL, **LIGHT})
    again.click(run_again, inputs, [lesson, *tab.outputs], **{**MODEL, **LIGHT})
