"""The first tab: name the object, show it, choose where to look, run, and set the threshold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lfss.errors import InputError, LfssError
from lfss.images import SUFFIXES

from . import views
from .cards import stage_cards
from .handlers import LIGHT, MODEL, PRIVATE, guarded
from .run import Update, label_of, run
from .saved_class import load_class, save_class
from .service import Service
from .session import Session, Settings, Shown
from .sessions import Sessions
from .supports_panel import (
    SupportsPanel,
    build_supports,
    look,
    support_notes,
    support_pictures,
)

PAUSE = 0.3  # seconds between two updates of the page while a run goes on
MAX_PICKS = 24  # pictures under the result; all of them are in the review tab


@dataclass(frozen=True)
class SegmentTab:
    """Components of this tab that the page fills when it opens."""

    supports: SupportsPanel
    queries: gr.HTML
    progress: gr.HTML
    threshold: gr.Slider
    opacity: gr.Slider
    result: gr.Image
    facts: gr.HTML
    picks: gr.Gallery
    stages: gr.HTML

    @property
    def looks(self) -> list[Any]:
        """What ``result_of`` fills."""
        return [self.result, self.facts, self.picks, self.stages]

    @property
    def outputs(self) -> list[Any]:
        """Everything that ``shown`` fills."""
        return [*self.supports.outputs, self.queries, self.progress, *self.looks]

    def shown(self, service: Service, session: Session) -> dict[Any, Any]:
        """The whole tab as the session has it."""
        return {
            **self.supports.shown(service, session),
            self.queries: query_notes(session, []),
            self.progress: "",
            **self.result_of(session, 0.5, 0.45),
        }

    def result_of(self, session: Session, threshold: float, opacity: float) -> dict[Any, Any]:
        """The picture that is looked at, and those to choose from."""
        pixels, facts = shown_result(session, threshold, opacity)
        stages = ""
        result = session.result(session.current)
        if result is not None and session.current is not None:
            stages = query_cards(session, session.current, result.prediction.stages)
        return {self.result: pixels, self.facts: facts, self.picks: picks(session), self.stages: stages}


def shown_result(session: Session, threshold: float, opacity: float) -> tuple[Any, str]:
    """The current picture with its mask at a threshold, and a line about it."""
    result = session.result(session.current)
    if result is None or session.current is None:
        return None, views.notes(["The result will be here: add a label, supports and pictures, then Run."])
    image = session.shown(session.current)
    mask = result.mask(threshold, image.size)
    p = result.prediction
    there = f"{p.presence:.0%} sure that '{p.label.text}' is there"
    line = f"{image.name} · mask covers {mask.mean():.1%} · {there} · {p.seconds:.2f} s"
    more = "" if result.present else "The model says the object is not in this picture, so the mask is empty."
    return views.shown_mask(image.pixels, mask, opacity=opacity), views.notes([line, more], kind="facts")


def query_cards(session: Session, digest: str, stages: Any) -> str:
    """The query side of the stages, as small cards."""
    image = session.shown(digest)
    with_query = [s for s in stages if s.query is not None and s.kind != "number"]
    return stage_cards(with_query, Shown(image, image.size), side=200)


def picks(session: Session) -> list[tuple[str, str]]:
    """Small pictures of the latest results: file and name."""
    digests = list(session.doubts)[-MAX_PICKS:]
    return [(str(session.result_thumbnail(d)), session.pictures[d].name) for d in digests]


def query_notes(session: Session, refused: list[str]) -> str:
    """How many queries there are, and which files were refused."""
    count = len(session.queries)
    if not count:
        return views.notes(refused, kind="warning")
    names = ", ".join(q.name for q in session.queries[:3]) + (" …" if count > 3 else "")
    pictures = "1 picture" if count == 1 else f"{count} pictures"
    few = refused[:5] + ([f"{len(refused) - 5} more files were refused."] if len(refused) > 5 else [])
    return views.notes([f"{pictures}: {names}"]) + views.notes(few, kind="warning")


def summary(session: Session, done: int, total: int, seconds: float) -> str:
    """What became of a run."""
    if total == 0:
        lines = ["Nothing new to do: every picture has been segmented with this class and these settings."]
    elif session.cancel.is_set():
        lines = [f"Stopped. {done} of {total} pictures are done and kept; Run goes on with the rest."]
    else:
        pictures = "picture" if done == 1 else "pictures"
        lines = [f"Done: {done} {pictures} in {views.duration(seconds)}."]
    absent = sum(not session.found.get(d, True) for d in session.doubts)
    if absent and done:
        lines.append(
            f"In {absent} of {len(session.doubts)} the model does not see it, so their masks are empty. "
            "If you know that it is there, tick 'Every picture shows it' and run again."
        )
    failed = [f"{reason}" for _, reason in session.failures[:5]]
    if len(session.failures) > 5:
        failed.append(f"{len(session.failures) - 5} more could not be read.")
    return views.notes(lines, kind="done") + views.notes(failed, kind="warning")


def build_segment(service: Service, sessions: Sessions, session_id: gr.State) -> SegmentTab:
    """Lay out and wire the tab."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=320):
            supports = build_supports(service, sessions, session_id)
            gr.Markdown("### 3 · Choose where to look")
            drop = gr.File(
                label="Drop pictures, or a zip of them", file_count="multiple", height=140,
                file_types=[*sorted(SUFFIXES), ".zip"], elem_id="queries",
            )  # fmt: skip
            with gr.Row():
                folder = gr.UploadButton("Add a folder", file_count="directory", size="sm", elem_id="folder")
                clear = gr.Button("Remove all pictures", size="sm", elem_id="clear-queries")
            queries = gr.HTML(elem_id="query-notes", padding=False)
            assume = gr.Checkbox(
                label="Every picture shows it", info="Skip the check whether the object is there at all."
            )
            with gr.Row():
                start = gr.Button("Run", variant="primary", elem_id="run", scale=3)
                stop = gr.Button("Cancel", elem_id="cancel", scale=1, min_width=90)
            progress = gr.HTML(elem_id="progress", padding=False)
            with gr.Accordion("Keep this class for tomorrow", open=False):
                save = gr.Button("Save class", size="sm", elem_id="save-class")
                saved = gr.File(label="Saved class", visible=False, elem_id="saved-class")
                load = gr.UploadButton(
                    "Load class", file_types=[".safetensors"], size="sm", elem_id="load-class"
                )
            fresh = gr.Button("Start afresh", size="sm", elem_id="start-afresh")
        with gr.Column(scale=7, min_width=320):
            result = gr.Image(
                label="Result", format="jpeg", interactive=False, height=460, elem_id="result",
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
    tab = SegmentTab(supports, queries, progress, threshold, opacity, result, facts, picked, stages)
    _wire_queries(tab, service, sessions, session_id, drop, folder, clear, fresh)
    _wire_run(tab, service, sessions, session_id, assume, start, stop)
    _wire_looks(tab, sessions, session_id, everywhere)
    _wire_class(tab, service, sessions, session_id, save, saved, load)
    return tab


def _wire_queries(
    tab: SegmentTab, service: Service, sessions: Sessions, session_id: gr.State,
    drop: gr.File, folder: gr.UploadButton, clear: gr.Button, fresh: gr.Button,
) -> None:  # fmt: skip
    @guarded
    def add(key: str, files: list[str] | None) -> dict[Any, Any]:
        session = sessions.get(key)
        if not files:
            return {drop: None}
        if session.example:
            session.queries, session.example = [], False
            session.forget_results()
        refused = session.add_queries(files)
        return {drop: None, tab.queries: query_notes(session, refused)} | tab.result_of(session, 0.5, 0.45)

    @guarded
    def remove_all(key: str) -> str:
        session = sessions.get(key)
        session.queries = []
        return query_notes(session, [])

    @guarded
    def start_afresh(key: str) -> dict[Any, Any]:
        session = sessions.get(key)
        session.cancel.set()
        session.clear()
        return tab.shown(service, session)

    @guarded
    def follow(key: str) -> dict[Any, Any]:
        """Put away what is left of the worked example once own supports are there."""
        session = sessions.get(key)
        return {tab.queries: query_notes(session, []), **tab.result_of(session, 0.5, 0.45)}

    for event in tab.supports.added:
        event.then(follow, session_id, [tab.queries, *tab.looks], **LIGHT)
    for source in (drop, folder):
        source.upload(add, [session_id, source], [drop, tab.queries, *tab.looks], **PRIVATE)
    clear.click(remove_all, session_id, tab.queries, **LIGHT)
    fresh.click(start_afresh, session_id, tab.outputs, **PRIVATE)


def _wire_run(
    tab: SegmentTab, service: Service, sessions: Sessions, session_id: gr.State,
    assume: gr.Checkbox, start: gr.Button, stop: gr.Button,
) -> None:  # fmt: skip
    @guarded
    def work(key: str, threshold: float, opacity: float, present: bool) -> Iterator[dict[Any, Any]]:
        session = sessions.get(key)
        settings = Settings(float(threshold), bool(present))
        yield from stream(tab, service, session, settings, opacity)

    @guarded
    def cancel(key: str) -> None:
        sessions.get(key).cancel.set()

    start.click(
        work, [session_id, tab.threshold, tab.opacity, assume], [tab.progress, *tab.looks],
        show_progress="minimal", show_progress_on=tab.progress, **MODEL,
    )  # fmt: skip
    stop.click(cancel, session_id, None, queue=False, **LIGHT)


def stream(
    tab: SegmentTab, service: Service, session: Session, settings: Settings, opacity: float
) -> Iterator[dict[Any, Any]]:
    """A run as updates of the page, a few each second."""
    began = shown = time.monotonic()
    done = total = 0
    if service.loading:
        yield {tab.progress: views.progress(0, 0, text="The model is being loaded …")}
    for update in run(service, session, settings, keep_drafts=not session.example):
        total = update.total
        if update.digest:
            done = update.done
            if not (session.example and session.current):  # of the example, its first picture
                session.current = update.digest
        now = time.monotonic()
        if now - shown >= PAUSE:
            shown = now
            yield _streamed(tab, session, update, settings, opacity)
    yield {
        tab.progress: summary(session, done, total, time.monotonic() - began),
        **tab.result_of(session, settings.threshold, opacity),
    }


def _streamed(
    tab: SegmentTab, session: Session, update: Update, settings: Settings, opacity: float
) -> dict[Any, Any]:
    text = f"{update.name}: {update.stages[-1].title}" if update.stages else update.name
    bar = views.progress(update.done, update.total, text=text, seconds_left=update.seconds_left)
    if update.digest is None:
        return {tab.progress: bar}
    return {tab.progress: bar, **tab.result_of(session, settings.threshold, opacity)}


def _wire_looks(tab: SegmentTab, sessions: Sessions, session_id: gr.State, everywhere: gr.Button) -> None:
    @guarded
    def look_again(key: str, threshold: float, opacity: float) -> tuple[Any, str]:
        return shown_result(sessions.get(key), float(threshold), float(opacity))

    @guarded
    def choose(key: str, threshold: float, opacity: float, event: gr.SelectData) -> dict[Any, Any]:
        session = sessions.get(key)
        digests = list(session.doubts)[-MAX_PICKS:]
        if 0 <= event.index < len(digests):
            session.current = digests[event.index]
        found = tab.result_of(session, float(threshold), float(opacity))
        del found[tab.picks]
        return found

    @guarded
    def for_all(key: str, threshold: float) -> None:
        session = sessions.get(key)
        name = label_of(session).text
        if session.example or name not in session.workspace.stats().drafts:
            raise InputError("There are no drafts of this label yet. Run on your own pictures first.")
        changed = session.workspace.rethreshold(name, float(threshold))
        gr.Info(f"{changed} drafts follow the threshold {threshold:.2f}. Checked drafts stay as they are.")

    inputs = [session_id, tab.threshold, tab.opacity]
    for slider in (tab.threshold, tab.opacity):
        slider.input(look_again, inputs, [tab.result, tab.facts], trigger_mode="always_last", **LIGHT)
    tab.picks.select(choose, inputs, [tab.result, tab.facts, tab.stages], **LIGHT)
    everywhere.click(for_all, [session_id, tab.threshold], None, **PRIVATE)


def _wire_class(
    tab: SegmentTab, service: Service, sessions: Sessions, session_id: gr.State,
    save: gr.Button, saved: gr.File, load: gr.UploadButton,
) -> None:  # fmt: skip
    @guarded
    def keep(key: str) -> dict[str, Any]:
        return gr.update(value=str(save_class(service, sessions.get(key))), visible=True)

    @guarded
    def restore(key: str, file: str) -> dict[Any, Any]:
        session = sessions.get(key)
        load_class(service, session, file)
        return tab.shown(service, session)

    save.click(keep, session_id, saved, **MODEL)
    load.upload(restore, [session_id, load], tab.outputs, **MODEL)


def first_look(tab: SegmentTab, service: Service, session: Session) -> Iterator[dict[Any, Any]]:
    """Bring the worked example to life: what the model reads in its supports, then its results."""
    try:
        extra = look(service, session)
        yield {
            tab.supports.gallery: support_pictures(session),
            tab.supports.notes: views.notes([*extra, *support_notes(session)]),
        }
        yield from stream(tab, service, session, Settings(), 0.45)
        lines = ["This is a worked example. Put in your own label and photos, then press Run."]
        yield {tab.progress: views.notes(lines, kind="done")}
    except LfssError as error:
        yield {tab.progress: views.notes([str(error)], kind="warning")}
