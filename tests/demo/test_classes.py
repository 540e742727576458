"""Several labels in one run."""

from __future__ import annotations

import gradio as gr
import pytest

from demo.classes import MAX_CLASSES
from demo.classes_panel import class_choices
from demo.run import run
from demo.segment_tab import build_segment, stream, summary
from demo.session import Settings
from lfss.batch import loop
from lfss.errors import InputError, LabelError, NoForeground


@pytest.fixture
def two(session, photo):
    """Red and blue things, one support each, and two pictures: the first shows red, the second blue."""
    for colour in ("red", "blue"):
        session.classes.add()
        session.label = colour
        session.add_supports([photo(f"{colour}.png", colour, seed=len(session.classes))])
    session.add_queries([photo("q-red.png", "red", seed=11), photo("q-blue.png", "blue", seed=12)])
    return session


def test_an_empty_label_is_filled_before_another_one_is_made(session):
    assert session.classes.add() is session.classes.chosen
    assert len(session.classes) == 1
    session.label = "red, crimson"
    session.classes.add()
    assert class_choices(session) == [("red", 0), ("(no name yet)", 1)]
    assert session.label == ""


def test_what_is_typed_and_added_goes_to_the_chosen_label(two):
    red, blue = two.classes
    assert (red.name, blue.name) == ("red", "blue")
    assert [s.picture.name for s in blue.supports] == ["blue.png"]
    two.classes.choose(red)
    assert two.label == "red"
    assert [s.picture.name for s in two.supports] == ["red.png"]


def test_every_label_is_searched_for_in_every_picture(service, two):
    updates = list(run(service, two, Settings(), items=two.classes))
    assert [u.item.name for u in updates if u.digest] == ["red", "blue", "red", "blue"]
    assert (updates[-1].done, updates[-1].total) == (4, 4)
    for colour, other in (("red", "blue"), ("blue", "red")):
        drafts = {d.image_name: d.mask for d in two.workspace.drafts(colour)}
        assert drafts[f"q-{colour}.png"][60:180, 80:220].mean() > 0.9
        assert not drafts[f"q-{other}.png"].any()
    assert list(run(service, two, Settings(), items=two.classes)) == []


def test_labels_compete_for_pixels_and_a_picture_is_read_and_encoded_once(service, two, monkeypatch):
    two.classes.add().label = "crimson, red"
    two.add_supports([two.queries[0].path])
    list(run(service, two, Settings(), items=[two.classes.chosen], queries=two.queries[:1]))
    read, encoded, encode = [], [], service.predictor().encode
    monkeypatch.setattr(loop, "stamp_of", lambda path: read.append(path.name))
    monkeypatch.setattr(
        service.predictor(), "encode", lambda image: encoded.append(image.name) or encode(image)
    )
    updates = [u for u in run(service, two, Settings(), items=two.classes) if u.digest]
    assert len(updates) == 6
    assert [name for name in encoded if name.startswith("q-")] == ["q-red.png", "q-blue.png"]
    assert len(read) == 2
    digest = updates[0].digest
    red, crimson = (two.workspace.draft(digest, label) for label in ("red", "crimson"))
    assert (red.mask | crimson.mask)[60:180, 80:220].mean() > 0.9
    assert not (red.mask & crimson.mask).any()
    assert red.lost.get("crimson", 0) + crimson.lost.get("red", 0) > 0.9
    assert updates[2].overlap == pytest.approx(crimson.mask.sum() / (red.mask | crimson.mask).sum(), abs=0.1)


def test_a_label_whose_supports_show_nothing_is_left_out_and_the_others_go_on(service, two, monkeypatch):
    iterate = service.predictor().iterate_classes

    def without_blue(prepared, *args, **options):
        if any(one.label.text == "blue" for one in prepared):
            raise NoForeground("No support shows the object 'blue'.", label="blue")
        return iterate(prepared, *args, **options)

    monkeypatch.setattr(service.predictor(), "iterate_classes", without_blue)
    updates = [u for u in run(service, two, Settings(), items=two.classes) if u.digest]
    assert [(u.item.name, u.done, u.total) for u in updates] == [("red", 1, 2), ("red", 2, 2)]
    assert two.failures == [("blue", "'blue': No support shows the object 'blue'.")]
    with pytest.raises(NoForeground):
        list(run(service, two, Settings(), items=[two.classes.numbered(1)]))


