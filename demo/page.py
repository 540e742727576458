"""The page: tabs in order, and what happens when it opens and closes."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from lfss.shipped import shipped

from . import example, place, views
from .about_tab import build_about
from .api import build_api
from .completion import COMPLETE, word_list
from .export_tab import build_export
from .handlers import LIGHT, MODEL, guarded
from .keys import KEYS, sheet
from .mcp import McpServer
from .panels import LARGE, PANELS
from .resume import go_on, used
from .review_tab import build_review
from .run_bar import build_run_bar, project_name
from .saved_class import show_saved_classes
from .segment_tab import build_segment, first_look, follow
from .server import Page
from .service import Service
from .sessions import Sessions
from .stages_tab import build_stages
from .supports_panel import word_notes
from .words import BUBBLE, EXPLAIN

MAX_UPLOAD = "2gb"
CSS = shipped("style.css")

# A tab keeps its session over a reload; a new tab takes that of a tab that was closed, or gets another one.
REMEMBER = """() => {
  const last = localStorage.getItem('lfss-last') || '';
  let id = sessionStorage.getItem('lfss-session') || '';
  if (!/^[0-9a-f]{32}$/.test(id)) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    id = Array.from(bytes, b => b.toString(16).padStart(2, '0')).join('');
    sessionStorage.setItem('lfss-session', id);
  }
  localStorage.setItem('lfss-last', id);
  return [id + ' ' + last];
}"""


def theme() -> gr.themes.Base:
    """Calm, with the system's own fonts: nothing is fetched from elsewhere."""
    return gr.themes.Default(
        primary_hue="blue",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(  # dark enough to be read on white, and boxes that can be seen
        body_text_color_subdued="*neutral_500",
        block_info_text_color="*neutral_500",
        checkbox_border_color="*neutral_400",
        checkbox_border_color_dark="*neutral_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
    )


def status_line(service: Service) -> str:
    """Which model there is, or what is missing, as HTML."""
    if service.problem:
        return (
            '<div class="lfss-warning" role="status"><p><b>There is no model, so nothing can be segmented '
            f"yet.</b></p><p>{html.escape(service.problem)}</p><p>Start the app with another preset: "
            "<code>python app.py --preset NAME</code>. The About tab lists them.</p></div>"
        )
    if service.loading:
        return '<p class="lfss-status" role="status">The model is being loaded …</p>'
    predictor = service.predictor()
    name, device = html.escape(predictor.preset.name), html.escape(str(predictor.device))
    return (
        '<p class="lfss-status" role="status" title="The model; pictures stay on its machine">'
        f"<b>{name}</b> on {device}</p>"
    )


def launch_options() -> dict[str, Any]:
    """What ``launch`` of the page needs."""
    return {
        "theme": theme(),
        "css_paths": CSS,
        "js": f"() => {{ ({KEYS})(); ({COMPLETE})(); ({PANELS})(); ({EXPLAIN})(); }}",
        "ssr_mode": False,
        # Gradio asks for its own page, and would end the program where that takes more than three seconds:
        # on a busy machine, or one that reaches itself through a proxy.
        "_frontend": False,
        "max_file_size": MAX_UPLOAD,
        "footer_links": ["api"],
    }


def build(service: Service, sessions: Sessions, *, mcp: bool = False) -> Page:
    """The whole page.

    Args:
        service: owns the model.
        sessions: owns what visitors work on.
        mcp: serve the endpoints as tools for AI assistants too.
    """
    with Page(
        title="LFSS Studio", analytics_enabled=False, delete_cache=(3600, 86400), fill_width=True
    ) as page:
        session_id = gr.State("")
        sent_id = gr.Textbox(visible=False)
        gr.HTML(sheet() + LARGE + BUBBLE, padding=False)
        words = gr.HTML(elem_id="word-list", padding=False)
        bar = build_run_bar()
        status = bar.status
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Segment", id="segment") as first:
                segment = build_segment(service, sessions, session_id, bar)
            stages = build_stages(sessions, session_id)
            review = build_review(service, sessions, session_id)
            build_export(sessions, session_id)
            build_about(service)
        build_api(service, sessions)

        @guarded
        def enter(sent: str, request: gr.Request) -> dict[Any, Any]:
            service.start()
            own, _, last = sent.partition(" ")
            key, session = sessions.open(own, page=request.session_hash, last=last)
            messages: list[str] = []
            if not (session.supports or session.queries or session.label or session.class_file):
                messages = go_on(session)
            if session.classes.chosen.empty and not session.queries and not used(session):
                example.install(session)
            found = segment.shown(service, session, settings=session.settings)
            found |= review.resumed(session)
            if session.place.tab != "segment":
                found[tabs] = gr.update(selected=session.place.tab)
            if messages:
                found[segment.progress] = views.notes(messages, kind="warning")
            head = {bar.project: project_name(session), status: status_line(service)}
            return {session_id: key, **head, **found}

        @guarded
        def wake(key: str) -> Iterator[dict[Any, Any]]:
            session = sessions.get(key)
            service.wait()
            show_saved_classes(service, session)
            yield {
                status: status_line(service),
                words: word_list(service.words_to_offer()),
                # The words could not be judged while the model was loading.
                segment.supports.words: word_notes(service, session.label, session.not_words),
            }
            if session.job is not None and session.job.running:  # it went on while no page was open
                yield from follow(segment, session, session.job, session.settings.threshold, 0.45)
            for panel in (segment.view.bulk, review.many):  # so did this
                yield from panel.follow(session)
            if session.example and not session.found and not service.problem:
                yield from first_look(segment, service, session)

        @guarded
        def come_back(key: str, threshold: float, opacity: float) -> dict[Any, Any]:
            """What other tabs have changed: supports that were taught, the label that is looked at."""
            if not key:  # the page is being opened
                return {segment.queries: gr.skip()}
            session = sessions.get(key)
            place.keep(session, replace(session.place, tab="segment"))
            view = segment.view.shown(session, float(threshold), float(opacity))
            return {**segment.supports.looked(session), **view}

        def leave(request: gr.Request) -> None:
            sessions.leave(request.session_hash or "")

        first_outputs = [
            session_id,
            status,
            bar.project,
            tabs,
            *segment.outputs,
            *segment.chosen,
            *review.view,
            review.learns,
        ]
        page.load(enter, sent_id, first_outputs, js=REMEMBER, **LIGHT).then(
            wake, session_id,
            [status, words, *segment.outputs, *segment.view.bulk.outputs, *review.many.outputs],
            show_progress="minimal", show_progress_on=segment.progress, **MODEL,
        )  # fmt: skip

        @guarded
        def explain(key: str) -> dict[Any, Any]:
            return {tabs: gr.update(selected="stages"), **stages.shown(sessions.get(key))}

        segment.view.why.click(explain, session_id, [tabs, *stages.outputs], **LIGHT)
        looks = [segment.view.threshold, segment.view.opacity]
        first.select(come_back, [session_id, *looks], segment.outputs, **LIGHT)
        page.unload(leave)
    page.room = sessions.room
    if mcp:
        page.routes = McpServer(service, sessions).routes()
    return page
