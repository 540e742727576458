"""Review: drafts sorted by doubt, decided by key or button, corrected at full resolution, and taught from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import gradio as gr

from . import review
from .asking import answer
from .bulk_panel import build_bulk
from .canvas import build_canvas
from .drawing import keep_drawing
from .folder_panel import build_folder_panel, wire_folder_panel
from .handlers import LIGHT, guarded
from .objects_panel import build_objects
from .review import View
from .review_edit import wire_editing, wire_many, wire_repairs, wire_teaching
from .review_view import PAGE, ReviewTab
from .service import Service
from .session import Session
from .sessions import Sessions

BUTTONS = {
    "accept": "Accept",
    "absent": "Object absent",
    "edit": "Edit",
    "previous": "Previous",
    "next": "Next",
    "undo": "Undo",
    "redo": "Redo",
}
HINT = (
    "Keys: **a** accept · **x** object absent · **j k** or arrows: next, previous · **z** undo · **y** redo. "
    "On the picture, after **e** or a click: **b** brush · **d** eraser · **p** polygon · **l** lasso · "
    "**.** ask the model · **c** cut · **[ ]** size · Ctrl+Z one stroke back · **?** all keys"
)


def build_review(service: Service, sessions: Sessions, session_id: gr.State) -> ReviewTab:
    """Lay out and wire the tab."""
    with gr.Tab("Review", id="review") as opened, gr.Row(equal_height=False, elem_classes="lfss-review"):
        with gr.Column(scale=5, min_width=320):
            with gr.Row():
                label = gr.Dropdown(label="Label", choices=[], elem_id="review-label", min_width=140)
                order = gr.Dropdown(
                    list(review.ORDERS), value="Most doubtful first", label="Order", elem_id="review-order",
                    min_width=140,
                )  # fmt: skip
            state = gr.Radio(list(review.STATES), value="To do", label="Show", elem_id="review-state")
            tally = gr.HTML(elem_id="review-counts", padding=False)
            gallery = gr.Gallery(
                label="Drafts", columns=3, height="auto", allow_preview=False, object_fit="contain",
                interactive=False, elem_id="review-gallery", buttons=[],
            )  # fmt: skip
        with gr.Column(scale=7, min_width=320):
            canvas = build_canvas(
                save=lambda key, name, drawn: keep_drawing(sessions, key, name, drawn),
                ask=lambda *sent: answer(service, sessions, *sent),
                elem_id="review-canvas",
            )
            facts = gr.HTML(elem_id="review-facts", padding=False)
            with gr.Row(elem_classes="lfss-tools"):
                buttons = {
                    name: gr.Button(
                        text,
                        elem_id=f"review-{name}",
                        size="sm",
                        min_width=100 if " " in text else 76,
                        variant="primary" if name == "accept" else "secondary",
                    )
                    for name, text in BUTTONS.items()
                }
            gr.Markdown(HINT, elem_classes="lfss-hint")
            with gr.Row(elem_classes="lfss-tools"):
                repairs = [
                    gr.Button(
                        name, size="sm", min_width=104, elem_id=f"repair-{name.lower().replace(' ', '-')}"
                    )
                    for name in review.REPAIRS
                ]
            radius = gr.Slider(1, 50, 4, step=1, label="Grow and shrink by (pixels)", elem_id="radius")
            with gr.Row():
                teach = gr.Button("Use as support", size="sm", elem_id="teach")
                again = gr.Button("Run the unchecked drafts again", size="sm", elem_id="run-again")
            lesson = gr.HTML(elem_id="lesson", padding=False)
            with gr.Accordion("All drafts of this list", open=False, elem_id="many"):
                with gr.Row():
                    accept = gr.Button("Accept all", size="sm", elem_id="accept-all", min_width=100)
                    kind = gr.Dropdown(
                        list(review.REPAIRS), value="Remove specks", label="Repair", show_label=False,
                        elem_id="repair-kind", min_width=140,
                    )  # fmt: skip
                    mend = gr.Button("Repair all", size="sm", elem_id="repair-all", min_width=100)
                gr.Markdown(
                    "You see first what would change. Undo takes it back in one step.",
                    elem_classes="lfss-hint",
                )
            many = build_bulk("many")
            folder = build_folder_panel()
            tab = ReviewTab(opened, label, state, order, tally, gallery, canvas, facts)
            build_objects(tab, sessions, session_id)
    _wire_list(tab, sessions, session_id)
    _wire_buttons(tab, sessions, session_id, buttons)
    wire_editing(tab, sessions, session_id, buttons["edit"])
    wire_repairs(tab, sessions, session_id, repairs, radius)
    wire_teaching(tab, service, sessions, session_id, teach, lesson)
    wire_many(tab, many, service, sessions, session_id, (accept, mend, again), kind, radius)
    wire_folder_panel(folder, tab, service, sessions, session_id)
    return tab


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
    def choose(key: str, label: str, state: str, order: str, event: gr.SelectData) -> dict[Any, Any]:
        session, view = sessions.get(key), View(label, state, order)
        rows = review.listed(session, view)
        places = {row.digest: i for i, row in enumerate(rows)}
        start = places.get(session.reviewed or "", 0) // PAGE * PAGE
        place = start + event.index
        # The gallery also reports what the page itself selected; that changes nothing here.
        if not 0 <= place < len(rows) or rows[place].digest == session.reviewed:
            return {tab.facts: gr.skip()}
        session.reviewed = rows[place].digest
        return tab.current(session, key, view)

    inputs = [session_id, *tab.view]
    tab.tab.select(refresh, inputs, tab.outputs, **LIGHT)
    for choice in tab.view:
        choice.input(relist, inputs, tab.outputs, **LIGHT)
    tab.gallery.select(choose, inputs, [tab.canvas, tab.facts], **LIGHT)


def _wire_buttons(
    tab: ReviewTab, sessions: Sessions, session_id: gr.State, buttons: dict[str, gr.Button]
) -> None:
    def acting(act: Callable[[Session, View], Any]) -> Callable:
        @guarded
        def handle(key: str, *view: str) -> dict[Any, Any]:
            session = sessions.get(key)
            with session.turn:
                act(session, View(*view))
                return tab.shown(session, key, View(*view))

        return handle

    def go(step: int) -> Callable[[Session, View], None]:
        def move(session: Session, view: View) -> None:
            session.reviewed = review.neighbour(review.listed(session, view), session.reviewed, step)

        return move

    def history(back: bool) -> Callable[[Session, View], None]:
        def step(session: Session, view: View) -> None:
            if not review.undo(session, view, back=back):
                gr.Info("There is nothing to take back." if back else "There is nothing to do again.")

        return step

    acts: dict[str, Callable[[Session, View], Any]] = {
        "accept": lambda session, view: review.decide(session, view, "accepted"),
        "absent": lambda session, view: review.decide(session, view, "absent"),
        "previous": go(-1),
        "next": go(1),
        "undo": history(True),
        "redo": history(False),
    }
    for name, act in acts.items():
        # Quick presses all count, but for decisions: nobody decides on a draft that is not shown yet.
        mode: Literal["once", "multiple"] = "once" if name in ("accept", "absent") else "multiple"
        buttons[name].click(acting(act), [session_id, *tab.view], tab.outputs, trigger_mode=mode, **LIGHT)
