"""One tab of the browser: what it shows of people is text, and what it held goes when it is closed."""

from __future__ import annotations

import time
import zipfile

import pytest

from tests.browser.steps import PATIENCE, give, session_of, wait_text, wait_until

pytestmark = pytest.mark.browser

ATTACK = "<img src=x onerror=window.pwned=1>"


def test_markup_in_labels_and_names_is_text_and_closing_the_tab_frees_what_it_held(
    page, sessions, photos, tmp_path
):
    session = session_of(page, sessions)
    label = page.locator("#label textarea, #label input").first
    label.fill(f"{ATTACK}, red")
    page.keyboard.press("Tab")
    wait_text(page, "#words", "<img src=x")
    give(page, "#supports", [photos["support"]])
    wait_text(page, "#support-gallery", "support.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(photos["query0"], f"{ATTACK}.png")
        archive.writestr("<svg onload=window.pwned=1>.png", b"no picture")
    give(page, "#queries", [tmp_path / "set.zip"])
    wait_text(page, "#query-notes", "2 pictures")
    page.locator("#query-strip").get_by_title(f"{ATTACK}.png", exact=True).wait_for()
    page.click("#run")
    wait_text(page, "#progress", "Done: 1 picture")
    wait_text(page, "#progress", "<svg onload")
    wait_text(page, "#facts", "<img src=x")
    label.fill("<>")
    page.click("#run")
    page.get_by_text("needs letters or digits").first.wait_for()
    assert page.evaluate("window.pwned") is None

    wait_until(page, lambda: bool(session._shown), "pictures are held while the page is open")
    page.close()
    end = time.monotonic() + PATIENCE
    while (session._shown or session._result) and time.monotonic() < end:
        time.sleep(0.05)
    assert not session._shown
    assert session._result is None
