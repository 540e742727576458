from __future__ import annotations

import html
import os

import numpy as np
import pytest

from demo import views
from demo.words import WORDS, word


@pytest.mark.parametrize("size", [(40, 60), (1024, 700), (3000, 2000)])
def test_nothing_longer_than_1024_pixels_is_drawn_on(size):
    assert max(views.shrunk(np.zeros((*size, 3), np.uint8)).shape) == min(1024, max(size))


def test_a_session_keeps_the_latest_pictures_that_it_has_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "MAX_FILES", 3)
    monkeypatch.setattr(views, "COPIED_AFTER", -1.0)
    paths = []
    for value in range(5):
        paths.append(views.jpeg_file(tmp_path, np.full((4, 6, 3), value, np.uint8)))
        os.utime(paths[-1], (value, value))
    assert len(set(paths)) == 5
    assert sorted(tmp_path.iterdir()) == sorted(paths[2:])
    assert views.jpeg_file(tmp_path, np.full((6, 4, 3), 4, np.uint8)) != paths[4]  # the same bytes


def test_text_from_people_is_made_harmless():
    assert "<script>" not in views.notes(["<script>alert(1)</script>"])
    assert "<b>" not in views.progress(1, 2, text="<b>x</b>.png")


def test_pictures_are_not_changed_by_drawing():
    pixels = np.full((50, 60, 3), 100, np.uint8)
    views.shown_mask(pixels, np.ones((50, 60), bool))
    views.shown_marks(pixels, np.zeros((50, 60), np.int8))
    assert (pixels == 100).all()


@pytest.mark.parametrize(("seconds", "text"), [(7.6, "8 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations_are_read_by_people(seconds, text):
    assert views.duration(seconds) == text


def test_our_words_are_explained_where_they_stand_and_names_cannot_pretend_to_be_one():
    line = views.notes([f"{word('presence', '96% sure')} that '<b>' is there"])
    assert f'title="{html.escape(WORDS["presence"])}"' in line
    assert ">96% sure</button> that &#x27;&lt;b&gt;&#x27; is there" in line
    assert "<button" not in views.notes([word("onclick", "<i>")])
