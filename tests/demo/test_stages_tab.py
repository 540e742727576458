from __future__ import annotations

from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from demo.cards import stage_cards, with_points_on
from demo.result_view import shown_result
from demo.run import run
from demo.session import ScreenPicture, Settings
from demo.stages_tab import write_arrays, write_strip
from lfss.annotations.provenance import describe
from lfss.images import Image
from lfss.stages import Stage


@pytest.fixture
def done(service, session, photo):
    session.label = "red"
    session.add_supports([photo("s.png", seed=1)])
    session.add_queries([photo("q <b>.png", seed=3, box=(60, 60, 200, 200))])
    list(run(service, session, Settings()))
    session.current = next(iter(session.found))
    return session


def test_every_stage_has_a_card_with_alt_text_and_a_sentence(done):
    result = done.result(done.current)
    shown = ScreenPicture(done.shown(done.current), (240, 320))
    page = stage_cards(result.prediction.stages, shown, done.shown_supports(result.supports))
    assert page.count("<figure") == len(result.prediction.stages)
    assert page.count("<img") == page.count(" alt=")
    assert page.count("<figcaption>") == page.count("<figure")
    assert "<b>" not in page
    assert "&lt;b&gt;" in page


def test_a_mask_of_everything_says_so_on_its_card_and_beside_the_result(service, session, photo):
    session.label = "red"
    session.add_supports([photo("s.png", seed=1)])
    session.add_queries([photo("q.png", seed=3, box=(0, 0, 240, 320))])
    list(run(service, session, Settings()))
    session.current = digest = next(iter(session.found))
    result = session.result(digest)
    page = stage_cards(result.prediction.stages, ScreenPicture(session.shown(digest), (240, 320)))
    assert "covers 100.0% of the query: nothing set the object apart" in page
    assert "nothing set &#x27;red&#x27; apart" in shown_result(session, 0.5, 0.4)[1]
    draft = session.workspace.draft(digest, "red")
    assert draft.doubt == 1
    assert "nothing set" in describe(draft)["warning"]


def test_points_fit_the_pictures_that_are_shown():
    small = Image(np.zeros((50, 100, 3), np.uint8), "s")
    stage = Stage("seeds", "Seeds", "points", (np.array([[400.0, 1000.0]]),))
    shown = ScreenPicture(small, (500, 2000))
    (fitted,) = with_points_on([stage], [shown], shown)
    assert np.allclose(fitted.supports[0], [[40, 50]])
    (fitted,) = with_points_on([replace(stage, query=stage.supports[0])], [], shown)
    assert np.allclose(fitted.query, [[40, 50]])


def test_the_strip_and_the_arrays_are_files_to_keep(done):
    strip = PIL.Image.open(write_strip(done, done.current))
    assert strip.width > strip.height
    with np.load(write_arrays(done, done.current), allow_pickle=False) as arrays:
        assert {"fcm.query", "rcm.query", "seeds.support1", "prediction.query"} <= set(arrays.files)


def test_supports_that_are_gone_are_left_out(done):
    result = done.result(done.current)
    done.pictures.pop(result.supports[0])
    assert done.shown_supports(result.supports) == []
    assert write_strip(done, done.current).exists()
