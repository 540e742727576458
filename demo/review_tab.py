"""Review: drafts sorted by doubt, decided by key or button, corrected at full resolution, and taught from."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import gradio as gr

from . import background, review, views
from .asking import answer
from .bulk_panel import build_bulk
from .canvas import build_canvas
from .drawing import keep_drawing, recolour
from .folder_panel import build_folder_panel, wire_folder_panel
from .handlers import LIGHT, guarded
from .objects_panel import build_objects
from .panels import fold_handle
from .review import View
from .review_edit import wire_editing, wire_many, wire_repairs, wire_teaching
from .review_strip import build_review_strip
from .review_view import ReviewTab
from .service import Service
from .session import Session
from .sessions import Sessions

BUTTONS = {  # the name, its text, what it does
    "accept": ("Accept", "The mask is right; go on (a)"),
    "absent": ("Absent", "The picture does not show it; go on (x)"),
    "reject": ("Reject", "Neither this mask nor this picture is of use; go on (Delete)"),
    "edit": ("Edit", "Draw on the picture by keys (e)"),
    "previous": ("Previous", "The draft before this one (k)"),
    "next": ("Next", "The draft after this one (j)"),
    "undo": ("Undo", "Take back the latest change (z)"),
    "redo": ("Redo", "Do again what was taken back (y)"),
}


def build_review(service: Service, sessions: Sessions, session_id: gr.State) -> ReviewTab:
    """Lay out and wire the tab."""
    with (
        gr.Tab("Review", id="review") as opened,
        gr.Row(equal_height=False, elem_classes="lfss-work lfss-review"),
    ):
        with gr.Column(scale=0, min_width=260, elem_classes="lfss-side lfss-panel-list"):
            listing = _build_list(sessions)
        fold_handle("list", "left")
        with gr.Column(scale=1, min_width=320, elem_classes="lfss-main"):
            canvas = build_canvas(
                save=lambda key, name, drawn: keep_drawing(sessions, key, name, drawn),
                ask=lambda *sent: answer(service, sessions, *sent),
                recolour=lambda *sent: recolour(sessions, *sent),
                elem_id="review-canvas",
            )
            buttons = _build_buttons()
            facts = gr.HTML(elem_id="review-facts", padding=False)
        fold_handle("tools", "right")
        with gr.Column(scale=0, min_width=260, elem_classes="lfss-side lfss-tail lfss-panel-tools"):
            tools = _build_tools()
            many = build_bulk("many")
            folder = build_folder_panel()
            with gr.Accordion("What has been done", open=False, elem_id="activity"):
                done = gr.HTML(padding=False, elem_id="activity-list")
            tab = ReviewTab(
                tab=opened, canvas=canvas, facts=facts, many=many, activity=done, learns=folder.learns,
                begun=folder.begun, **listing,
            )  # fmt: skip
            build_objects(tab, sessions, session_id)
    _wire_list(tab, sessions, session_id)
    _wire_buttons(tab, service, sessions, session_id, buttons)
    wire_editing(tab, sessions, session_id, buttons["edit"])
    wire_repairs(tab, sessions, session_id, tools.repairs, tools.radius)
    wire_teaching(tab, service, sessions, session_id, tools.teach, tools.lesson)
    wire_many(
        tab, many, service, sessions, session_id,
        (tools.accept, tools.absent, tools.mend, tools.again), tools.kind, tools.radius,
    )  # fmt: skip
    wire_folder_panel(folder, tab, service, sessions, session_id)
    return tab


def _build_list(sessions: Sessions) -> dict[str, Any]:
    """What is listed: components by their names in ``ReviewTab``."""
    with gr.Row(elem_classes="lfss-pair"):
        label = gr.Dropdown(label="Label", choices=[], elem_id="review-label", min_width=100, scale=2)
        order = gr.Dropdown(
            list(review.ORDERS), value="Most doubtful first", label="Order", elem_id="review-order",
            min_width=110, scale=3,
        )  # fmt: skip
    state = gr.Radio(list(review.STATES), value="To do", label="Show", elem_id="review-state")
    find = gr.Textbox(
        label="Find", placeholder="name, doubt>0.3, presence<0.5", max_lines=1,
        elem_id="review-find", show_label=False,
    )  # fmt: skip
    tally = gr.HTML(elem_id="review-counts", padding=False)
    return {
        "label": label, "state": state, "order": order, "find": find, "counts": tally,
        "strip": build_review_strip(sessions),
    }  # fmt: skip


def _build_buttons() -> dict[str, gr.Button]:
    """Decisions and steps, in one row under the picture."""
    with gr.Row(elem_classes="lfss-tools lfss-decide"):
        return {
            name: gr.Button(
                text, elem_id=f"review-{name}", size="sm", min_width=64,
                variant="primary" if name == "accept" else "secondary",
            )
            for name, (text, _) in BUTTONS.items()
        }  # fmt: skip


class _Tools(NamedTuple):
    """What can be done to a draft, or to all of a list."""

    repairs: list[gr.Button]
    radius: gr.Slider
    teach: gr.Button
    again: gr.Button
    lesson: gr.HTML
    accept: gr.Button
    absent: gr.Button
    kind: gr.Dropdown
    mend: gr.Button


def _build_tools() -> _Tools:
    with gr.Accordion("Repair this mask", open=True, elem_id="repairs"):
        with gr.Row(elem_classes="lfss-tools"):
            repairs = [
                gr.Button(name, size="sm", min_width=104, elem_id=f"repair-{name.lower().replace(' ', '-')}")
                for name in review.REPAIRS
            ]
        radius = gr.Slider(1, 50, 4, step=1, label="Grow and shrink by (pixels)", elem_id="radius")
    with gr.Accordion("Learn from it", open=True, elem_id="learn"):
        teach = gr.Button("Use as support", size="sm", elem_id="teach")
        again = gr.Button("Run the unchecked drafts again", size="sm", elem_id="run-again")
        lesson = gr.HTML(elem_id="lesson", padding=False)
    with gr.Accordion("All drafts of this list", open=False, elem_id="many"):
        with gr.Row(elem_classes="lfss-tools"):
            accept = gr.Button("Accept all", size="sm", elem_id="accept-all", min_width=100)
            absent = gr.Button("Empty ones are absent", size="sm", elem_id="absent-all", min_width=150)
        kind = gr.Dropdown(
            list(review.REPAIRS),
            value="Remove specks",
            label="Repair",
            container=False,
            elem_id="repair-kind",
        )
        mend = gr.Button("Repair all", size="sm", elem_id="repair-all")
        gr.HTML(
            views.notes(["You see first what would change. Undo takes it back in one step."]), padding=False
        )
    return _Tools(repairs, radius, teach, again, lesson, accept, absent, kind, mend)


def _wire_list(tab: ReviewTab, sessions: Sessions, session_id: gr.State) -> None:
    @guarded
    def refresh(key: str, *view: str) -> dict[Any, Any]:
        return tab.shown(sessions.get(key), key, View(*view))

    @guarded
    def relist(key: str, *view: str) -> dict[Any, Any]:
        session = sessions.get(key)
        session.reviewed = None
        return tab.shown(session, key, View(*view))

    @guarded
    def search(key: str, *view: str) -> dict[Any, Any]:
        session = sessions.get(key)
        review.stay(session, View(*view))
        return tab.shown(session, key, View(*view))

    @guarded
    def choose(
        key: str, label: str, state: str, order: str, find: str, event: gr.SelectData
    ) -> dict[Any, Any]:
        session, view = sessions.get(key), View(label, state, order, find)
        digest = str(event.value).partition(":")[0]
        if digest == session.reviewed or digest not in {row.digest for row in review.listed(session, view)}:
            return {tab.facts: gr.skip()}
        session.reviewed = digest
        return tab.current(session, key, view)

    @guarded
    def choose_label(
        key: str, _: str, state: str, order: str, find: str, event: gr.SelectData
    ) -> dict[Any, Any]:
        """Draw on another label of the same picture, in the list that has it."""
        session = sessions.get(key)
        view = View(str(event.value), state, order, find)
        if session.reviewed not in {row.digest for row in review.listed(session, view)}:
            view = view._replace(state="All", find="")
        shown = tab.shown(session, key, view)
        return {**shown, tab.state: view.state, tab.find: view.find}

    inputs = [session_id, *tab.view]
    tab.tab.select(refresh, inputs, tab.outputs, **LIGHT)
    for choice in (tab.label, tab.state, tab.order):
        choice.input(relist, inputs, tab.outputs, **LIGHT)
    for event in (tab.find.submit, tab.find.blur):  # not while it is typed: a bound takes several keys
        event(search, inputs, tab.outputs, **LIGHT)
    tab.canvas.select(choose_label, inputs, [*tab.outputs, tab.state, tab.find], **LIGHT)
    tab.strip.select(choose, inputs, [tab.canvas, tab.facts], **LIGHT)


def _wire_buttons(
    tab: ReviewTab, service: Service, sessions: Sessions, session_id: gr.State, buttons: dict[str, gr.Button],
) -> None:  # fmt: skip
    def acting(act: Callable[[Session, View], Any]) -> Callable:
        @guarded
        def handle(key: str, *view: str) -> dict[Any, Any]:
            session = sessions.get(key)
            with session.turn:
                begun = act(session, View(*view))
                found = tab.shown(session, key, View(*view))
            return {**found, tab.begun: time.monotonic()} if begun else found

        return handle

    def going(step: int) -> Callable:
        @guarded
        def move(key: str, *view: str) -> dict[Any, Any]:
            session = sessions.get(key)
            with session.turn:
                return tab.moved(session, key, View(*view), step)

        return move

    def history(back: bool) -> Callable[[Session, View], None]:
        def step(session: Session, view: View) -> None:
            if not review.undo(session, view, back=back):
                gr.Info("There is nothing to take back." if back else "There is nothing to do again.")

        return step

    def accept(session: Session, view: View) -> background.Background | None:
        review.decide(session, view, "accepted")
        return background.accepted(service, session)

    acts: dict[str, Callable[[Session, View], Any]] = {
        "accept": accept,
        "absent": lambda session, view: review.decide(session, view, "absent"),
        "reject": lambda session, view: review.decide(session, view, "rejected"),
        "undo": history(True),
        "redo": history(False),
    }
    for name, act in acts.items():
        # Quick presses all count, but for decisions: nobody decides on a draft that is not shown yet.
        mode: Literal["once", "multiple"] = "once" if name in ("accept", "absent", "reject") else "multiple"
        buttons[name].click(
            acting(act), [session_id, *tab.view], [*tab.outputs, tab.begun], trigger_mode=mode, **LIGHT
        )
    for name, step in (("previous", -1), ("next", 1)):
        buttons[name].click(
            going(step), [session_id, *tab.view], tab.outputs, trigger_mode="multiple", **LIGHT
        )
