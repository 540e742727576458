"""Two labels in one run, a correction, accepted drafts, the whole folder's help, and one step back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from demo import background
from demo.session import Session
from tests.browser.steps import Canvas, give, open_tab, session_of, shoot, wait_text, wait_until
from tests.fakes import scene

pytestmark = pytest.mark.browser
SIZE = (240, 320)


def masks(session: Session) -> dict[tuple[str, str], np.ndarray]:
    return {(d.label, d.image_name): d.mask for d in session.workspace.drafts()}


def spoil(session: Session) -> None:
    """Give every draft that is not empty a hole, as a poorer model would have made it."""
    for draft in session.workspace.drafts():
        rows, columns = np.nonzero(draft.mask)
        mask = draft.mask.copy()
        if rows.size:
            mask[rows.min() : rows.min() + 40, columns.min() : columns.min() + 40] = False
        session.workspace.put_draft(replace(draft, mask=mask), np.where(mask, 0.8, 0.2).astype(np.float32))


def test_two_labels_a_correction_accepted_drafts_the_folders_help_and_its_undo(page, sessions, tmp_path):
    session = session_of(page, sessions)
    for number in range(6):
        colour = "red" if number % 2 else "blue"
        PIL.Image.fromarray(scene(colour, size=SIZE, seed=number)).save(tmp_path / f"q{number}.png")
    for colour in ("red", "blue"):
        PIL.Image.fromarray(scene(colour, size=SIZE, seed=90)).save(tmp_path / f"{colour}.png")
    page.locator("#label input").fill("red")
    give(page, "#supports", [tmp_path / "red.png"])
    wait_text(page, "#support-gallery", "red.png")
    page.click("#add-label")
    wait_text(page, "#labels", "(no name yet)")
    page.locator("#label input").fill("blue")
    wait_text(page, "#labels", "blue")
    give(page, "#supports", [tmp_path / "blue.png"])
    wait_text(page, "#support-gallery", "blue.png")
    give(page, "#queries", [tmp_path / f"q{number}.png" for number in range(6)])
    wait_text(page, "#query-notes", "6 pictures")
    page.click("#run")
    wait_text(page, "#progress", "Done: 12 masks of 2 labels")
    spoil(session)

    open_tab(page, "Review")
    page.locator("#review-label input").click()
    page.get_by_role("option", name="red").click()
    page.locator("#review-state").get_by_text("All", exact=True).click()
    page.locator("#review-strip .ls-tile", has_text="q1.png").click()
    wait_text(page, "#review-facts", "q1.png")
    canvas = Canvas(page, "#review-canvas", SIZE, session.reviewed)
    canvas.choose("brush")
    canvas.stroke((0.3, 0.3), (0.35, 0.35))
    wait_until(page, lambda: status(session, "q1.png") == "edited", "the stroke is kept")
    page.keyboard.press("a")
    wait_until(page, lambda: status(session, "q1.png") == "accepted", "the correction is accepted")
    before = masks(session)

    page.click("#improve")
    wait_text(page, "#improve-told", "would change")
    page.wait_for_selector("#improve-apply", state="visible")
    pictures = page.locator("#improve-told img")
    assert pictures.count() in range(2, 21, 2)
    assert all(np.array_equal(mask, before[key]) for key, mask in masks(session).items())
    shoot(page, "folder-preview")
    page.click("#improve-leave")
    wait_text(page, "#improve-told", "Nothing was changed")
    page.wait_for_selector("#improve-apply", state="hidden")

    page.click("#improve")
    page.wait_for_selector("#improve-apply", state="visible")
    page.click("#improve-apply")
    wait_text(page, "#improve-told", "changed with the whole folder")
    after = masks(session)
    changed = {key for key, mask in after.items() if not np.array_equal(mask, before[key])}
    assert {label for label, _ in changed} == {"red", "blue"}
    assert ("red", "q1.png") not in changed
    assert not {name for label, name in changed if label == "red"} & {"q0.png", "q2.png", "q4.png"}
    assert all(after[key].sum() > before[key].sum() for key in changed)  # the holes are closed

    page.click("#improve-undo")
    wait_text(page, "#improve-told", f"{len(changed)} drafts as before")
    assert all(np.array_equal(mask, before[key]) for key, mask in masks(session).items())
    assert status(session, "q1.png") == "accepted"
    learn_from_what_is_accepted(page, session, before)


def learn_from_what_is_accepted(page, session: Session, before: dict) -> None:
    """Switched on, the next accepted draft lets the rest learn; ``z`` takes back both, step by step."""
    page.locator("#learns input").check()
    wait_until(page, lambda: background.wanted(session), "it is switched on")
    page.locator("#review-strip .ls-tile", has_text="q3.png").click()
    wait_text(page, "#review-facts", "q3.png")
    page.keyboard.press("a")
    wait_text(page, "#improve-told", "learned from what you accepted")
    changed = {key for key, mask in masks(session).items() if not np.array_equal(mask, before[key])}
    assert changed
    assert not changed & {("red", "q1.png"), ("red", "q3.png")}
    page.locator("#activity").get_by_text("What has been done").click()
    wait_text(page, "#activity-list", "learned from what was accepted")
    shoot(page, "learned")
    page.keyboard.press("z")
    wait_until(page, lambda: status(session, "q3.png") == "proposed", "z takes back the person's own change")
    page.keyboard.press("z")
    wait_until(
        page,
        lambda: all(np.array_equal(mask, before[key]) for key, mask in masks(session).items()),
        "and then what was learned, in one step",
    )


def status(session: Session, name: str) -> str:
    return next(row.status for row in session.workspace.overview("red") if row.name == name)
