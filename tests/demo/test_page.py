from __future__ import annotations

import gradio as gr
import pytest

from demo import build, example
from demo.about_tab import models
from demo.handlers import as_gradio_error, guarded
from demo.page import launch_options, status_line
from demo.review import View
from demo.review_view import nothing
from demo.segment_tab import build_segment, first_look, shown_result
from demo.service import Service
from lfss.errors import InputError
from tests.serving import serving


def test_without_a_model_the_page_is_built_and_says_what_is_missing(sessions):
    service = Service("no-such-preset")
    service.wait()
    page = build(service, sessions)
    assert page.fns
    (tabs,) = (block for block in page.blocks.values() if isinstance(block, gr.Tabs))
    assert all(isinstance(child, gr.Tab) for child in tabs.children)  # Gradio would mix up their names
    line = status_line(service)
    assert "There is no model" in line
    assert "no-such-preset" in line


def test_markup_in_a_problem_is_made_harmless():
    service = Service("<img src=x>")
    service.wait()
    assert "<img" not in status_line(service)


def test_the_status_names_the_model(service):
    service.wait()
    assert "<b>fake</b>" in status_line(service)


def test_our_errors_are_told_word_for_word_and_escaped():
    assert as_gradio_error(InputError("The file '<b>x</b>' is empty.")).message == (
        "The file &#x27;&lt;b&gt;x&lt;/b&gt;&#x27; is empty."
    )


def test_other_faults_are_told_without_their_details(caplog):
    message = as_gradio_error(ValueError("secret /path")).message
    assert "secret" not in message
    assert "secret" in caplog.text


def test_a_handler_that_streams_tells_its_errors_too():
    @guarded
    def handler():
        yield 1
        raise InputError("No.")

    stream = handler()
    assert next(stream) == 1
    with pytest.raises(Exception, match="No") as caught:
        next(stream)
    assert type(caught.value).__name__ == "Error"


def test_a_machine_too_busy_to_answer_at_once_serves_the_page_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("gradio.networking.url_ok", lambda url: False)
    with serving(tmp_path) as app:
        assert app.url.startswith("http://")


def test_every_handler_of_the_page_is_private_but_three(service, sessions):
    page = build(service, sessions)
    public = {fn.api_name for fn in page.fns.values() if fn.api_visibility == "public"}
    assert public == {"prepare_class", "segment", "export"}


def test_nothing_is_fetched_from_elsewhere():
    options = launch_options()
    assert options["ssr_mode"] is False
    assert "http" not in options["css_paths"].read_text(encoding="utf-8")


def test_an_empty_session_says_what_to_do(session):
    pixels, line = shown_result(session, 0.5, 0.45)
    assert pixels is None
    assert "Run" in line


def test_the_about_page_lists_every_preset(service):
    text = models(service)
    assert all(f"<code>{name}</code>" in text for name in ("mini", "paper-rn50", "vit"))


def test_the_worked_example_runs_without_leaving_drafts(service, sessions):
    _, session = sessions.open(None)
    assert example.install(session)
    with gr.Blocks():
        tab = build_segment(service, sessions, gr.State(""))
    updates = list(first_look(tab, service, session))
    assert "worked example" in updates[-1][tab.progress]
    assert session.current
    assert session.workspace.stats().pictures == 0
    assert nothing(session, View(None))[0] == "The worked example makes no drafts"
