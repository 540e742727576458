"""Correcting a draft with brush and repairs, and teaching the model from what was checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from . import bulk, review, views
from .bulk_panel import BulkPanel, wire_bulk
from .handlers import LIGHT, MODEL, guarded
from .review import View
from .review_view import ReviewTab
from .service import Service
from .session import Session
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
    teach: gr.Button, lesson: gr.HTML,
) -> None:  # fmt: skip
    """Connect the button that makes a draft a support.

    Args:
        tab: the tab.
        service, sessions, session_id: as all handlers get them.
        teach: the button.
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

    inputs = [session_id, *tab.view]
    teach.click(learn, inputs, lesson, **{**MODEL, **LIGHT})


def wire_many(
    tab: ReviewTab, panel: BulkPanel, service: Service, sessions: Sessions, session_id: gr.State,
    buttons: tuple[gr.Button, gr.Button, gr.Button, gr.Button], chosen: gr.Dropdown, radius: gr.Slider,
) -> None:  # fmt: skip
    """Connect what changes many drafts: accept all, mark empty ones absent, repair all, and run again.

    Args:
        tab: the tab.
        panel: shows what would change.
        service, sessions, session_id: as all handlers get them.
        buttons: for the four.
        chosen, radius: which repair, and how far it goes.
    """

    def accept(session: Session, *view: str) -> Iterator[str | bulk.Proposal]:
        yield bulk.accept(session, View(*view))

    def absent(session: Session, *view: str) -> Iterator[str | bulk.Proposal]:
        yield bulk.absent(session, View(*view))

    def repair(session: Session, name: str, reach: float, *view: str) -> Iterator[str | bulk.Proposal]:
        yield from bulk.repair(session, View(*view), name, int(reach))

    def again(session: Session, *view: str) -> Iterator[str | bulk.Proposal]:
        yield from bulk.again(service, session, View(*view))

    def changed(session: Session, key: str, *view: str) -> dict[Any, Any]:
        review.stay(session, View(*view))
        return tab.shown(session, key, View(*view))

    proposing = wire_bulk(panel, sessions, session_id, tab.view, tab.outputs, changed)
    proposing(buttons[0], accept, tab.view)
    proposing(buttons[1], absent, tab.view)
    proposing(buttons[2], repair, [chosen, radius, *tab.view])
    proposing(buttons[3], again, tab.view)
