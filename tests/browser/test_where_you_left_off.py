"""A workspace opens where it was left, also after a restart; a run goes on without its page."""

from __future__ import annotations

import threading

import pytest

from tests.browser.steps import PATIENCE, begin, give, open_tab, wait_text, wait_until
from tests.serving import serving

pytestmark = pytest.mark.browser


def first_page(browser, url: str):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(url)
    return page


def test_a_restart_brings_back_everything_and_a_run_goes_on_without_its_page(
    browser, photos, tmp_path, monkeypatch
):
    with serving(tmp_path, workspace=tmp_path / "work") as served:
        page = first_page(browser, served.url)
        page.wait_for_selector("#progress .lfss-done")  # the worked example
        wait_text(page, "#support-gallery", "worked example")
        field = page.locator("#label input")
        field.fill("")
        (session,) = {id(s): s for s in served.sessions._sessions.values()}.values()
        wait_until(page, lambda: session.typed_over, "somebody types")
        field.fill("cheetah")
        field.press("Tab")
        page.wait_for_selector("#support-gallery", state="hidden")
        assert field.input_value() == "cheetah"  # the same word, but a person's own
        begin(page, photos)
        for number in range(3):
            tile = page.locator("#query-strip li", has_text=f"query{number}.png")
            tile.locator("img[src]").wait_for()
            assert tile.get_attribute("data-state") == "done"
        give(page, "#queries", [photos["support"]])  # and is not run
        page.locator("#query-strip li", has_text="support.png").locator("img[src]").wait_for()
        open_tab(page, "Review")
        wait_text(page, "#review-counts", "0 of 3")
        page.locator("#review-state").get_by_text("All").click()
        wait_text(page, "#review-facts", "draft")
        page.keyboard.press("j")
        (session,) = {id(s): s for s in served.sessions._sessions.values()}.values()
        wait_until(page, lambda: session.place.state == "All" and session.place.reviewed, "the place is kept")
        place = session.place
        page.close()
    with serving(tmp_path, workspace=tmp_path / "work") as served:
        page = first_page(browser, served.url)
        wait_text(page, "#review-counts", "0 of 3")  # on the tab that was left
        wait_until(
            page,
            lambda: all(s.place == place for s in served.sessions._sessions.values()),
            "the same draft is under review",
        )
        open_tab(page, "Segment")
        wait_text(page, "#support-gallery", "support.png")
        wait_text(page, "#query-notes", "4 pictures")
        waits = page.locator("#query-strip li", has_text="support.png")
        waits.locator("img[src]").wait_for()
        assert waits.get_attribute("data-state") == ""
        waits.hover()
        waits.get_by_label("Take support.png out").click()
        wait_text(page, "#query-notes", "3 pictures")
        page.wait_for_selector("#facts .lfss-facts")
        assert page.locator("#label textarea, #label input").first.input_value() == "red"
        assert "cheetah" not in page.content()
        assert page.locator("#only-new input").is_checked()
        page.click("#run")
        wait_text(page, "#progress", "Nothing new to do")

        (session,) = {id(s): s for s in served.sessions._sessions.values()}.values()
        real, free = served.service.is_present, threading.Event()

        def slow(prediction):
            assert free.wait(PATIENCE)
            return real(prediction)

        monkeypatch.setattr(served.service, "is_present", slow)
        page.locator("#only-new input").uncheck()
        wait_until(page, lambda: not session.only_new, "all drafts may be made anew")
        page.locator("#threshold input").first.fill("0.4")
        page.keyboard.press("Tab")
        page.click("#run")
        wait_until(page, lambda: bool(session.job and session.job.running), "a run goes on")
        page.close()
        page = first_page(browser, served.url)
        wait_text(page, "#progress", "of 3")
        assert session.job.running
        free.set()
        wait_text(page, "#progress", "Done: 3 pictures")
        assert page.locator("#label textarea, #label input").first.input_value() == "red"
        page.close()
