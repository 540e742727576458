"""A page, a command or a colleague goes on with what a workspace has, in whatever way it was made."""

from __future__ import annotations

import shutil

import gradio as gr
import numpy as np
import pytest

from demo import example, waiting
from demo.place import Place
from demo.resume import go_on, used
from demo.review import View, teach
from demo.review_tab import build_review
from demo.run import run
from demo.saved_class import load_class, save_class, show_saved_classes
from demo.segment_tab import build_segment
from demo.session import Settings
from demo.sessions import Sessions
from demo.stages_tab import build_stages
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
    assert len(told) == 5  # of three supports and two queries
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


def test_pictures_results_place_and_order_are_as_they_were(service, shared, worked):
    sessions = shared()
    _, session = sessions.open(None)
    go_on(session)
    assert [q.name for q in session.queries] == ["q0.png", "q1.png"]
    red, blue = session.classes
    assert list(red.found) == list(blue.found)
    assert len(red.found) == 2
    result = session.result(session.current)
    assert result is not None
    draft = session.workspace.draft(session.current, "red")
    assert (result.mask(0.4) == draft.mask).all()
    with gr.Blocks():
        review = build_review(service, sessions, gr.State(""))
        stages = build_stages(sessions, gr.State(""))
    assert "went with its session" in stages.shown(session)[stages.cards]
    second = session.workspace.overview("blue")[1].digest
    session.reviewed = second
    review.shown(session, "", View("blue", "All", "Name"))
    sessions.close()

    sessions = shared()
    _, session = sessions.open(None)
    go_on(session)
    shown = review.resumed(session)
    assert shown[review.label]["value"] == "blue"
    assert (shown[review.state], shown[review.order]) == ("All", "Name")
    assert (session.reviewed, session.place.tab) == (second, "review")
    sessions.close()


def test_run_does_only_what_is_new_after_a_restart_and_all_after_a_change(service, shared, worked, photo):
    sessions = shared()
    _, session = sessions.open(None)
    go_on(session)

    def done() -> set[str]:
        updates = run(service, session, session.settings, items=session.classes)
        return {update.name for update in updates if update.digest}

    assert done() == set()
    session.add_queries([photo("new.png", "red", seed=40)])
    assert done() == {"new.png"}
    session.mark(1, np.ones((240, 320), np.int8), "mask")
    assert done() == {"q0.png", "q1.png", "new.png"}
    sessions.close()


def test_a_run_of_what_is_new_leaves_pictures_with_drafts_alone_whatever_their_files(
    service, shared, worked, photo
):
    sessions = shared()
    _, session = sessions.open(None)
    assert not session.only_new
    go_on(session)
    assert session.only_new
    session.mark(1, np.ones((240, 320), np.int8), "mask")  # another class from now on
    session.add_queries([photo("again.png", "red", seed=10), photo("new.png", "red", seed=41)])
    items = session.classes
    updates = run(service, session, session.settings, items=items, only_new=session.only_new)
    assert {update.name for update in updates if update.digest} == {"new.png"}
    assert session.passed_over == 3  # two that are known by their files, one by its pixels
    updates = run(service, session, session.settings, items=items)
    assert {update.name for update in updates if update.digest} == {"q0.png", "q1.png", "again.png"}
    sessions.close()


@pytest.mark.parametrize("text", ["{", "[]", '{"tab": "x"}', '{"tab": "review", "label": 3}', "[" * 5000])
def test_a_place_that_makes_no_sense_is_the_beginning(shared, worked, tmp_path, text):
    (tmp_path / "work" / "place.json").write_text(text, encoding="utf-8")
    sessions = shared()
    _, session = sessions.open(None)
    go_on(session)
    assert session.place == Place()
    sessions.close()


def test_labels_that_nothing_shows_come_where_there_are_no_others(shared, tmp_path, photo):
    with Workspace.open(tmp_path / "work") as workspace:
        workspace.add_label("boat")
    sessions = shared()
    _, session = sessions.open(None)
    assert go_on(session) == []
    assert session.label == "boat"
    assert used(session)
    sessions.close()


