"""What travels between the page's canvas and the program."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from demo.canvas import Saved, build_canvas, checked_points, decode_mask, encode_mask, merge, version_of
from demo.views import CANVAS_SIDE, resized
from lfss.errors import InputError


def png(values: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def test_marks_survive_the_way_to_the_page_and_back():
    marks = np.array([[1, 0, -1], [-1, -1, 1]], np.int8)
    assert np.array_equal(decode_mask(encode_mask(marks)), marks)


def test_a_plain_mask_comes_back_as_object_and_nothing():
    mask = np.array([[1, 0], [0, 1]], np.int8)
    assert np.array_equal(decode_mask(encode_mask(mask)) == 1, mask == 1)
    assert not (decode_mask(encode_mask(mask)) == 0).any()


@pytest.mark.parametrize(
    "sent",
    [
        None, 7, "", "data:image/png;base64,", "data:image/png;base64,!!!!", "data:image/jpeg;base64,AAAA",
        "data:image/png;base64," + base64.b64encode(b"no picture").decode(),
        "data:image/png;base64," + "A" * (5 * CANVAS_SIDE**2),
    ],
    ids=["nothing", "number", "empty", "no data", "no base64", "jpeg", "no picture", "too long"],
)  # fmt: skip
def test_what_is_no_mask_is_refused_in_a_sentence(sent):
    with pytest.raises(InputError, match="Reload the page"):
        decode_mask(sent)


def test_a_mask_larger_than_the_canvas_is_refused_before_it_is_decoded(monkeypatch):
    sent = png(np.zeros((2 * CANVAS_SIDE, 8), np.uint8))
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("was decoded"))
    with pytest.raises(InputError, match="larger than the canvas"):
        decode_mask(sent)


def test_a_correction_leaves_the_rest_of_a_large_mask_as_it_was():
    rng = np.random.default_rng(0)
    mask = np.zeros((1200, 1600), bool)
    mask[300:900, 400:1200] = rng.random((600, 800)) > 0.2  # detail that the small copy cannot carry
    drawn = np.where(resized(mask, (300, 400)), 1, -1).astype(np.int8)
    drawn[0:50, 0:50], drawn[150:200, 200:250] = 1, -1
    edited = merge(mask, drawn)
    assert edited[0:196, 0:196].all()
    # Where the small copy had a hole already, nothing was changed and the detail stays.
    assert edited[604:796, 804:996].mean() < 0.02
    untouched = np.ones_like(mask)
    untouched[0:210, 0:210] = untouched[590:810, 790:1010] = False
    assert np.array_equal(edited[untouched], mask[untouched])


@pytest.mark.parametrize(
    "points", [None, 5, [], [[1, 2]], [["a", 0, 1]], [[1.5, 0, 1]], [[float("nan"), 0, 1]], [[0, 0, 1]] * 401]
)
def test_points_outside_the_picture_are_refused(points):
    with pytest.raises(InputError):
        checked_points(points)


def test_points_are_read():
    assert checked_points([[0.25, 0.5, 1], [1, 0, 0]]) == [(0.25, 0.5, True), (1.0, 0.0, False)]


def test_the_version_follows_the_mask_and_the_key():
    mask = np.zeros((4, 4), np.int8)
    other = mask.copy()
    other[0, 0] = 1
    assert len({version_of("a", mask), version_of("a", other), version_of("b", mask)}) == 3


def test_what_the_page_sends_is_answered_with_a_version_or_a_sentence():
    kept = []

    def save(session: str, key: str, drawn: np.ndarray) -> Saved:
        if key == "gone":
            raise InputError("It is gone.")
        kept.append((session, key, drawn.shape))
        return Saved("v2", "edited", "1 object")

    canvas = build_canvas(save=save, elem_id="test")
    mask = encode_mask(np.ones((3, 5), np.int8))
    told = {"version": "v2", "state": "edited", "note": "1 object"}
    assert canvas.save_mask({"session": "s", "key": "k", "mask": mask}) == told
    assert kept == [("s", "k", (3, 5))]
    assert canvas.save_mask({"session": "s", "key": "gone", "mask": mask}) == {"error": "It is gone."}
    for sent in (None, "text", [1], {"session": 3, "key": "k", "mask": mask}, {"session": "s", "mask": mask}):
        assert "Reload" in canvas.save_mask(sent)["error"]
    assert "cannot be asked" in canvas.ask_model({})["error"]
