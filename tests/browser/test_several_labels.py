"""Labels in a real browser: known words complete, several keep apart, and a ninth run waits its turn."""

from __future__ import annotations

import threading

import PIL.Image
import pytest
from gradio_client import Client, handle_file

from demo.completion import word_list
from tests.browser.steps import begin, give, open_tab, session_of, shoot, wait_text, wait_until
from tests.fakes import scene

pytestmark = pytest.mark.browser


def offered(page, text: str) -> list[str]:
    """What is offered once a text has been typed key by key."""
    page.locator("#label input").fill("")
    page.locator("#label input").press_sequentially(text)
    return page.locator("#word-offers li:visible").all_inner_texts()


def test_the_last_of_several_words_completes_by_keyboard_and_by_click(page, sessions):
    field, session = page.locator("#label input"), session_of(page, sessions)
    assert offered(page, "ca") == []  # this preset has no list of words
    words = word_list(["cat", "cattle", "house cat", "dog"])
    page.evaluate("html => document.querySelector('#word-list').insertAdjacentHTML('beforeend', html)", words)
    assert offered(page, "Ca") == ["cat", "cattle", "house cat"]
    assert offered(page, "cattle, ca") == ["cat", "house cat"]
    assert offered(page, "xyz") == []
    assert offered(page, "dog, ") == []
    assert offered(page, "dog, cat") == ["cattle", "house cat"]
    assert field.get_attribute("aria-expanded") == "true"
    for key in ("ArrowDown", "ArrowDown", "ArrowUp"):
        field.press(key)
    assert field.get_attribute("aria-activedescendant") == "word-offer-0"
    shoot(page, "offers")
    field.press("Enter")
    assert field.input_value() == "dog, cattle"
    assert not page.locator("#word-offers").is_visible()
    wait_until(page, lambda: session.label == "dog, cattle", "the completed word reaches the session")
    offered(page, "cat")
    page.locator("#word-offers li").last.click()
    assert field.input_value() == "house cat"
    offered(page, "cat")
    field.press("Escape")
    assert not page.locator("#word-offers").is_visible()
    assert field.input_value() == "cat"
    field.press("Backspace")
    wait_until(page, lambda: session.label == "ca", "Backspace reaches the session")


def test_two_labels_in_one_run_keep_their_words_photos_and_results(page, sessions, tmp_path):
    field, session = page.locator("#label input"), session_of(page, sessions)
    for name, colour in (("red", "red"), ("blue", "blue"), ("query", "blue")):
        PIL.Image.fromarray(scene(colour, seed=len(name))).save(tmp_path / f"{name}.png")
    assert not page.locator("#labels").is_visible()
    field.fill("red")
    give(page, "#supports", [tmp_path / "red.png"])
    wait_text(page, "#support-gallery", "red.png")
    page.click("#add-label")
    page.wait_for_selector("#labels", state="visible")
    wait_text(page, "#labels", "(no name yet)")
    assert not page.locator("#viewed-label").is_visible()  # there is no result of any
    assert field.input_value() == ""
    field.fill("blue")
    wait_text(page, "#labels", "blue")
    page.click("#share")
    wait_text(page, "#support-gallery", "red.png")
    give(page, "#supports", [tmp_path / "blue.png"])
    wait_text(page, "#support-gallery", "blue.png")
    give(page, "#queries", [tmp_path / "query.png"])
    wait_text(page, "#query-notes", "1 picture")
    page.click("#run")
    wait_text(page, "#progress", "Done: 2 masks of 2 labels")
    wait_text(page, "#facts", "'blue' is there")
    page.locator("#viewed-label").get_by_text("red").click()
    wait_text(page, "#facts", "'red' is there")
    assert field.input_value() == "blue"  # what is edited stays
    page.locator("#labels").get_by_text("red").click()
    page.wait_for_function("() => document.querySelector('#label input').value === 'red'")
    assert [len(item.supports) for item in session.classes] == [1, 2]
    shoot(page, "labels")
    look_at_both_in_review(page, session)
    open_tab(page, "Reasoning")
    wait_text(page, "#presence", "'red' is there")
    page.locator("#stages-label").get_by_text("blue").click()
    wait_text(page, "#presence", "'blue' is there")
    open_tab(page, "Segment")
    wait_text(page, "#facts", "'blue' is there")
    assert field.input_value() == "red"
    page.click("#remove-label")
    page.wait_for_selector("#labels", state="hidden")
    page.wait_for_function("() => document.querySelector('#label input').value === 'blue'")
    assert {row.label for row in session.workspace.overview()} == {"red", "blue"}


def look_at_both_in_review(page, session) -> None:
    """Review lists both labels of the picture in their colours, hides and shows them, and draws on either."""
    open_tab(page, "Review")
    listed = page.locator("#review-canvas .lc-layers li")
    listed.nth(1).wait_for()
    assert listed.locator(".lc-name").all_inner_texts() == ["red", "blue"]
    colours = listed.locator(".lc-colour").evaluate_all("all => all.map(one => one.value)")
    assert colours == [category.colour for category in session.workspace.labels()]
    assert "1 object" in listed.nth(1).inner_text()
    listed.nth(1).locator(".lc-eye").click()
    assert listed.nth(1).locator(".lc-eye").get_attribute("aria-pressed") == "false"
    listed.nth(1).locator(".lc-name").click()
    page.locator('#review-canvas .lc-view[data-key$=":blue"]').wait_for()
    assert page.locator("#review-label input").input_value() == "blue"
    assert page.locator("#review-canvas .lc-drawn .lc-name").inner_text() == "blue"
    assert listed.nth(1).locator(".lc-eye").get_attribute("aria-pressed") == "true"
    shoot(page, "both-labels")


def test_a_ninth_run_sees_its_place_and_may_be_cancelled(page, served, photos, monkeypatch):
    begin(page, photos)
    client = Client(served.url, verbose=False)
    support = handle_file(str(photos["support"]))
    saved = client.predict("red", "", [support], api_name="/prepare_class")
    gate, inside, segment = threading.Event(), threading.Semaphore(0), served.service.segment

    def held(*args, **options):
        inside.release()
        assert gate.wait(120)
        yield from segment(*args, **options)

    monkeypatch.setattr(served.service, "segment", held)
    jobs = [client.submit(support, handle_file(saved), 0.5, False, api_name="/segment") for _ in range(8)]
    for _ in jobs:
        assert inside.acquire(timeout=60)
    page.locator("#label input").fill("red, crimson")  # another class, so there is something to do
    page.click("#run")
    wait_text(page, "#progress", "queue: ")
    place = page.locator("#progress .progress-text")
    area, box = page.locator("#progress").bounding_box(), place.bounding_box()
    assert box["height"] > 10
    assert area["y"] <= box["y"] < area["y"] + area["height"]
    shoot(page, "waiting")
    page.click("#cancel")
    wait_text(page, "#progress", "Stopped.")
    gate.set()
    for job in jobs:
        job.result(timeout=60)
    page.click("#run")
    wait_text(page, "#progress", "Done: 3 pictures")
