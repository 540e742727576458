"""A page, a command or a colleague goes on with what a workspace has, in whatever way it was made."""

from __future__ import annotations

import shutil

import gradio as gr
import numpy as np
import pytest

from demo.resume import go_on
from demo.run import run
from demo.saved_class import load_class, save_class, show_saved_classes
from demo.segment_tab import build_segment
from demo.session import Settings
from demo.sessions import Sessions
from lfss.__main__ import main
from lfss.workspace import Workspace


@pytest.fixture
def shared(tmp_path):
    """Sessions that share a workspace which outlives them."""

    def start() -> Sessions:
        return Sessions(tmp_path / "work", root=tmp_path)

    return start


@pytest.fixture
def worked(service, shared, photo):
    """What a visitor left: two labels, one with marks, and two drafts of each."""
    sessions = shared()
    _, session = sessions.open(None)
    session.label, session.not_words = "red, scarlet", "green"
    session.add_supports([photo("r.png", "red", seed=1), photo("r2.png", "red", seed=2)])
    known = np.zeros((240, 320), np.int8)
    known[60:180, 80:220] = 1
    session.mark(0, known, "mask")
    session.classes.add().label = "blue"
    session.add_supports([photo("b.png", "blue", seed=3)])
    session.add_queries([photo(f"q{i}.png", "red", seed=10 + i) for i in range(2)])
    list(run(service, session, Settings(0.4, assume_present=True), items=session.classes))
    sessions.close()


def test_the_app_opens_on_what_another_session_left(service, shared, worked):
    sessions = shared()
    _, session = sessions.open(None)
    assert go_on(session) == []
    red, blue = session.classes
    assert (red.label, red.not_words, blue.label) == ("red, scarlet", "green", "blue")
    assert [s.picture.name for s in red.supports] == ["r.png", "r2.png"]
    assert (red.supports[0].marks()[60:180, 80:220] == 1).all()
    assert red.supports[1].marks() is None
    assert session.settings == Settings(0.4, assume_present=True)
    assert session.classes.chosen is red
    with gr.Blocks():
        tab = build_segment(service, sessions, gr.State(""))
    shown = tab.shown(service, session, settings=session.settings)
    assert (shown[tab.view.threshold], shown[tab.assume]) == (0.4, True)
    (row, *_) = session.workspace.overview("red")
    assert session.picture(row.digest).read().size == (240, 320)  # what was uploaded is still there
    session.add_queries([session.picture(row.digest).path])
    list(run(service, session, session.settings, items=session.classes))
    one, other = session.workspace.drafts("red")
    assert one.origin == other.origin
    sessions.close()


def test_a_command_goes_on_with_what_the_app_left(worked, tmp_path, photo, capsys):
    query = photo("new.png", "red", seed=20)
    line = f"segment --workspace {tmp_path / 'work'} --query {query} --device cpu"
    # The workspace names a preset by module and function: that is imported only where a person names it.
    assert main(line.split()) == 2
    assert "name it yourself: --preset" in capsys.readouterr().err
    assert main([*line.split(), "--preset", "tests.fakes:preset"]) == 0
    with Workspace.open(tmp_path / "work") as workspace:
        old, new = workspace.drafts("red")[0], workspace.drafts("red")[2]
        assert (new.image_name, new.origin) == ("new.png", old.origin)
        assert [c.label.phrases for c in workspace.labels()] == [("red", "scarlet"), ("blue",)]


def test_the_app_goes_on_with_what_a_command_left(shared, tmp_path, photo):
    line = f"segment --workspace {tmp_path / 'work'} --label red --support {photo('s.png')} --threshold 0.3"
    assert (
        main([*line.split(), "--query", str(photo("q.png", seed=2)), "--preset", "tests.fakes:preset"]) == 0
    )
    sessions = shared()
    _, session = sessions.open(None)
    assert go_on(session) == []
    assert (session.label, len(session.supports), session.settings.threshold) == ("red", 1, 0.3)
    sessions.close()


def test_a_support_whose_picture_is_gone_is_told(shared, worked, tmp_path):
    shutil.rmtree(tmp_path / "work" / "pictures")
    sessions = shared()
    _, session = sessions.open(None)
    told = go_on(session)
    assert len(told) == 3
    assert "no longer at" in told[0]
    assert [c.name for c in session.classes] == ["red", "blue"]
    sessions.close()


def test_a_saved_class_stays_with_the_workspace(service, shared, worked, tmp_path, photo):
    sessions = shared()
    _, session = sessions.open(None)
    go_on(session)
    load_class(service, session, save_class(service, session))
    session.add_queries([photo("q9.png", seed=30)])
    list(run(service, session, Settings()))
    sessions.close()
    sessions = shared()
    _, session = sessions.open(None)
    go_on(session)
    red = session.classes.named("red")
    assert red.class_file.is_relative_to(tmp_path / "work")
    show_saved_classes(service, session)
    assert len(red.class_pictures) == 2
    sessions.close()


def test_a_private_workspace_and_an_empty_one_begin_empty(session):
    assert go_on(session) == []
    assert session.classes.chosen.empty
