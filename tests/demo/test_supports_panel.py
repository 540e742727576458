from __future__ import annotations

from pathlib import Path

import numpy as np

from demo import example
from demo.saved_class import load_class, save_class
from demo.supports_panel import (
    look,
    support_notes,
    support_pictures,
    word_notes,
)


def test_the_model_says_what_it_takes_from_each_support(service, session, photo):
    session.label = "red"
    session.add_supports([photo("a.png", seed=1), photo("b.png", seed=2)])
    assert look(service, session) == []
    assert session.readings[0].any()
    assert min(session.agreements) > 0.5
    (file, caption), _ = support_pictures(session)
    name, marks, agrees = caption.splitlines()
    assert (name, marks) == ("a.png", "label only")
    assert agrees.startswith("agrees ")
    assert Path(file).is_relative_to(session.folder)


def test_a_picture_that_is_shown_again_is_not_written_again(service, session, photo):
    """A browser may be reading it."""
    session.add_supports([photo("a.png", seed=1)])
    (first, _), *_ = support_pictures(session)
    Path(first).write_bytes(b"is being read")
    assert support_pictures(session)[0][0] == first
    assert Path(first).read_bytes() == b"is being read"
    session.mark(0, np.zeros(session.supports[0].picture.size, np.int8), "mask")
    assert support_pictures(session)[0][0] != first


def test_a_support_that_hurts_is_named(service, session, photo):
    session.label = "red"
    session.add_supports([photo(f"{i}.png", seed=i) for i in range(3)] + [photo("odd.png", "blue", seed=9)])
    look(service, session)
    assert any("'odd.png' differs" in line for line in support_notes(session))


def test_supports_without_a_label_ask_for_one(service, session, photo):
    session.add_supports([photo("a.png")])
    assert look(service, session) == ["Type a label to see what the model takes from each support."]


def test_a_word_that_the_model_knows_little_of_asks_for_more_supports(service, monkeypatch):
    vlm = service.predictor().encoders.vlm
    monkeypatch.setattr(vlm, "text_trust", {"red": 0.3, "crimson": 0.9, "wombat": 0.0}.get)
    assert "knows little of &#x27;red&#x27;" in word_notes(service, "red", "")
    assert "knows little of &#x27;red&#x27;" in word_notes(service, "wombat, red", "")
    assert "knows little" not in word_notes(service, "crimson, red", "")
    assert "knows little" not in word_notes(service, "wombat", "")


def test_an_unknown_word_is_told_as_it_is_typed(service):
    service.predictor()
    assert "does not know &#x27;wombat&#x27;" in word_notes(service, "red, wombat", "")
    assert word_notes(service, "red", "blue") == ""
    assert "&lt;b&gt;" in word_notes(service, "<b>x</b>", "")
    assert "at most 200" in word_notes(service, "x" * 10_000, "")


def test_a_saved_class_is_loaded_in_place_of_supports(service, session, photo):
    session.label, session.not_words = "red, green", "blue"
    session.add_supports([photo("a.png", seed=1)])
    path = save_class(service, session)
    session.clear()
    load_class(service, session, path)
    assert session.label == "red, green"
    assert session.not_words == "blue"
    assert session.class_file
    assert not session.supports


def test_the_worked_example_is_complete(session):
    assert example.install(session)
    assert len(session.supports) == 2
    assert all(s.marks() is not None for s in session.supports)
    assert len(session.queries) == 1
