"""Objects split by a line, cut by the slider with a preview, and joined, in a real browser."""

from __future__ import annotations

import numpy as np
import pytest

from demo import review
from demo.review import View
from lfss.objects import count
from tests.browser.steps import wait_text, wait_until

pytestmark = pytest.mark.browser


def test_a_person_splits_and_joins_and_the_count_follows(review_page):
    page, session = review_page
    wait_text(page, "#review-facts", "1 object ")
    view = View("red", "All")

    def objects() -> int:
        return count(review.draft_of(session, view))

    def click_at(x: float, y: float) -> None:
        box = page.locator("#objects-picture img").bounding_box()
        page.locator("#objects-picture img").click(position={"x": x * box["width"], "y": y * box["height"]})

    page.locator("#objects button").first.click()
    wait_text(page, "#objects-told", "1 object.")
    click_at(0.5, 0.1)
    wait_text(page, "#objects-told", "Now the second point.")
    click_at(0.5, 0.9)
    wait_until(page, lambda: objects() == 2, "the line splits the block")
    wait_text(page, "#review-facts", "2 objects")
    wait_text(page, "#review-strip", "2 objects")
    page.locator("#objects-mode").get_by_text("Join", exact=True).click()
    wait_text(page, "#objects-told", "Click two objects")
    click_at(0.4, 0.5)
    wait_text(page, "#objects-told", "Now the second point.")
    click_at(0.6, 0.5)
    wait_until(page, lambda: objects() == 1, "two clicks join its halves")

    mask = np.zeros(review.draft_of(session, view).size, bool)
    mask[100:300, 100:300] = mask[100:300, 350:550] = mask[190:210, 300:350] = True
    session.workspace.set_objects(session.reviewed, "red", None)
    review.change(session, view, mask)
    page.locator("#objects-strength input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.locator("#objects-strength input[type=range]").dispatch_event("pointerup")
    wait_text(page, "#objects-told", "Preview: 2 objects.")
    assert objects() == 1, "a preview changes nothing"
    page.click("#objects-apply")
    wait_until(page, lambda: objects() == 2, "the cut is applied")
    page.click("#objects-reset")
    wait_until(page, lambda: objects() == 1, "connected parts again")