def test_nothing_of_the_example_goes_into_a_workspace(service, shared, tmp_path, photo):
    """The example, then a person's own pictures and word in any order; reopened, there are no cheetahs."""
    sessions = shared()
    with gr.Blocks() as page:
        key = gr.State("")
        tab = build_segment(service, sessions, key)
    add = next(fn.fn for fn in page.fns.values() if (tab.queries in fn.outputs and fn.name == "add"))
    name, session = sessions.open(None)
    assert example.install(session)
    shown = add(name, [str(photo("q.png", seed=5))])
    assert [q.name for q in session.queries] == ["q.png"]
    assert shown[tab.supports.gallery]["value"] == []
    session.label = "red"
    session.add_supports([photo("s.png", seed=1)])
    list(run(service, session, Settings(), items=session.classes, keep_drafts=not session.example))
    session.workspace.set_status(session.current or next(iter(session.found)), "red", "accepted")
    session.reviewed = next(iter(session.found))
    taught = teach(session, View("red", "All"))
    assert taught.picture.name == "q.png"
    sessions.close()
    sessions = shared()
    _, session = sessions.open(None)
    go_on(session)
    assert [c.label for c in session.classes] == ["red"]
    assert [s.picture.name for s in session.supports] == ["s.png"]
    sessions.close()


def test_another_label_over_the_examples_own_leaves_the_example(session):
    assert example.install(session)
    assert not example.outgrown(session)
    session.label = "dog"
    assert example.outgrown(session)
    example.leave(session)
    assert (session.label, session.supports, session.queries) == ("dog", [], [])


def test_the_examples_own_word_stays_if_somebody_has_typed_it(session):
    for typed in (False, True):
        assert example.install(session)
        session.typed_over = typed
        assert example.outgrown(session) == typed
        example.leave(session)
        assert (session.label, session.typed_over) == (example.LABEL if typed else "", False)


def test_pictures_that_were_dropped_and_not_run_come_back_with_their_places(service, shared, photo, tmp_path):
    sessions = shared()
    _, session = sessions.open(None)
    session.label = "red"
    session.add_supports([photo("s.png", "red", seed=1)])
    session.add_queries([photo(f"q{i}.png", "red", seed=10 + i) for i in range(4)])
    waiting.keep(session)
    list(run(service, session, Settings(), queries=session.queries[1:2]))
    del session.queries[3]
    waiting.keep(session)
    assert len(list((tmp_path / "work" / "waiting").iterdir())) == 2
    sessions.close()

    sessions = shared()
    _, session = sessions.open(None)
    go_on(session)
    assert [query.name for query in session.queries] == ["q0.png", "q1.png", "q2.png"]
    assert all(query.path.is_file() for query in session.queries)
    updates = run(service, session, session.settings, items=session.classes)
    assert [update.name for update in updates if update.digest] == ["q0.png", "q2.png"]
    assert not list((tmp_path / "work" / "waiting").iterdir())  # also if the program were stopped now
    session.classes.remove()
    waiting.keep(session)
    sessions.close()

    sessions = shared()
    _, session = sessions.open(None)
    go_on(session)
    assert len(session.queries) == 3  # what has drafts does not wait
    sessions.close()


def test_what_waits_is_bounded_and_a_list_that_makes_no_sense_is_left(shared, photo, tmp_path, monkeypatch):
    sessions = shared()
    _, session = sessions.open(None)
    session.add_queries([photo(f"q{i}.png", seed=i) for i in range(3)])
    monkeypatch.setattr(waiting, "MOST", 2)
    waiting.keep(session)
    assert len(list((tmp_path / "work" / "waiting").iterdir())) == 2
    sessions.close()
    rows = '[3, [0], [0, "../place.json", "x", false], ["a", "b", "c", false], [9, "gone.png", "x", true]]'
    (tmp_path / "work" / "waiting.json").write_text(rows, encoding="utf-8")
    sessions = shared()
    _, session = sessions.open(None)
    go_on(session)
    assert session.queries == []
    sessions.close()
