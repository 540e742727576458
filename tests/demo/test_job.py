"""A run that goes on by itself: its masks come to the page as they are made, with or without a page."""

from __future__ import annotations

import threading

import gradio as gr
import pytest

from demo.run import Update
from demo.segment_tab import build_segment, follow, stream
from demo.session import Settings
from lfss.errors import LfssError


@pytest.fixture
def tab(service, sessions):
    with gr.Blocks():
        return build_segment(service, sessions, gr.State(""))


@pytest.fixture
def ready(session, photo):
    session.label = "red"
    session.add_supports([photo("s.png", seed=1)])
    session.add_queries([photo(f"q{i}.png", seed=10 + i) for i in range(8)])
    return session


class Gate:
    """Lets the model's ``is_present`` through so many times."""

    def __init__(self, service, monkeypatch):
        self.free = threading.Semaphore(0)
        real = service.is_present

        def waiting(prediction):
            assert self.free.acquire(timeout=60)
            return real(prediction)

        monkeypatch.setattr(service, "is_present", waiting)

    def open(self, times: int) -> None:
        for _ in range(times):
            self.free.release()


def test_the_first_mask_and_each_next_one_is_shown_while_the_rest_is_still_to_be_made(
    service, tab, ready, monkeypatch
):
    gate = Gate(service, monkeypatch)
    updates = stream(tab, service, ready, Settings(), 0.45)
    for made in (1, 2, 3):
        gate.open(1)
        shown = next(update for update in updates if tab.view.picks in update)
        assert len(shown[tab.view.picks]["value"]) == made
        assert f"{made} of 8" in shown[tab.progress]
    gate.open(99)
    assert "Done: 8 pictures" in list(updates)[-1][tab.progress]


def test_a_run_goes_on_without_its_page_and_the_next_page_follows_it(service, tab, ready, monkeypatch):
    gate = Gate(service, monkeypatch)
    updates = stream(tab, service, ready, Settings(), 0.45)
    gate.open(1)
    next(update for update in updates if tab.view.picks in update)
    updates.close()  # the page is closed
    gate.open(99)
    assert ready.job is not None
    seen = list(follow(tab, ready, ready.job, 0.5, 0.45))
    assert "Done: 8 pictures" in seen[-1][tab.progress]
    assert ready.workspace.stats().pictures == 9
    assert "Done: 8 pictures" in tab.shown(service, ready)[tab.progress]


def test_what_ends_a_run_is_told_to_whoever_follows_it(service, tab, ready):
    ready.label = "<>"
    with pytest.raises(LfssError, match="needs letters or digits"):
        list(stream(tab, service, ready, Settings(), 0.45))


def test_another_run_ends_the_one_before_and_does_the_rest(service, tab, ready, monkeypatch):
    gate = Gate(service, monkeypatch)
    updates = stream(tab, service, ready, Settings(), 0.45)
    gate.open(2)
    next(update for update in updates if tab.view.picks in update)
    first = ready.job
    threading.Timer(0.2, gate.open, [99]).start()
    assert "Done" in list(stream(tab, service, ready, Settings(), 0.45))[-1][tab.progress]
    assert first is not None
    assert not first.running
    assert len(ready.found) == 8


def test_cancel_stops_a_run_that_nobody_follows(service, tab, ready, monkeypatch):
    gate = Gate(service, monkeypatch)
    next(iter(stream(tab, service, ready, Settings(), 0.45)))
    assert ready.job is not None
    ready.cancel.set()
    gate.open(99)
    ready.job.stop(30)
    assert not ready.job.running
    assert len(ready.found) < 8
    assert isinstance(ready.job.latest, Update)
