"""The result: a picture with its mask at a threshold, others to choose from, and the stages behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lfss.doubt import warning
from lfss.errors import InputError
from lfss.labels import find_label

from . import bulk, views
from .bulk_panel import BulkPanel, build_bulk, wire_bulk
from .classes_panel import class_choices
from .colours import colour_of
from .handlers import LIGHT, guarded
from .session import Session
from .sessions import Sessions
from .words import word

MAX_PICKS = 24  # pictures under the result; all of them are in the review tab


@dataclass(frozen=True)
class ResultView:
    """Components that show the results of one class."""

    label: gr.Radio
    result: gr.Image
    facts: gr.HTML
    threshold: gr.Slider
    opacity: gr.Slider
    everywhere: gr.Button
    bulk: BulkPanel
    picks: gr.Gallery
    why: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """What ``shown`` fills."""
        return [self.label, self.result, self.facts, self.picks, self.why, self.everywhere]

    def shown(self, session: Session, threshold: float = 0.5, opacity: float = 0.45) -> dict[Any, Any]:
        """The picture that is looked at, and those to choose from."""
        pixels, facts = shown_result(session, threshold, opacity)
        result = session.result(session.current)
        explained = result is not None and bool(result.prediction.stages)
        return {
            self.label: viewed_label(session),
            self.result: gr.update(value=pixels, visible=pixels is not None),
            self.facts: facts,
            self.picks: gr.update(value=picks(session), visible=bool(session.found)),
            self.why: gr.update(visible=explained),
            self.everywhere: gr.update(visible=not session.example),  # which makes no drafts
        }


def viewed_label(session: Session) -> Any:
    """Of several labels, the one whose results are looked at, once there are any."""
    several = len(session.classes) > 1 and any(item.found for item in session.classes)
    return gr.update(choices=class_choices(session), value=session.classes.viewed.number, visible=several)


def shown_result(session: Session, threshold: float, opacity: float) -> tuple[str | None, str]:
    """A file of the current picture with its mask at a threshold, and a line about it."""
    result = session.result(session.current)
    if result is None or session.current is None:
        return None, views.empty("The masks will be here", [next_step(session)])
    image = session.shown(session.current)
    mask = result.mask(threshold, image.size)
    p = result.prediction
    sure = word("presence", f"{p.presence:.0%} sure")
    there = f"{sure} that '{p.label.text}' is there"
    share = float(mask.mean())
    took = f" · {p.seconds:.2f} s" if p.stages else ""
    line = f"{image.name} · mask covers {share:.1%} · {there}{took}"
    more = "" if result.present else "The model says the object is not in this picture, so the mask is empty."
    colour = colour_of(session, session.classes.viewed.name)
    picture = session.file_of(views.shown_mask(image.pixels, mask, opacity=opacity, colour=colour))
    told = [line, more, warning(share, p.label.text)]
    return picture, views.notes(told, kind="facts")


def next_step(session: Session) -> str:
    """What a session needs before there is a result, as a sentence."""
    if not (session.label.strip() or session.class_file):
        return "Type what you look for, show it in a photo or two, add pictures to search in, then press Run."
    if not (session.supports or session.class_file):
        return f"Next: drop one to five photos that show '{session.classes.chosen.name}', under step 2."
    if not session.queries:
        return "Next: drop the pictures to search in, under step 3. Then press Run."
    return "Next: press Run."


def picks(session: Session) -> list[tuple[str, str]]:
    """Small pictures of the latest results: file and name."""
    digests = list(session.found)[-MAX_PICKS:]
    return [(str(session.result_thumbnail(d)), session.pictures[d].name) for d in digests]


def build_result() -> ResultView:
    """Lay out the result."""
    label = gr.Radio([], label="Result of", visible=False, elem_id="viewed-label")
    result = gr.Image(
        label="Result", interactive=False, elem_id="result", show_label=False,
        alt_text="The picture with the mask over it", buttons=["download", "fullscreen"],
    )  # fmt: skip
    with gr.Row(elem_classes="lfss-line", equal_height=True):
        facts = gr.HTML(elem_id="facts", padding=False)
        why = gr.Button("Why this mask?", size="sm", elem_id="why", scale=0, min_width=140, visible=False)
    picked = gr.Gallery(
        label="Results", columns=8, height="auto", allow_preview=False, object_fit="cover",
        interactive=False, elem_id="picks", buttons=[], show_label=False,
    )  # fmt: skip
    with gr.Row(elem_classes="lfss-line lfss-settings", equal_height=True):
        threshold = gr.Slider(
            0.05, 0.95, 0.5, step=0.01, label="Threshold", elem_id="threshold",
            info="Lower takes in more, higher less. Nothing is computed anew.",
        )  # fmt: skip
        opacity = gr.Slider(0, 1, 0.45, step=0.05, label="Opacity", info="Of the mask.", elem_id="opacity")
        everywhere = gr.Button(
            "Use this threshold for all drafts", size="sm", elem_id="threshold-all", scale=0, min_width=150
        )
    many = build_bulk("threshold")
    return ResultView(label, result, facts, threshold, opacity, everywhere, many, picked, why)


def wire_result(view: ResultView, sessions: Sessions, session_id: gr.State) -> None:
    """Threshold and opacity answer without the model; a click chooses picture or label."""

    @guarded
    def look_again(key: str, threshold: float, opacity: float) -> tuple[Any, str]:
        return shown_result(sessions.get(key), float(threshold), float(opacity))

    @guarded
    def choose(key: str, threshold: float, opacity: float, event: gr.SelectData) -> dict[Any, Any]:
        session = sessions.get(key)
        digests = list(session.found)[-MAX_PICKS:]
        if 0 <= event.index < len(digests):
            session.look_at(digests[event.index])
        found = view.shown(session, float(threshold), float(opacity))
        del found[view.picks]
        return found

    @guarded
    def choose_label(key: str, number: int, threshold: float, opacity: float) -> dict[Any, Any]:
        session = sessions.get(key)
        session.view(session.classes.numbered(number))
        session.follows = False
        return view.shown(session, float(threshold), float(opacity))

    def for_all(session: Session, threshold: float) -> Iterator[str | bulk.Proposal]:
        name = session.classes.viewed.name
        labels = [category.name for category in session.workspace.labels()]
        if session.example or find_label(name, labels) is None:
            raise InputError("There are no drafts of this label yet. Run on your own pictures first.")
        yield from bulk.threshold(session, name, float(threshold))

    looks = [view.threshold, view.opacity]
    for slider in looks:
        slider.input(
            look_again, [session_id, *looks], [view.result, view.facts], trigger_mode="always_last", **LIGHT
        )
    chosen = [part for part in view.outputs if part is not view.picks]
    view.picks.select(choose, [session_id, *looks], chosen, **LIGHT)
    view.label.input(choose_label, [session_id, view.label, *looks], view.outputs, **LIGHT)
    proposing = wire_bulk(view.bulk, sessions, session_id, [], [], lambda session, key: {})
    proposing(view.everywhere, for_all, [view.threshold])
