"""The reasoning: every stage of the method for one picture, side by side, with how to read it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from lfss.batch.folder import stage_arrays
from lfss.errors import InputError
from lfss.figures import save_png_atomic, strip
from lfss.stages import Prediction, Stage

from . import views
from .cards import stage_cards, with_points_on
from .handlers import LIGHT, PRIVATE, guarded
from .result_view import viewed_label
from .session import ScreenPicture, Session
from .sessions import Sessions
from .words import word

MAX_SUPPORTS = 4  # support pictures on each card


@dataclass(frozen=True)
class StagesTab:
    """Components that are filled when the tab opens."""

    tab: gr.Tab
    label: gr.Radio
    picture: gr.Dropdown
    before: gr.ImageSlider
    presence: gr.HTML
    cards: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        """What ``shown`` fills."""
        return [self.label, self.picture, self.before, self.presence, self.cards]

    def shown(self, session: Session) -> dict[Any, Any]:
        """The stages of the picture that is looked at."""
        choices = [(session.pictures[d].name, d) for d in session.found]
        found = session.result(session.current)
        if found is None or session.current is None or not found.prediction.stages:
            empty = "There is nothing to explain yet. Press Run."
            if found is not None:
                empty = "The reasons of this draft went with its session. Add its picture again and run."
            return {
                self.label: viewed_label(session),
                self.picture: gr.update(choices=choices, value=session.current if found else None),
                self.before: gr.update(value=None, visible=False),
                self.presence: "",
                self.cards: views.empty("The reasons will be here", [empty]),
            }
        image = session.shown(session.current)
        shown = ScreenPicture(image, session.pictures[session.current].size)
        supports = session.shown_supports(found.supports)[:MAX_SUPPORTS]
        hidden = len(found.supports) - len(supports)
        more = [f"{hidden} more supports took part."] if hidden else []
        p = found.prediction
        sure = word("presence", f"{p.presence:.0%} sure")
        line = f"{sure} that '{p.label.text}' is there; below the limit the mask is empty."
        label, pair = before_and_after(p, image.pixels)
        return {
            self.label: viewed_label(session),
            self.picture: gr.update(choices=choices, value=session.current),
            self.before: gr.update(value=tuple(map(session.file_of, pair)), label=label, visible=True),
            self.presence: views.notes([line, *more], kind="facts"),
            self.cards: stage_cards(p.stages, shown, supports),
        }


def before_and_after(
    prediction: Prediction, pixels: views.Pixels
) -> tuple[str, tuple[views.Pixels, views.Pixels]]:
    """The method's mask before and after refinement, each on the picture, and which is which.

    Where a method does not refine, its first mask stands beside its last; where it has no first mask, the
    picture alone does.

    Pictures are (h, w, 3) uint8.
    """
    last = prediction.stages[-1]
    first, refined = prediction.role("first_mask"), prediction.role("refined_mask") or last
    before = "The picture" if first is None else first.title
    return f"{before}, left, and {refined.title.lower()}, right", (_on(pixels, first), _on(pixels, refined))


def _on(pixels: views.Pixels, stage: Stage | None) -> views.Pixels:
    if stage is None or stage.query is None:
        return pixels
    return views.shown_mask(pixels, stage.query.astype(bool))


def write_strip(session: Session, digest: str) -> Path:
    """All stages of a picture as one PNG."""
    found, name = session.result(digest), session.pictures[digest].name
    if found is None or not found.prediction.stages:
        raise InputError("Run on this picture first.")
    supports = session.shown_supports(found.supports)
    image = session.shown(digest)
    shown = ScreenPicture(image, session.pictures[digest].size)
    stages = with_points_on(found.prediction.stages, supports, shown)
    path = _file(session, name, "png")
    prediction = replace(found.prediction, stages=tuple(stages))
    save_png_atomic(path, strip(prediction, image, [s.image for s in supports]))
    return path


def write_arrays(session: Session, digest: str) -> Path:
    """All stages of a picture as arrays, npz without pickle."""
    found = session.result(digest)
    if found is None or not found.prediction.stages:
        raise InputError("Run on this picture first.")
    path = _file(session, session.pictures[digest].name, "npz")
    path.write_bytes(stage_arrays(found.prediction))
    return path


def _file(session: Session, name: str, ending: str) -> Path:
    folder = session.folder / "downloads"
    folder.mkdir(exist_ok=True)
    label = f"{session.classes.viewed.name}-" if len(session.classes) > 1 else ""
    stem = re.sub(r"[^\w.-]+", "-", f"{label}{Path(name).stem}")[:60] or "picture"
    return folder / f"{stem}.stages.{ending}"


def build_stages(sessions: Sessions, session_id: gr.State) -> StagesTab:
    """Lay out and wire the tab."""
    with gr.Tab("Reasoning", id="stages") as tab:
        with gr.Row(elem_classes="lfss-line", equal_height=True):
            label = gr.Radio([], label="Label", visible=False, elem_id="stages-label", scale=1)
            picture = gr.Dropdown(label="Picture", choices=[], elem_id="stages-picture", scale=3)
            save = gr.Button(
                "Save strip and arrays", elem_id="save-stages", scale=0, min_width=170, size="sm"
            )
        files = gr.File(label="Strip (PNG) and arrays (npz)", visible=False, elem_id="stages-files")
        presence = gr.HTML(padding=False, elem_id="presence")
        with gr.Row():
            before = gr.ImageSlider(
                label="Before and after", interactive=False,
                height=380, elem_id="before-after", max_height=380,
            )  # fmt: skip
        cards = gr.HTML(padding=False, elem_id="stage-cards", elem_classes="lfss-wide")
    found = StagesTab(tab, label, picture, before, presence, cards)

    @guarded
    def refresh(key: str) -> dict[Any, Any]:
        return found.shown(sessions.get(key))

    @guarded
    def choose(key: str, digest: str | None) -> dict[Any, Any]:
        session = sessions.get(key)
        if digest in session.found:
            session.current = digest
        return found.shown(session)

    @guarded
    def choose_label(key: str, number: int) -> dict[Any, Any]:
        session = sessions.get(key)
        session.view(session.classes.numbered(number))
        return found.shown(session)

    @guarded
    def write(key: str) -> dict[str, Any]:
        session = sessions.get(key)
        if session.result(session.current) is None or session.current is None:
            raise InputError("Run on the Segment tab first; then there is something to save.")
        paths = [write_strip(session, session.current), write_arrays(session, session.current)]
        return gr.update(value=[str(p) for p in paths], visible=True)

    tab.select(refresh, session_id, found.outputs, **LIGHT)
    picture.input(choose, [session_id, picture], found.outputs, **LIGHT)
    label.input(choose_label, [session_id, label], found.outputs, **LIGHT)
    save.click(write, session_id, files, **PRIVATE)
    return found
