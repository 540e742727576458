"""The result: a picture with its mask at a threshold, others to choose from, and the stages behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from lfss.doubt import warning
from lfss.errors import InputError
from lfss.labels import find_label

from . import views
from .cards import stage_cards
from .classes_panel import class_choices
from .handlers import LIGHT, PRIVATE, guarded
from .session import ScreenPicture, Session
from .sessions import Sessions

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
    picks: gr.Gallery
    stages: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        """What ``shown`` fills."""
        return [self.label, self.result, self.facts, self.picks, self.stages]

    def shown(self, session: Session, threshold: float = 0.5, opacity: float = 0.45) -> dict[Any, Any]:
        """The picture that is looked at, and those to choose from."""
        pixels, facts = shown_result(session, threshold, opacity)
        stages = ""
        result = session.result(session.current)
        if result is not None and session.current is not None:
            stages = query_cards(session, session.current, result.prediction.stages)
        return {
            self.label: viewed_label(session),
            self.result: pixels,
            self.facts: facts,
            self.picks: picks(session),
            self.stages: stages,
        }


def viewed_label(session: Session) -> Any:
    """Of several labels, the one whose results are looked at."""
    return gr.update(
        choices=class_choices(session), value=session.classes.viewed.number, visible=len(session.classes) > 1
    )


def shown_result(session: Session, threshold: float, opacity: float) -> tuple[str | None, str]:
    """A file of the current picture with its mask at a threshold, and a line about it."""
    result = session.result(session.current)
    if result is None or session.current is None:
        return None, views.notes(["The result will be here: add a label, supports and pictures, then Run."])
    image = session.shown(session.current)
    mask = result.mask(threshold, image.size)
    p = result.prediction
    there = f"{p.presence:.0%} sure that '{p.label.text}' is there"
    share = float(mask.mean())
    line = f"{image.name} · mask covers {share:.1%} · {there} · {p.seconds:.2f} s"
    more = "" if result.present else "The model says the object is not in this picture, so the mask is empty."
    picture = session.file_of(views.shown_mask(image.pixels, mask, opacity=opacity))
    told = [line, more, warning(share, p.label.text)]
    return picture, views.notes(told, kind="facts")


def query_cards(session: Session, digest: str, stages: Any) -> str:
    """The query side of the stages, as small cards."""
    image = session.shown(digest)
    with_query = [s for s in stages if s.query is not None and s.kind != "number"]
    return stage_cards(with_query, ScreenPicture(image, image.size), max_side=200)


def picks(session: Session) -> list[tuple[str, str]]:
    """Small pictures of the latest results: file and name."""
    digests = list(session.found)[-MAX_PICKS:]
    return [(str(session.result_thumbnail(d)), session.pictures[d].name) for d in digests]


def build_result() -> ResultView:
    """Lay out the result."""
    label = gr.Radio([], label="Result of", visible=False, elem_id="viewed-label")
    result = gr.Image(
        label="Result", interactive=False, height=460, elem_id="result",
        alt_text="The picture with the mask over it", buttons=["download", "fullscreen"],
    )  # fmt: skip
    facts = gr.HTML(elem_id="facts", padding=False)
    with gr.Row():
        threshold = gr.Slider(
            0.05, 0.95, 0.5, step=0.01, label="Threshold", elem_id="threshold",
            info="Lower takes in more, higher less. Nothing is computed anew.",
        )  # fmt: skip
        opacity = gr.Slider(0, 1, 0.45, step=0.05, label="Opacity of the mask", elem_id="opacity")
    everywhere = gr.Button("Use this threshold for all drafts", size="sm", elem_id="threshold-all")
    picked = gr.Gallery(
        label="Results", columns=6, height="auto", allow_preview=False, object_fit="cover",
        interactive=False, elem_id="picks", buttons=[],
    )  # fmt: skip
    stages = gr.HTML(elem_id="run-stages", padding=False)
    return ResultView(label, result, facts, threshold, opacity, everywhere, picked, stages)


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
            session.current = digests[event.index]
        found = view.shown(session, float(threshold), float(opacity))
        del found[view.picks]
        return found

    @guarded
    def choose_label(key: str, number: int, threshold: float, opacity: float) -> dict[Any, Any]:
        session = sessions.get(key)
        session.view(session.classes.numbered(number))
        return view.shown(session, float(threshold), float(opacity))

    @guarded
    def for_all(key: str, threshold: float) -> None:
        session = sessions.get(key)
        name = session.classes.viewed.name
        labels = [category.name for category in session.workspace.labels()]
        if session.example or find_label(name, labels) is None:
            raise InputError("There are no drafts of this label yet. Run on your own pictures first.")
        changed = session.workspace.rethreshold(name, float(threshold))
        gr.Info(f"{changed} drafts follow the threshold {threshold:.2f}. Checked drafts stay as they are.")

    looks = [view.threshold, view.opacity]
    for slider in looks:
        slider.input(
            look_again, [session_id, *looks], [view.result, view.facts], trigger_mode="always_last", **LIGHT
        )
    chosen = [view.label, view.result, view.facts, view.stages]
    view.picks.select(choose, [session_id, *looks], chosen, **LIGHT)
    view.label.input(choose_label, [session_id, view.label, *looks], view.outputs, **LIGHT)
    view.everywhere.click(for_all, [session_id, view.threshold], None, **PRIVATE)
