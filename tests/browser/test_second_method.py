"""The Reasoning tab draws whatever a method describes: one that the app has never seen."""

from __future__ import annotations

import numpy as np
import pytest

from lfss.methods import METHODS
from tests.browser.steps import PATIENCE, give, open_tab, session_of, wait_text, write_photos
from tests.fakes import scene
from tests.methods.panet_like import PanetLike
from tests.serving import serving

pytestmark = pytest.mark.browser


def test_the_reasoning_tab_shows_the_stages_of_another_method(
    browser, tmp_path_factory, tmp_path, monkeypatch
):
    monkeypatch.setitem(METHODS, "panet", PanetLike)
    photos = write_photos(tmp_path)
    with serving(tmp_path_factory.mktemp("sessions"), method="panet") as served:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(served.url)
        page.wait_for_selector("#progress .lfss-done")  # the worked example, whose supports have boxes
        session = session_of(page, served.sessions)
        page.locator("#label textarea, #label input").first.fill("red")
        give(page, "#supports", [photos["support"]])
        wait_text(page, "#support-gallery", "support.png")
        known = np.zeros(scene("red").shape[:2], np.int8)
        known[60:180, 80:220] = 1
        session.mark(0, known, "mask")
        give(page, "#queries", [photos["query0"]])
        wait_text(page, "#query-notes", "1 picture")
        page.click("#run")
        wait_text(page, "#progress", "Done: 1 picture")

        open_tab(page, "Reasoning")
        page.wait_for_selector("#stage-cards .lfss-card")
        titles = page.locator("#stage-cards .lfss-card h4").all_inner_texts()
        assert titles == ["1. Likeness", "2. Marks", "3. Score", "4. Prediction"]
        wait_text(page, "#stage-cards", "Bright is like the class.")
        wait_text(page, "#before-after", "Marks, left, and prediction, right")
        (draft,) = session.workspace.drafts("red")
        assert draft.origin.method == "panet"
        page.close()
