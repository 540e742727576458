"""The objects of a draft: split by a line across or by how narrow the necks are, and joined, by clicks."""

from __future__ import annotations

from typing import Any

import cv2
import gradio as gr
import numpy as np
import numpy.typing as npt

from lfss.annotations.palette import colour_of
from lfss.drafts import Draft
from lfss.errors import InputError
from lfss.objects import Numbers, cut, join, numbered, same, used
from lfss.separation import STRENGTH, separate

from . import review, views
from .handlers import LIGHT, guarded
from .review import View
from .review_view import ReviewTab
from .session import Session
from .sessions import Sessions

SIDE = 720  # pixels of the longer side of the picture that is clicked on
SPLIT, JOIN = "Split by a line", "Join"
MODES = {
    SPLIT: "Click two points, one on each side of the object: the line between them cuts it.",
    JOIN: "Click two objects: they become one, as the parts of an animal behind a tree are.",
}
Point = tuple[float, float]
"""x and y as shares of the picture."""


def objects_of(draft: Draft) -> Numbers:
    """(H, W) number of the object at each pixel of a draft."""
    return numbered(draft.mask, draft.objects)


def split(session: Session, view: View, start: Point, end: Point) -> None:
    """Cut the objects of the draft under review along a line.

    Raises:
        InputError: no object is parted.
    """
    draft = review.draft_of(session, view)
    before = objects_of(draft)
    size = np.array(draft.size[::-1])
    after = cut(before, np.array([start, end]) * size - 0.5)
    if same(before, after):
        raise InputError("The line parts no object. Begin and end it outside, so that it runs right across.")
    _keep(session, draft, after)


def unite(session: Session, view: View, one: Point, other: Point) -> None:
    """Make the two objects of the draft under review that lie at two points one.

    Raises:
        InputError: a point is on no object, or both are on the same.
    """
    draft = review.draft_of(session, view)
    numbers = objects_of(draft)
    height, width = draft.size
    spots = [(min(int(y * height), height - 1), min(int(x * width), width - 1)) for x, y in (one, other)]
    members = [int(numbers[spot]) for spot in spots]
    if 0 in members or members[0] == members[1]:
        raise InputError("Click on two objects of different colours to join them.")
    _keep(session, draft, join(numbers, members))


def cut_touching(session: Session, view: View, strength: float) -> None:
    """Part the objects of the draft under review where the necks between them are narrow."""
    draft = review.draft_of(session, view)
    _keep(session, draft, separate(draft.mask, strength))


def forget(session: Session, view: View) -> None:
    """Make each connected part of the draft under review an object again."""
    _keep(session, review.draft_of(session, view), None)


def _keep(session: Session, draft: Draft, objects: Numbers | None) -> None:
    session.workspace.set_objects(draft.image_digest, draft.label, objects)
    review.changed(session, draft, "objects changed")