def test_results_of_labels_on_the_same_picture_keep_apart(service, two):
    list(run(service, two, Settings(), items=two.classes))
    red, blue = two.classes
    digest = next(iter(red.found))
    two.view(red)
    assert two.result(digest).present
    two.view(blue)
    assert not two.result(digest).present
    assert two.classes.chosen is blue


def test_a_picture_without_a_result_gives_way_to_one_that_has_it(service, two):
    red, blue = two.classes
    list(run(service, two, Settings(), items=[red]))
    two.current = None
    two.view(blue)
    assert two.current is None
    two.view(red)
    assert two.current == list(red.found)[-1]


def test_a_run_takes_neither_a_mask_nor_a_persons_choice_out_of_sight(two):
    red, blue = two.classes
    red.found, blue.found = {"a": False, "b": True}, {"a": False, "b": False, "c": True}
    seen = []
    for item, digest in ((red, "a"), (blue, "a"), (red, "b"), (blue, "b"), (blue, "c")):
        two.view_found(item, digest)
        seen.append((two.classes.viewed.name, two.current))
    assert seen == [("red", "a"), ("blue", "a"), ("red", "b"), ("red", "b"), ("blue", "c")]
    two.look_at("a")
    two.view_found(red, "b")
    assert two.current == "a"


def test_cancel_ends_the_whole_run_and_run_goes_on_with_the_rest(service, two):
    for update in run(service, two, Settings(), items=two.classes):
        if update.digest:
            two.cancel.set()
    assert two.progress == (2, 4)
    assert "Stopped. 2 of 4 masks" in summary(two, *two.progress, 1)
    rest = [(u.item.name, u.name) for u in run(service, two, Settings(), items=two.classes) if u.digest]
    assert rest == [("red", "q-blue.png"), ("blue", "q-blue.png")]


def test_a_label_that_cannot_be_found_is_told_and_the_others_go_on(service, two, photo):
    two.classes.add().label = "wombat"
    two.add_supports([photo("w.png", seed=5)])
    updates = list(run(service, two, Settings(), items=two.classes))
    assert updates[-1].done == 4
    ((name, reason),) = two.failures
    assert name == "wombat"
    assert reason.startswith("'wombat': The preset 'fake' does not know the word")
    text = summary(two, 4, 4, 2.0)
    assert "Done: 4 masks of 3 labels" in text
    assert "does not know the word" in text


def test_labels_need_names_of_their_own(service, two):
    two.label = " RED"
    with pytest.raises(LabelError, match="Two labels are called"):
        list(run(service, two, Settings(), items=two.classes))
    two.label = " , "
    with pytest.raises(LabelError, match="Label 2 has no name"):
        list(run(service, two, Settings(), items=two.classes))


def test_photos_are_shared_without_their_marks(two):
    two.classes.add().label = "green"
    assert two.classes.share() == 2
    assert [s.note for s in two.supports] == ["label only"] * 2
    assert two.classes.share() == 0


def test_removing_leaves_drafts_and_always_one_label(service, two):
    list(run(service, two, Settings(), items=two.classes))
    two.classes.remove()
    assert class_choices(two) == [("red", 0)]
    two.classes.remove()
    assert two.label == ""
    assert two.supports == []
    assert len(list(two.workspace.drafts("blue"))) == 2


def test_there_is_a_limit(session):
    for i in range(MAX_CLASSES):
        session.classes.add().label = f"thing {i}"
    with pytest.raises(InputError, match="At most"):
        session.classes.add()


def test_the_page_follows_the_label_at_work_and_lets_one_choose(service, sessions, two):
    with gr.Blocks():
        tab = build_segment(service, sessions, gr.State(""))
    *_, last = stream(tab, service, two, Settings(), 0.45)
    assert last[tab.view.label]["visible"]
    assert last[tab.view.label]["value"] == 1
    shown = tab.shown(service, two)
    assert shown[tab.supports.classes.remove]["visible"]
    assert shown[tab.supports.classes.share]["visible"]
    assert shown[tab.supports.gallery]["label"] == "Supports of 'blue'"
    two.classes.remove()
    shown = tab.shown(service, two)
    assert not shown[tab.supports.classes.choice]["visible"]
    assert shown[tab.supports.gallery]["label"] == "Supports"
