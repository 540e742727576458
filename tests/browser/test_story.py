"""What a person does, in a real browser: from a label to an export, over a reload."""

from __future__ import annotations

import zipfile

import pytest

from tests.browser.steps import Canvas, begin, open_tab, session_of, shoot, wait_text

pytestmark = pytest.mark.browser


def test_from_a_label_to_an_export_and_over_a_reload(page, sessions, photos, tmp_path):
    shoot(page, "example")
    begin(page, photos)
    session = session_of(page, sessions)
    assert len(list(session.workspace.drafts("red"))) == 3

    # A box on the support.
    page.locator("#support-gallery button").first.click()
    digest = session.supports[0].picture.digest
    Canvas(page, "#marks-canvas", (240, 320), digest).stroke((0.3, 0.3), (0.7, 0.6))
    shoot(page, "marks")
    wait_text(page, "#support-gallery", "box")
    known = session.supports[0].marks()
    assert known is not None
    assert (known[75:165, 100:190] == -1).all()
    assert (known[:60] == 0).all()
    assert (known[:, :84] == 0).all()
    assert (known[:, 204:] == 0).all()
    made = dict(session.made)
    page.click("#run")
    page.wait_for_function("() => !document.querySelector('#progress').innerText.includes('Done')")
    wait_text(page, "#progress", "Done: 3 pictures")
    assert session.made != made
    shoot(page, "segment")

    # The threshold answers without the model.
    before = page.inner_text("#facts")
    page.locator("#threshold input[type=number]").fill("0.95")
    page.keyboard.press("Tab")
    page.wait_for_function("t => document.querySelector('#facts').innerText !== t", arg=before)

    open_tab(page, "Reasoning")
    page.wait_for_selector("#stage-cards .lfss-card")
    assert page.locator("#stage-cards .lfss-card").count() == 11
    page.click("#save-stages")
    wait_text(page, "#stages-files", ".npz")
    shoot(page, "reasoning")

    open_tab(page, "Review")
    wait_text(page, "#review-facts", "· draft ·")
    wait_text(page, "#review-counts", "0 of 3")
    shoot(page, "review")
    first = session.reviewed
    page.keyboard.press("a")
    wait_text(page, "#review-counts", "1 of 3")
    assert session.workspace.draft(first, "red").status == "accepted"
    page.keyboard.press("z")
    wait_text(page, "#review-counts", "0 of 3")
    page.keyboard.press("y")
    wait_text(page, "#review-counts", "1 of 3")

    page.locator("#review-state").get_by_text("All").click()
    page.locator("#review-state").get_by_text("Accepted").click()
    wait_text(page, "#review-facts", "accepted")
    page.click("#teach")
    wait_text(page, "#lesson", "is a support now; there are 2")
    page.click("#run-again")
    wait_text(page, "#many-told", "2 drafts were run again")
    apply = page.locator("#many-apply")
    if apply.is_visible():
        apply.click()
        wait_text(page, "#many-told", "changed. Undo")

    open_tab(page, "Export")
    wait_text(page, "#export-counts", "1 draft will be exported")
    page.locator("button#export, #export button").first.click()
    with page.expect_download() as download:
        page.locator("#export-file a[download]").first.click()
    bundle = tmp_path / "bundle.zip"
    download.value.save_as(bundle)
    assert any(n.startswith("coco/") for n in zipfile.ZipFile(bundle).namelist())
    shoot(page, "export")

    page.reload()
    wait_text(page, "#support-gallery", "taught")
    assert session_of(page, sessions) is session
    open_tab(page, "Review")
    wait_text(page, "#review-counts", "1 of 3")
