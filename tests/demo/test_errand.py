"""A change of many drafts is worked out also when its page is closed, and the next page finds it."""

from __future__ import annotations

import threading

import gradio as gr
import pytest

from demo.bulk import Proposal
from demo.bulk_panel import build_bulk, forget
from demo.errand import Errand
from lfss.errors import InputError


def test_a_closed_page_ends_nothing_and_the_next_one_is_shown_the_proposal(session):
    gate, dropped = threading.Event(), []

    def steps():
        yield "half"
        assert gate.wait(30)
        yield Proposal(2, "two would change", ("red",), lambda: None, lambda: dropped.append(1))

    with gr.Blocks():
        panel, other = build_bulk("many"), build_bulk("threshold")
    session.errand = Errand("many", steps())
    page = panel.follow(session)
    assert next(page) == {panel.told: "half"}
    page.close()
    assert session.errand.running
    with pytest.raises(InputError, match="being worked out"):
        forget(session)
    gate.set()
    assert list(other.follow(session)) == []
    *_, last = panel.follow(session)
    assert last[panel.told] == "two would change"
    assert last[panel.apply]["visible"]
    assert session.proposal is session.errand.latest
    forget(session)
    assert dropped == [1]
    assert list(panel.follow(session)) == []


def test_what_ended_it_is_told_to_whoever_follows():
    def steps():
        yield "begun"
        raise InputError("No.")

    errand = Errand("many", steps())
    with pytest.raises(InputError, match="No"):
        list(errand.follow())
