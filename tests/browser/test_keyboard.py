"""The whole way from a label to an accepted draft without a mouse."""

from __future__ import annotations

import pytest

from tests.browser.steps import session_of, wait_text, wait_until

pytestmark = pytest.mark.browser


def tab_to(page, selector: str, key: str = "Tab") -> None:
    """Press Tab until something that a selector names has the focus, and see that the focus is shown."""
    for _ in range(120):
        page.keyboard.press(key)
        if page.evaluate("s => Boolean(document.activeElement?.matches(s))", selector):
            assert page.evaluate("document.activeElement.matches(':focus-visible')")
            return
    raise AssertionError(f"{selector} cannot be reached with {key}")


def choose_files(page, selector: str, paths: list) -> None:
    """Open the file dialog with Enter, as a person would."""
    tab_to(page, selector)
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([str(p) for p in paths])


def test_from_a_label_to_an_accepted_draft_by_keyboard_alone(page, sessions, photos):
    page.on("filechooser", lambda _: None)  # from now on the browser hands its dialogs to the test
    page.evaluate("document.activeElement?.blur()")
    tab_to(page, "#label textarea, #label input")
    page.keyboard.press("Control+A")
    page.keyboard.type("red")
    choose_files(page, "#supports button", [photos["support"]])
    wait_text(page, "#support-gallery", "support.png")
    choose_files(page, "#queries button", [photos["query0"], photos["query1"]])
    wait_text(page, "#query-notes", "2 pictures")
    tab_to(page, "#run")
    page.keyboard.press("Enter")
    wait_text(page, "#progress", "Done: 2 pictures")
    tab_to(page, "#threshold input[type=range]")
    before = page.inner_text("#facts")
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("t => document.querySelector('#facts').innerText !== t", arg=before)
    tab_to(page, "[role=tab]", "Shift+Tab")
    while page.evaluate("document.activeElement.innerText.trim()") != "Review":
        tab_to(page, "[role=tab]", "Shift+Tab")
    page.keyboard.press("Enter")
    wait_text(page, "#review-facts", "· draft ·")
    tab_to(page, "#review-facts .lfss-word")
    page.keyboard.press("Enter")
    page.wait_for_selector("#lfss-word:popover-open")
    wait_text(page, "#lfss-word", "Presence: how sure the model is")
    page.keyboard.press("Escape")
    page.wait_for_selector("#lfss-word:popover-open", state="detached")
    session = session_of(page, sessions)
    first = session.reviewed
    for key, other in (("j", True), ("k", False), ("ArrowRight", True), ("ArrowLeft", False)):
        page.keyboard.press(key)
        wait_until(page, lambda: (session.reviewed != first) == other, key)  # noqa: B023
        page.wait_for_timeout(500)
    page.keyboard.press("a")
    wait_text(page, "#review-counts", "1 of 2")
    tab_to(page, "#review-absent")
    page.keyboard.press("Enter")
    wait_text(page, "#review-counts", "2 of 2")
    statuses = {d.status for d in session.workspace.drafts("red")}
    assert statuses == {"accepted", "absent"}
    page.keyboard.press("z")
    wait_until(page, lambda: "proposed" in {d.status for d in session.workspace.drafts("red")}, "undo")
