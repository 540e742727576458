"""The head of the page: whose work this is, Run, Cancel and how far it is. It stays in sight on every tab."""

from __future__ import annotations

import html
from typing import NamedTuple

import gradio as gr

from .session import Session


class RunBar(NamedTuple):
    """Components of the bar."""

    start: gr.Button
    stop: gr.Button
    progress: gr.HTML
    project: gr.HTML
    status: gr.HTML


def project_name(session: Session | None) -> str:
    """The name of a session's workspace as HTML, or that its work is not kept."""
    name, told = (
        "not kept",
        "Drafts go six hours after their last use. Start with --workspace DIR to keep them.",
    )
    if session is not None and session.outlived:
        name, told = session.workspace.folder.name, f"Kept in {session.workspace.folder}"
    return (
        '<header class="lfss-head"><h1>LFSS Studio</h1>'
        f'<span class="lfss-project" title="{html.escape(told, quote=True)}">{html.escape(name)}</span>'
        "</header>"
    )


def build_run_bar() -> RunBar:
    """Lay out the bar."""
    with gr.Row(elem_id="run-bar", equal_height=False):
        project = gr.HTML(project_name(None), elem_id="project", padding=False, min_width=0)
        start = gr.Button("Run", variant="primary", elem_id="run", scale=0, min_width=96, size="md")
        stop = gr.Button("Cancel", elem_id="cancel", scale=0, min_width=80, size="md")
        with gr.Column(scale=1, min_width=220):
            progress = gr.HTML(elem_id="progress", padding=False)
        with gr.Row(elem_id="head-end", equal_height=True):
            status = gr.HTML(elem_id="status", padding=False)
            gr.HTML(
                '<button type="button" data-keys title="All keys: press ?" aria-label="All keys">?</button>',
                padding=False, elem_id="head-keys",
            )  # fmt: skip
    return RunBar(start, stop, progress, project, status)
