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


def wire_editing(tab: ReviewTab, sessions: Sessions, session_id: gr.State, edit: gr.Button) -> None:
    """What follows a stroke, which the canvas has saved already; Edit hands the keyboard to the canvas.

    Args:
        tab: the tab.
        sessions, session_id: as all handlers get them.
        edit: the button.
    """

    @guarded
    def drawn(key: str, *view: str) -> dict[Any, Any]:
        return tab.beside(sessions.get(key), View(*view))

    tab.canvas.input(drawn, [session_id, *tab.view], tab.around, trigger_mode="always_last", **LIGHT)
    edit.click(None, js="() => document.querySelector('#review-canvas .lc-view').focus()", **LIGHT)


def wire_repairs(
    tab: ReviewTab, sessions: Sessions, session_id: gr.State, buttons: list[gr.Button], radius: gr.Slider
) -> None:
    """Connect the buttons that repair the mask that is shown.

    Args:
        tab: the tab.
        sessions, session_id: as all handlers get them.
        buttons: one for each repair, named as in ``REPAIRS``.
        radius: the slider.
    """

    def mending(name: str) -> Callable:
        @guarded
        def mend(key: str, reach: float, *view: str) -> dict[Any, Any]:
            session = sessions.get(key)
            review.repair(session, View(*view), name, int(reach))
            return tab.shown(session, key, View(*view))

        return mend

    for button in buttons:
        button.click(mending(str(button.value)), [session_id, radius, *tab.view], tab.outputs, **LIGHT)


def wire_teaching(
    tab: ReviewTab, service: Service, sessions: Sessions, session_id: gr.State,
    teach: gr.Button, again: gr.Button, lesson: gr.HTML,
) -> None:  # fmt: skip
    """Connect the buttons that make a draft a support, and that make drafts again with it.

    Args:
        tab: the tab.
        service, sessions, session_id: as all handlers get them.
        teach, again: the buttons.
        lesson: where it says what happened.
    """

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
        taught = review.class_of(session, wanted.label or "")
        items = [item for item in session.classes if item.name]  # they compete for pixels with this one
        changed: list[str] = []
        shown, done = time.monotonic(), 0
        runs = run(service, session, session.settings, items=items, queries=queries, drafts_of=taught)
        for update in runs:
            if update.digest and update.item is taught:
                done += 1
                if update.overlap is not None and update.overlap < review.SAME:
                    changed.append(f"{update.name} (overlap with before {update.overlap:.2f})")
            if time.monotonic() - shown > 0.3:
                shown = time.monotonic()
                bar = views.progress(
                    update.done, update.total, text=update.name, seconds_left=update.seconds_left
                )
                yield {lesson: bar}
        more = [f"… and {len(changed) - 20} more."] if len(changed) > 20 else []
        messages = [f"{done} drafts were run again, {len(changed)} of them changed.", *changed[:20], *more]
        yield {lesson: views.notes(messages, kind="done"), **tab.shown(session, key, wanted)}

    inputs = [session_id, *tab.view]
    teach.click(learn, inputs, lesson, **{**MODEL, **LIGHT})
    again.click(run_again, inputs, [lesson, *tab.outputs], **{**MODEL, **LIGHT})
