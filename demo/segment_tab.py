"""The first tab: name the objects, show them, choose where to look, run, and look at the results."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from lfss.errors import LfssError
from lfss.images import SUFFIXES
from lfss.labels import label_key

from . import example, query_strip, views, waiting
from .handlers import LIGHT, MODEL, PRIVATE, guarded
from .job import Job
from .panels import fold_handle
from .result_view import ResultView, build_result, shown_result, viewed_label, wire_result
from .run import Update, run
from .run_bar import RunBar, build_run_bar
from .saved_class import load_class, save_class
from .service import Service
from .session import Session, Settings
from .sessions import Sessions
from .supports_panel import SupportsPanel, build_supports, look
from .zip_names import advice

__all__ = ["SegmentTab", "build_segment", "first_look", "shown_result", "stream", "summary"]

PAUSE = 0.3  # seconds between two updates of the page while a run goes on
# On a phone the result lies below everything that is set up; elsewhere it is in sight.
TO_RESULT = """() => {
  const result = document.querySelector('#facts')?.closest('.lfss-main');
  if (result?.offsetParent && innerWidth <= 760) result.scrollIntoView({block: 'start'});
}"""
TICKED = 500  # pictures whose ticks come as the run goes on; of more, at its end


@dataclass(frozen=True)
class SegmentTab:
    """Components of this tab that the page fills when it opens."""

    supports: SupportsPanel
    queries: gr.HTML
    strip: gr.HTML
    assume: gr.Checkbox
    only_new: gr.Checkbox
    progress: gr.HTML
    view: ResultView

    @property
    def outputs(self) -> list[Any]:
        """Everything that ``shown`` fills."""
        return [
            *self.supports.outputs,
            self.queries,
            self.strip,
            self.only_new,
            self.progress,
            *self.view.outputs,
        ]

    @property
    def chosen(self) -> list[Any]:
        """What a person chooses for a run; ``shown`` fills it where settings are given."""
        return [self.view.threshold, self.assume]

    def shown(
        self, service: Service, session: Session, *, settings: Settings | None = None
    ) -> dict[Any, Any]:
        """The whole tab as the session has it, with settings to begin with if there are any."""
        begin: dict[Any, Any] = {}
        if settings is not None:
            begin = {self.view.threshold: settings.threshold, self.assume: settings.assume_present}
        threshold = 0.5 if settings is None else settings.threshold
        return {
            **self.supports.shown(service, session),
            **self.listed(session),
            self.progress: "" if session.job is None else session.job.message,
            **self.view.shown(session, threshold),
            **begin,
        }

    def listed(self, session: Session, refused: Sequence[str] = ()) -> dict[Any, Any]:
        """The pictures to search in; ``refused`` are sentences on files that are not among them."""
        made = query_strip.done(session)
        return {
            self.queries: query_notes(session, made, list(refused)),
            self.strip: query_strip.tiles(session, made),
            self.only_new: gr.update(value=session.only_new, visible=drafted(session)),
        }


def drafted(session: Session) -> bool:
    """Whether there are drafts of a label that is searched for."""
    found = session.workspace.stats().drafts
    known = {label_key(name) for name, drafts in found.items() if sum(drafts.values())}
    return not session.example and any(label_key(item.name) in known for item in session.classes if item.name)


def query_notes(session: Session, made: Container[Path], refused: list[str]) -> str:
    """How many queries there are and were searched, what was refused, and whether names may read wrong.

    Args:
        session: of the visitor.
        made: files that every label was searched for in.
        refused: a sentence for each file that is not among the queries.
    """
    count = len(session.queries)
    if not count:
        return views.notes(refused, kind="warning")
    pictures = "1 picture" if count == 1 else f"{count} pictures"
    searched = sum(query.path in made for query in session.queries)
    if searched:
        pictures += ", all searched" if searched == count else f", {searched} of them searched"
    few = refused[:5] + ([f"{len(refused) - 5} more files were refused."] if len(refused) > 5 else [])
    guessed = [q.name for q in session.queries if q.guessed]
    few += [advice(guessed[0])] if guessed else []
    return views.notes([pictures]) + views.notes(few, kind="warning")


def summary(session: Session, done: int, total: int, seconds: float) -> str:
    """What became of a run.

    Args:
        session: with the failures of the run.
        done, total: pictures with a mask, and all of them.
        seconds: how long it took.
    """
    several = len(session.classes) > 1
    over = session.passed_over
    if not done and over and not session.failures and not session.cancel.is_set():
        lines = [
            "Nothing new to do: every picture has a draft.",
            "Untick 'Only pictures without a draft' to make those anew that nobody has checked.",
        ]
    elif total == 0 and not session.failures:
        lines = ["Nothing new to do: every picture has been segmented with this class and these settings."]
    elif session.cancel.is_set():
        what = "masks" if several else "pictures"
        lines = [f"Stopped. {done} of {total} {what} are done and kept; Run goes on with the rest."]
    elif several:
        lines = [f"Done: {done} masks of {len(session.classes)} labels in {views.duration(seconds)}."]
    else:
        lines = [f"Done: {done} {'picture' if done == 1 else 'pictures'} in {views.duration(seconds)}."]
    if done and over:
        lines.append(f"{over} had drafts already.")
    blind = [(item, sum(not there for there in item.found.values())) for item in session.classes if done]
    unseen = []
    for item, absent in blind:
        name = f"'{item.name}'" if several else "it"
        unseen += [f"{name} in {absent} of {len(item.found)}"] if absent else []
    if unseen:
        lines.append(f"The model does not see {', '.join(unseen)}; there the mask is empty.")
        lines.append("If it is there, tick 'Every picture shows it' and run again.")
    failed = [reason for _, reason in session.failures[:5]]
    if len(session.failures) > 5:
        failed.append(f"{len(session.failures) - 5} more could not be read.")
    return views.notes(lines, kind="done") + views.notes(failed, kind="warning")


def build_segment(
    service: Service, sessions: Sessions, session_id: gr.State, bar: RunBar | None = None
) -> SegmentTab:
    """Lay out and wire the tab; without a bar to run it with, it gets its own."""
    start, stop, progress, *_ = bar or build_run_bar()
    with gr.Row(equal_height=False, elem_classes="lfss-work"):
        with gr.Column(scale=0, min_width=320, elem_classes="lfss-side lfss-panel-setup"):
            supports = build_supports(service, sessions, session_id)
            gr.HTML(views.step(3, "Choose where to look"), padding=False)
            drop = gr.File(
                label="Drop pictures, or a zip of them", file_count="multiple", height=104,
                file_types=[*sorted(SUFFIXES), ".zip"], elem_id="queries",
            )  # fmt: skip
            with gr.Row():
                folder = gr.UploadButton("Add a folder", file_count="directory", size="sm", elem_id="folder")
                clear = gr.Button("Remove all pictures", size="sm", elem_id="clear-queries")
            queries = gr.HTML(elem_id="query-notes", padding=False)
            strip = query_strip.build_query_strip(sessions)
            assume = gr.Checkbox(
                label="Every picture shows it", info="Skip the check whether the object is there at all."
            )
            only_new = gr.Checkbox(
                label="Only pictures without a draft", elem_id="only-new", visible=False,
                info="Untick to make the drafts that nobody has checked anew.",
            )  # fmt: skip
            with gr.Accordion("Keep this class for tomorrow", open=False):
                save = gr.Button("Save class", size="sm", elem_id="save-class")
                saved = gr.File(label="Saved class", visible=False, elem_id="saved-class")
                load = gr.UploadButton(
                    "Load class", file_types=[".safetensors"], size="sm", elem_id="load-class"
                )
            fresh = gr.Button("Start afresh", size="sm", elem_id="start-afresh")
        fold_handle("setup", "left")
        with gr.Column(scale=1, min_width=320, elem_classes="lfss-main"):
            view = build_result()
    tab = SegmentTab(supports, queries, strip, assume, only_new, progress, view)
    _wire_queries(tab, service, sessions, session_id, drop, folder, clear, fresh)
    _wire_run(tab, service, sessions, session_id, assume, start, stop)
    wire_result(view, sessions, session_id)
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
        left: dict[Any, Any] = {}
        if session.example:
            example.leave(session)
            left = {tab.progress: "", **tab.supports.shown(service, session)}
        refused = session.add_queries(files)
        waiting.keep(session)
        return {drop: None, **left, **tab.listed(session, refused)}

    @guarded
    def remove_all(key: str) -> dict[Any, Any]:
        session = sessions.get(key)
        session.queries = []
        waiting.keep(session)
        return tab.listed(session)

    @guarded
    def take_out(key: str, event: gr.SelectData) -> dict[Any, Any]:
        session = sessions.get(key)
        query_strip.take_out(session, str(event.value))
        return tab.listed(session)

    @guarded
    def choose(key: str, threshold: float, opacity: float, event: gr.SelectData) -> dict[Any, Any]:
        """Look at the result of a picture, where there is one."""
        session = sessions.get(key)
        made = {path.stem: digest for path, digest in query_strip.done(session).items()}
        digest = made.get(str(event.value))
        if digest not in session.found:
            return {tab.queries: gr.skip()}
        session.look_at(digest)
        return tab.view.shown(session, threshold, opacity)

    @guarded
    def start_afresh(key: str) -> dict[Any, Any]:
        session = sessions.get(key)
        session.cancel.set()
        session.clear()
        session.job = None
        waiting.keep(session)
        return tab.shown(service, session)

    @guarded
    def follow(key: str, threshold: float, opacity: float) -> dict[Any, Any]:
        """Show the results of the class that is edited now, and nothing of an example that was left."""
        session = sessions.get(key)
        message = gr.skip() if any(item.found for item in session.classes) else ""
        view = tab.view.shown(session, threshold, opacity)
        return {**tab.listed(session), tab.progress: message, **view}

    @guarded
    def own_words(key: str, number: int | None, label: str, not_words: str) -> dict[Any, Any]:
        """Another label over that of the example leaves the example."""
        session = sessions.get(key)
        item = session.classes.numbered(number)
        if item is not None and session.example:
            item.label, item.not_words = label, not_words
        if not example.outgrown(session):
            return {tab.view.label: viewed_label(session)}
        example.leave(session)
        return tab.shown(service, session)

    @guarded
    def leave_drafts(key: str, wanted: bool) -> None:
        sessions.get(key).only_new = bool(wanted)

    @guarded
    def look_again(key: str, threshold: float, opacity: float) -> dict[Any, Any]:
        return tab.view.shown(sessions.get(key), threshold, opacity)

    inputs = [session_id, tab.view.threshold, tab.view.opacity]
    listed = [tab.queries, tab.strip, tab.only_new]
    tab.supports.label.blur(own_words, [session_id, *tab.supports.typed], tab.outputs, **LIGHT)
    for event in tab.supports.changed:
        event.then(follow, inputs, [*listed, tab.progress, *tab.view.outputs], **LIGHT)
    for source in (drop, folder):
        shows = [drop, *listed, tab.progress, *tab.supports.outputs]
        added = source.upload(add, [session_id, source], shows, **PRIVATE)
        added.then(look_again, inputs, tab.view.outputs, **LIGHT)
    tab.only_new.input(leave_drafts, [session_id, tab.only_new], None, **LIGHT)
    clear.click(remove_all, session_id, listed, **LIGHT)
    tab.strip.delete(take_out, session_id, listed, **LIGHT)
    tab.strip.select(choose, inputs, [tab.queries, *tab.view.outputs], **LIGHT)
    fresh.click(start_afresh, session_id, tab.outputs, **PRIVATE)


def _wire_run(
    tab: SegmentTab, service: Service, sessions: Sessions, session_id: gr.State,
    assume: gr.Checkbox, start: gr.Button, stop: gr.Button,
) -> None:  # fmt: skip
    looks = [tab.view.threshold, tab.view.opacity]
    outputs = [tab.progress, tab.queries, tab.strip, tab.only_new, *tab.view.outputs]

    @guarded
    def work(key: str, threshold: float, opacity: float, present: bool) -> Iterator[dict[Any, Any]]:
        session = sessions.get(key)
        if example.outgrown(session):
            example.leave(session)
        settings = replace(session.settings, threshold=float(threshold), assume_present=bool(present))
        yield from stream(tab, service, session, settings, opacity)

    @guarded
    def cancel(key: str, threshold: float, opacity: float) -> dict[Any, Any]:
        session = sessions.get(key)
        session.cancel.set()
        done, total = session.progress
        message = summary(session, done, total, 0) if done < total else views.notes(["Stopped."], kind="done")
        shown = tab.view.shown(session, threshold, opacity)
        return {tab.progress: message, **tab.listed(session), **shown}

    running = start.click(
        work, [session_id, *looks, assume], outputs,
        show_progress="minimal", show_progress_on=tab.progress, **MODEL,
    )  # fmt: skip
    start.click(None, js=TO_RESULT, **LIGHT)
    # The flag ends the run at its next step; ``cancels`` also takes one that still waits out of the queue.
    stop.click(cancel, [session_id, *looks], outputs, cancels=running, queue=False, **LIGHT)


def stream(
    tab: SegmentTab, service: Service, session: Session, settings: Settings, opacity: float
) -> Iterator[dict[Any, Any]]:
    """A run as updates of the page, a few each second.

    Args:
        tab: the tab.
        service, session: the model, and the visitor's own.
        settings: of the run.
        opacity: of the mask over the picture.
    """
    if service.loading:
        yield {tab.progress: views.progress(0, 0, text="The model is being loaded …")}
    if session.job is not None and session.job.running:  # with other pictures, or other settings
        session.job.stop()
    session.follows = True
    own = not session.example
    updates = run(
        service, session, settings, items=session.classes, keep_drafts=own, only_new=own and session.only_new
    )
    session.job = Job(session, updates)
    yield from follow(tab, session, session.job, settings.threshold, opacity)


def follow(
    tab: SegmentTab, session: Session, job: Job, threshold: float, opacity: float
) -> Iterator[dict[Any, Any]]:
    """A run that goes on by itself as updates of the page: its first mask at once, then a few each second.

    Args:
        tab: the tab.
        session: the visitor's own.
        job: the run.
        threshold, opacity: of the mask over the picture.

    Raises:
        Exception: what ended the run.
    """
    seen = 0
    while job.running:
        job.wait(seen, PAUSE)
        update, masks = job.latest, job.masks
        if update is not None and job.running:
            yield _streamed(tab, session, update, threshold, opacity, new=masks > seen)
            seen = masks
    if job.error is not None:
        raise job.error
    total = job.latest.total if job.latest else 0
    job.message = summary(session, job.masks, total, job.seconds)
    yield {tab.progress: job.message, **tab.listed(session), **tab.view.shown(session, threshold, opacity)}


def _streamed(
    tab: SegmentTab, session: Session, update: Update, threshold: float, opacity: float, *, new: bool
) -> dict[Any, Any]:
    text = f"{update.name}: {update.stages[-1].title}" if update.stages else update.name
    if len(session.classes) > 1:
        text = f"{update.item.name} · {text}"
    bar = views.progress(update.done, update.total, text=text, seconds_left=update.seconds_left)
    if not new:
        return {tab.progress: bar}
    ticks = {} if len(session.queries) > TICKED else tab.listed(session)
    return {tab.progress: bar, **ticks, **tab.view.shown(session, threshold, opacity)}


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
        yield tab.supports.looked(session, extra=extra)
        yield from stream(tab, service, session, Settings(), 0.45)
        lines = ["This is a worked example. Put in your own label and photos, then press Run."]
        yield {tab.progress: views.notes(lines, kind="done")}
    except LfssError as error:
        yield {tab.progress: views.notes([str(error)], kind="warning")}
