"""Run, Cancel and how far it is: seen on every tab, and while the page is scrolled."""

from __future__ import annotations

from typing import NamedTuple

import gradio as gr


class RunBar(NamedTuple):
    """Components of the bar."""

    start: gr.Button
    stop: gr.Button
    progress: gr.HTML


def build_run_bar() -> RunBar:
    """Lay out the bar."""
    with gr.Row(elem_id="run-bar", equal_height=False):
        start = gr.Button("Run", variant="primary", elem_id="run", scale=0, min_width=120)
        stop = gr.Button("Cancel", elem_id="cancel", scale=0, min_width=90)
        with gr.Column(scale=1, min_width=220):
            progress = gr.HTML(elem_id="progress", padding=False)
    return RunBar(start, stop, progress)
