from __future__ import annotations

import numpy as np
import pytest

from demo import example
from demo.marking import known_from
from demo.saved_class import load_class, save_class
from demo.supports_panel import (
    look,
    support_notes,
    support_pictures,
    word_notes,
)
from lfss.errors import SupportError

BLUE, ORANGE = (0, 114, 178, 255), (230, 159, 0, 255)


def canvas(*strokes) -> dict:
    layer = np.zeros((60, 80, 4), np.uint8)
    for (top, left, bottom, right), colour in strokes:
        layer[top:bottom, left:right] = colour
    return {"layers": [layer]}


def test_a_box_is_what_the_strokes_reach():
    known = known_from(canvas(((10, 20, 12, 22), BLUE), ((40, 60, 42, 62), BLUE)), "Box", (60, 80))
    assert (known[10:42, 20:62] == -1).all()
    assert (known == 0).sum() == 60 * 80 - 32 * 42


def test_a_scribble_leaves_the_rest_unknown():
    known = known_from(canvas(((10, 10, 20, 20), BLUE), ((40, 40, 50, 50), ORANGE)), "Scribble", (60, 80))
    assert (known[10:20, 10:20] == 1).all()
    assert (known[40:50, 40:50] == 0).all()
    assert (known == -1).sum() == 60 * 80 - 200


def test_an_outline_is_filled_into_a_mask():
    outline = canvas(*(((10, 10, 50, 12), BLUE), ((10, 58, 50, 60), BLUE), ((10, 10, 12, 60), BLUE),
                       ((48, 10, 50, 60), BLUE)))  # fmt: skip
    known = known_from(outline, "Mask", (60, 80))
    assert (known[10:50, 10:60] == 1).all()
    assert known.sum() == 40 * 50


@pytest.mark.parametrize("kind", ["Box", "Scribble", "Mask"])
@pytest.mark.parametrize("value", [None, {"layers": []}])
def test_nothing_drawn_is_told(kind, value):
    with pytest.raises(SupportError, match="Nothing is drawn"):
        known_from(value, kind, (60, 80))


def test_the_model_says_what_it_takes_from_each_support(service, session, photo):
    session.label = "red"
    session.add_supports([photo("a.png", seed=1), photo("b.png", seed=2)])
    assert look(service, session) == []
    assert session.readings[0].any()
    assert min(session.agreements) > 0.5
    (_, caption), _ = support_pictures(session)
    assert caption.startswith("agrees ")


def test_a_support_that_hurts_is_named(service, session, photo):
    session.label = "red"
    session.add_supports([photo(f"{i}.png", seed=i) for i in range(3)] + [photo("odd.png", "blue", seed=9)])
    look(service, session)
    assert any("'odd.png' differs" in line for line in support_notes(session))


def test_supports_without_a_label_ask_for_one(service, session, photo):
    session.add_supports([photo("a.png")])
    assert look(service, session) == ["Type a label to see what the model takes from each support."]


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
