"""Drawings on drafts and supports are kept where they belong."""

from __future__ import annotations

import numpy as np
import pytest

from demo.canvas import decode_mask
from demo.drawing import draft_task, keep_drawing, kind_of, support_task
from lfss.drafts import Draft
from lfss.errors import InputError
from tests.fakes import OneSession


@pytest.fixture
def drafted(session, photo):
    """A proposed draft of a block."""
    session.add_queries([photo("a.png", seed=1)])
    picture = session.register(session.queries[0])
    session.workspace.add_image(picture.path)
    mask = np.zeros(picture.size, bool)
    mask[10:30, 10:30] = True
    session.workspace.put_draft(Draft(picture.name, picture.digest, "red", mask))
    return session.workspace.draft(picture.digest, "red")


def test_a_stroke_on_a_draft_is_an_edit_by_a_person(session, drafted):
    task = draft_task(session, "s", drafted)
    drawn = decode_mask(task["mask"])
    drawn[40:50, 40:50] = 1
    saved = keep_drawing(OneSession(session), "s", task["key"], drawn)
    assert (saved.state, saved.note) == ("edited", "2 objects")
    kept = session.workspace.draft(drafted.image_digest, "red")
    assert kept.status == "edited"
    assert kept.mask[40:50, 40:50].all()
    assert kept.mask.sum() == 500
    assert draft_task(session, "s", kept)["version"] == saved.version != task["version"]


def test_a_drawing_that_changes_nothing_leaves_the_draft_alone(session, drafted):
    task = draft_task(session, "s", drafted)
    keep_drawing(OneSession(session), "s", task["key"], decode_mask(task["mask"]))
    assert session.workspace.draft(drafted.image_digest, "red").status == "proposed"


def test_marks_on_a_support_are_kept_and_taken_back(session, photo):
    session.label = "red"
    session.add_supports([photo("a.png", seed=1)])
    task = support_task(session, "s", 0)
    drawn = np.zeros((task["height"], task["width"]), np.int8)
    drawn[20:60, 30:90] = -1
    keep_drawing(OneSession(session), "s", task["key"], drawn)
    assert session.supports[0].note == "box"
    assert np.array_equal(session.supports[0].marks(), drawn)
    keep_drawing(OneSession(session), "s", task["key"], np.full_like(drawn, -1))
    assert session.supports[0].marks() is None
    assert session.supports[0].note == "label only"


def test_marks_are_named_by_what_they_say():
    box, scribble, mask = (np.zeros((4, 4), np.int8) for _ in range(3))
    box[1:3, 1:3] = -1
    scribble[:] = -1
    scribble[0, 0] = 1
    mask[0] = 1
    assert [kind_of(m) for m in (box, scribble, mask)] == ["box", "scribble", "mask"]


@pytest.mark.parametrize("name", ["", "draft", "draft:abc:red", "support:abc:0", "support:abc:x", "x:y:z"])
def test_a_drawing_on_what_is_gone_is_refused(session, name):
    with pytest.raises(InputError, match="not there any more"):
        keep_drawing(OneSession(session), "s", name, np.ones((4, 4), np.int8))
