"""The canvas in a real browser: what it shows of a mask, and that no stroke is lost."""

from __future__ import annotations

import numpy as np
import pytest

from demo import views
from demo.session import Session
from tests.browser.steps import SHAPES, Canvas, choose, shoot, wait_text, wait_until

pytestmark = pytest.mark.browser

# Colour on the screen at a place of the page, from the canvas itself.
COLOUR = """([x, y]) => {
  const view = document.querySelector('#review-canvas .lc-view'), box = view.getBoundingClientRect();
  const ratio = view.width / box.width;
  return [...view.getContext('2d').getImageData((x - box.left) * ratio, (y - box.top) * ratio, 1, 1).data];
}"""
# The program does not answer until `window.answers` is true.
DEAF = """() => {
  const usual = window.fetch;
  window.answers = false;
  window.fetch = (...sent) => window.answers || !String(sent[0]).includes('component_server')
    ? usual(...sent) : Promise.reject(new TypeError('no answer'));
}"""


def mask_of(session: Session, digest: str) -> np.ndarray:
    """Of a draft, as the workspace has it."""
    return session.workspace.draft(digest, "red").mask


def scribble(page, canvas: Canvas, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw without waiting for anything."""
    canvas.view.scroll_into_view_if_needed()
    first, last = canvas.spot(*start), canvas.spot(*end)
    page.mouse.move(first.x, first.y)
    page.mouse.down()
    page.mouse.move(last.x, last.y, steps=4)
    page.mouse.up()


def test_a_mask_is_pink_and_its_opacity_recolours_all_of_it(review_page):
    page, session = review_page
    canvas = Canvas(page, "#review-canvas", SHAPES[0], session.reviewed)
    inside, outside = canvas.spot(0.5, 0.5), canvas.spot(0.1, 0.1)

    def seen(spot) -> np.ndarray:
        page.wait_for_timeout(100)
        return np.array(page.evaluate(COLOUR, [spot.x, spot.y])[:3], float)

    def opacity(value: float) -> None:
        slider = page.locator("#review-canvas .lc-opacity")
        slider.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", value)

    pink = np.array([int(views.DRAFT_COLOUR[i : i + 2], 16) for i in (1, 3, 5)], float)
    ground, half = seen(outside), seen(inside)
    opacity(0)
    bare = seen(inside)
    opacity(1)
    assert np.abs(seen(inside) - pink).max() <= 3
    assert np.abs(seen(outside) - ground).max() <= 3
    assert np.abs(half - (0.45 * pink + 0.55 * bare)).max() <= 6


def test_accept_is_above_the_fold(review_page):
    page, _ = review_page
    page.set_viewport_size({"width": 1440, "height": 900})
    page.evaluate("scrollTo(0, 0)")
    for name in ("accept", "absent", "next"):
        box = page.locator(f"#review-{name}").bounding_box()
        assert box["y"] + box["height"] < 900, name
    shoot(page, "review-1440")


def test_a_stroke_is_kept_when_the_next_picture_is_opened_at_once(review_page):
    page, session = review_page
    first = session.reviewed
    before = mask_of(session, first)
    canvas = Canvas(page, "#review-canvas", SHAPES[0], first)
    scribble(page, canvas, (0.1, 0.2), (0.1, 0.6))
    page.keyboard.press("j")
    wait_until(page, lambda: session.reviewed != first, "the next draft")
    wait_until(page, lambda: (mask_of(session, first) & ~before).any(), "the stroke")
    # Several presses: what is shown in the end is what is under review.
    for key in ("k", "j", "j", "k", "j"):
        page.keyboard.press(key)
    last = f"#review-canvas .lc-view[data-key*='{sorted_digest(session, 2)}']"
    page.locator(last).wait_for()


def sorted_digest(session, place: int) -> str:
    """The draft at a place of the list that is shown: all, the most doubtful first."""
    return session.workspace.overview("red", None, order="doubt")[place].digest


def test_a_stroke_outlives_a_program_that_does_not_answer_and_a_change_of_picture(review_page):
    page, session = review_page
    first = session.reviewed
    before = mask_of(session, first)
    page.evaluate(DEAF)
    scribble(page, Canvas(page, "#review-canvas", SHAPES[0], first), (0.1, 0.2), (0.1, 0.6))
    wait_text(page, "#review-canvas .lc-note", "tried again")
    other = choose(page, session, 1)
    assert np.array_equal(mask_of(session, first), before)
    untouched = mask_of(session, other)
    choose(page, session, 0)  # the stroke is still on the page
    spot = Canvas(page, "#review-canvas", SHAPES[0], first).spot(0.1, 0.4)
    page.wait_for_timeout(200)
    red, green, blue, _ = page.evaluate(COLOUR, [spot.x, spot.y])
    assert red > green + 20
    assert blue > green + 5
    page.evaluate("window.answers = true")
    wait_until(page, lambda: (mask_of(session, first) & ~before).any(), "the stroke arrives by itself")
    assert np.array_equal(mask_of(session, other), untouched)


def test_a_stroke_is_kept_when_the_page_is_left_at_once(review_page):
    page, session = review_page
    first = session.reviewed
    before = mask_of(session, first)
    scribble(page, Canvas(page, "#review-canvas", SHAPES[0], first), (0.1, 0.2), (0.1, 0.6))
    page.reload()
    wait_until(page, lambda: (mask_of(session, first) & ~before).any(), "the stroke")


def test_a_point_asks_the_model_and_one_key_keeps_or_drops_its_answer(review_page):
    page, session = review_page
    digest = session.reviewed
    session.workspace.edit_mask(digest, "red", np.zeros(SHAPES[0], bool))
    choose(page, session, 1)
    choose(page, session, 0)
    canvas = Canvas(page, "#review-canvas", SHAPES[0], digest)
    canvas.choose("point")
    point = canvas.spot(0.5, 0.5)
    page.mouse.click(point.x, point.y)
    page.wait_for_selector("#review-canvas .lc-offers")
    shoot(page, "proposal")
    assert not mask_of(session, digest).any()  # nothing is stored before somebody keeps it
    page.keyboard.press("Escape")
    page.wait_for_selector("#review-canvas .lc:not(.lc-offers)")
    end = canvas.spot(0.6, 0.6)  # a stroke asks as a point does
    page.mouse.move(point.x, point.y)
    page.mouse.down()
    page.mouse.move(end.x, end.y, steps=5)
    page.mouse.up()
    page.wait_for_selector("#review-canvas .lc-offers")
    page.keyboard.press("Enter")
    wait_until(page, lambda: mask_of(session, digest).any(), "the answer is kept")
    kept = mask_of(session, digest)
    assert kept[220:380, 280:520].all()  # the block is the middle third both ways
    assert kept.mean() < 0.2
    page.keyboard.press("Control+z")  # one step of undo
    wait_until(page, lambda: not mask_of(session, digest).any(), "undo")
    page.mouse.click(point.x, point.y)
    page.wait_for_selector("#review-canvas .lc-offers")
    page.keyboard.press("a")  # one key keeps the answer and accepts the draft
    accepted = lambda: session.workspace.draft(digest, "red").status == "accepted"  # noqa: E731
    wait_until(page, accepted, "it is accepted")
    assert mask_of(session, digest)[220:380, 280:520].all()