def coloured(session: Session, draft: Draft, numbers: Numbers) -> npt.NDArray[np.uint8]:
    """(h, w, 3) the picture with each object in a colour of its own."""
    pixels = views.shrunk(session.shown(draft.image_digest).pixels, SIDE)
    small = cv2.resize(numbers, pixels.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    places = {number: place for place, number in enumerate(used(numbers))}
    table = np.zeros((int(numbers.max(initial=0)) + 1, 3), np.uint8)
    for number, place in places.items():
        table[number] = colour_of(place)
    shown = np.where(small[..., None] > 0, pixels // 2 + table[small] // 2, pixels)
    return np.asarray(shown, np.uint8)


def build_objects(tab: ReviewTab, sessions: Sessions, session_id: gr.State) -> None:
    """Lay out and wire the panel, below the picture of the Review tab."""
    with gr.Accordion("Objects: split and join", open=False, elem_id="objects") as panel:
        picture = gr.Image(
            interactive=False, show_label=False, format="jpeg", buttons=[], elem_id="objects-picture"
        )
        told = gr.HTML(elem_id="objects-told", padding=False)
        mode = gr.Radio(list(MODES), value=SPLIT, label="A click", elem_id="objects-mode")
        strength = gr.Slider(
            0, 1, STRENGTH, step=0.05, label="Cut objects that touch by a narrow neck (0 cuts nothing)",
            elem_id="objects-strength",
        )  # fmt: skip
        with gr.Row():
            apply = gr.Button("Cut as previewed", size="sm", elem_id="objects-apply")
            reset = gr.Button("Connected parts again", size="sm", elem_id="objects-reset")
    opened, first = gr.State(False), gr.State(None)
    shows = [picture, told, first]

    def now(session: Session, view: View, how: str, *, lead: str = "") -> dict[Any, Any]:
        draft = review.draft_of(session, view)
        numbers = objects_of(draft)
        line = lead or review.objects_text(len(used(numbers)))
        return {
            picture: coloured(session, draft, numbers),
            told: views.notes([line, MODES.get(how, "")]),
            first: None,
        }

    @guarded
    def show(key: str, how: str, *view: str) -> tuple[Any, ...]:
        session, wanted = sessions.get(key), View(*view)
        if not tab.exists(session, wanted):
            return True, None, views.notes(["Choose a draft first: click its picture."]), None
        return (True, *now(session, wanted, how).values())

    @guarded
    def follow(key: str, is_open: bool, how: str, *view: str) -> dict[Any, Any]:
        session, wanted = sessions.get(key), View(*view)
        if not is_open or not tab.exists(session, wanted):
            return {first: None}
        return now(session, wanted, how)

    @guarded
    def preview(key: str, much: float, how: str, *view: str) -> dict[Any, Any]:
        session, wanted = sessions.get(key), View(*view)
        draft = review.draft_of(session, wanted)
        numbers = separate(draft.mask, much)
        line = f"Preview: {review.objects_text(len(used(numbers)))} Nothing is changed yet."
        return {picture: coloured(session, draft, numbers), told: views.notes([line]), first: None}

    @guarded
    def click(
        key: str, before: Point | None, how: str, label: str, state: str, order: str, find: str,
        event: gr.SelectData,
    ) -> dict[Any, Any]:  # fmt: skip
        session, view = sessions.get(key), View(label, state, order, find)
        draft = review.draft_of(session, view)
        height, width = views.shrunk(session.shown(draft.image_digest).pixels, SIDE).shape[:2]
        here = ((event.index[0] + 0.5) / width, (event.index[1] + 0.5) / height)
        if before is None:
            return {first: here, told: views.notes(["Now the second point."])}
        (unite if how == JOIN else split)(session, view, before, here)
        return {**now(session, view, how), **tab.beside(session, view)}

    def acting(act: Any) -> Any:
        @guarded
        def handle(key: str, much: float, how: str, *view: str) -> dict[Any, Any]:
            session, wanted = sessions.get(key), View(*view)
            act(session, wanted, much)
            return {**now(session, wanted, how), **tab.beside(session, wanted)}

        return handle

    view = tab.view
    panel.expand(show, [session_id, mode, *view], [opened, *shows], **LIGHT)
    panel.collapse(lambda: False, None, opened, **LIGHT)
    tab.facts.change(follow, [session_id, opened, mode, *view], shows, **LIGHT)
    strength.release(preview, [session_id, strength, mode, *view], shows, **LIGHT)
    mode.input(follow, [session_id, opened, mode, *view], shows, **LIGHT)
    picture.select(click, [session_id, first, mode, *view], [*shows, *tab.around], **LIGHT)
    inputs = [session_id, strength, mode, *view]
    apply.click(acting(cut_touching), inputs, [*shows, *tab.around], **LIGHT)
    reset.click(acting(lambda s, v, _: forget(s, v)), inputs, [*shows, *tab.around], **LIGHT)
