"""What a picture holds, label by label, and which drafts a person finds in a list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demo import finding
from demo.canvas import decode_mask
from demo.colours import colour_of
from demo.drawing import draft_task, recolour
from demo.layers import layers, losses
from lfss.drafts import Draft
from lfss.errors import InputError, WorkspaceError
from lfss.palette import LABEL_COLOURS
from lfss.storage.listing import Row
from tests.fakes import OneSession


@pytest.fixture
def two(session, photo):
    """Drafts of "red", which lost to "blue", and of "blue", on one picture."""
    session.add_queries([photo("a.png", seed=1)])
    picture = session.register(session.queries[0])
    session.workspace.add_image(picture.path)
    red, blue = np.zeros(picture.size, bool), np.zeros(picture.size, bool)
    red[10:30, 10:30], blue[40:60, 40:50], blue[40:60, 70:80] = True, True, True
    lost = {"blue": 0.25, "green": 0.01}
    session.workspace.put_draft(
        Draft(picture.name, picture.digest, "red", red, presence=0.98, doubt=0.1, lost=lost)
    )
    session.workspace.put_draft(Draft(picture.name, picture.digest, "blue", blue, presence=0.5, doubt=0.1))
    return session.workspace.draft(picture.digest, "red")


def test_every_label_of_a_picture_is_a_layer_with_its_colour_objects_and_loss(session, two):
    red, blue = layers(session, two)
    assert (red.label, red.drawn, red.mask) == ("red", True, "")
    assert red.note == "1 object · 98% sure · lost 25% to blue"
    assert (blue.label, blue.drawn, blue.note) == ("blue", False, "2 objects · 50% sure")
    assert (red.colour, blue.colour) == LABEL_COLOURS[:2]
    task = draft_task(session, "s", two)
    assert task["colour"] == red.colour
    shown = decode_mask(task["layers"][1]["mask"]) == 1
    assert (shown == session.workspace.draft(two.image_digest, "blue").mask).all()


def test_a_label_without_drafts_shows_the_colour_that_it_will_get(session, two):
    for name in ("red", "green", "grey"):
        session.classes.add()
        session.label = name
    assert [colour_of(session, name) for name in ("red", "blue", "green", "grey")] == list(LABEL_COLOURS[:4])
    assert session.workspace.add_label("green").colour == LABEL_COLOURS[2]


def test_a_colour_is_changed_for_one_label_and_never_shared(session, two):
    assert recolour(OneSession(session), "s", "red", "#ABCDEF") == "#abcdef"
    assert colour_of(session, "red") == "#abcdef"
    with pytest.raises(WorkspaceError, match="share the colour"):
        recolour(OneSession(session), "s", "blue", "#abcdef")
    with pytest.raises(InputError, match="is no colour"):
        recolour(OneSession(session), "s", "blue", "red; }")
    assert colour_of(session, "blue") == LABEL_COLOURS[1]


def test_small_losses_are_not_told_and_large_ones_come_first():
    assert losses({"a": 0.04}) == ""
    assert losses({"a": 0.1, "b": 0.5}) == "lost 50% to b, 10% to a"


ROW = Row("d", "Beach-01.jpg", "dog", "proposed", 0.8, 0.9, 0.4, {}, "m", 0.5, "now", Path("x"))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["Beach-01.jpg", "wood.jpg", "drawn.jpg"]),
        ("beach 01", ["Beach-01.jpg"]),
        ("doubt>0.3", ["Beach-01.jpg"]),
        ("doubt <= 0.3 jpg", ["wood.jpg"]),
        ("score<0.85 presence>=0.9", ["Beach-01.jpg", "wood.jpg"]),
        ("score<0,85 doubt>0.1 wood", ["wood.jpg"]),
    ],
)
def test_drafts_are_found_by_name_and_by_bounds(text, names):
    rows = [
        ROW,
        replace(ROW, name="wood.jpg", doubt=0.3),
        replace(ROW, name="drawn.jpg", doubt=None, score=None),
    ]
    assert [row.name for row in finding.found(rows, text)] == names


@pytest.mark.parametrize("text", ["doubt>", "doubt>x", "size>3"])
def test_a_bound_that_cannot_be_read_is_told(text):
    with pytest.raises(InputError, match="is no bound"):
        finding.found([ROW], text)
