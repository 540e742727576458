"""Points and strokes on a draft: the model answers, stores nothing, and encodes a picture once."""

from __future__ import annotations

import numpy as np
import pytest

from demo.asking import answer
from demo.canvas import MAX_POINTS, build_canvas, decode_mask, encode_mask
from demo.drawing import draft_task
from lfss.drafts import Draft
from lfss.errors import InputError
from tests.fakes import OneSession


@pytest.fixture
def task(session, photo):
    """The canvas's task for an empty draft of a picture with a red block."""
    session.add_queries([photo("a.png", seed=1)])
    picture = session.register(session.queries[0])
    session.workspace.add_image(picture.path)
    session.workspace.put_draft(Draft(picture.name, picture.digest, "red", np.zeros(picture.size, bool)))
    return draft_task(session, "s", session.workspace.draft(picture.digest, "red"))


def asked(service, session, task, points=((0.5, 0.5, True),)):
    return answer(service, OneSession(session), "s", task["key"], list(points), decode_mask(task["mask"]))


def test_a_point_on_the_object_finds_it_and_stores_nothing(service, session, task, photo):
    session.label = "red"
    session.add_supports([photo("b.png", seed=2)])
    assert task["asks"]
    mask = asked(service, session, task)
    assert mask[70:170, 90:210].all()
    assert mask.mean() < 0.3
    (draft,) = session.workspace.drafts("red")
    assert not draft.mask.any()
    assert draft.status == "proposed"


def test_a_draft_whose_label_is_not_in_use_can_be_asked_about(service, session, task):
    session.label = "blue"
    assert asked(service, session, task)[70:170, 90:210].all()


def test_a_picture_is_encoded_once_however_often_it_is_asked_about(
    service, session, task, photo, monkeypatch
):
    session.label = "red"
    session.add_supports([photo("b.png", seed=2)])
    predictor, encoded = service.predictor(), []
    encode = predictor.encode
    monkeypatch.setattr(predictor, "encode", lambda image: (encoded.append(image.name), encode(image))[1])
    for x in (0.4, 0.5, 0.6):
        asked(service, session, task, [(x, 0.5, True)])
    assert sorted(encoded) == ["a.png", "b.png"]


@pytest.mark.parametrize("name", ["", "draft", "draft:abc:red", "support:abc:0", "x:y:z"])
def test_a_question_about_what_is_gone_is_refused(service, session, name):
    with pytest.raises(InputError, match="not there any more"):
        answer(service, OneSession(session), "s", name, [(0.5, 0.5, True)], np.ones((4, 4), np.int8))


def test_a_mask_of_another_size_is_refused(service, session, task):
    with pytest.raises(InputError, match="another size"):
        answer(service, OneSession(session), "s", task["key"], [(0.5, 0.5, True)], np.ones((4, 4), np.int8))


def test_what_the_page_sends_is_checked_before_the_model_is_asked(service, session, task):
    questions = []

    def ask(*sent):
        questions.append(sent)
        return np.ones((2, 3), bool)

    canvas = build_canvas(save=lambda *_: "", ask=ask, elem_id="test")
    sent = {
        "session": "s",
        "key": "k",
        "points": [[0.5, 0.5, 1], [0, 1, 0]],
        "mask": encode_mask(np.ones((2, 3), np.int8)),
    }
    assert (decode_mask(canvas.ask_model(sent)["mask"]) == 1).all()
    ((session_id, key, points, drawn),) = questions
    assert (session_id, key, points) == ("s", "k", [(0.5, 0.5, True), (0.0, 1.0, False)])
    assert drawn.shape == (2, 3)
    faults = [
        {"points": []}, {"points": "abc"}, {"points": {"0": [0, 0, 1]}}, {"points": [[2, 0, 1]]},
        {"points": [[0, 0, 1]] * (MAX_POINTS + 1)}, {"mask": "x"}, {"session": None}, {"key": "k" * 501},
        {"key": 3},
    ]  # fmt: skip
    for fault in faults:
        assert "error" in canvas.ask_model({**sent, **fault}), fault
    assert len(questions) == 1
