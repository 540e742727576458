"""What a person does, in a real browser: from a label to an export, over a reload."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import PIL.Image
import pytest

from demo import views
from demo.session import Session
from demo.sessions import Sessions
from tests.fakes import scene

pytestmark = pytest.mark.browser

SHAPES = [(600, 800), (900, 500), (1500, 2400)]  # landscape, portrait, and larger than the editor's canvas


def shoot(page, name: str) -> None:
    """Keep a screenshot where LFSS_SCREENSHOTS names a folder."""
    folder = os.environ.get("LFSS_SCREENSHOTS")
    if folder:
        page.wait_for_timeout(800)
        page.screenshot(path=str(Path(folder, f"{name}.png")), full_page=True)


def wait_text(page, selector: str, text: str) -> None:
    page.wait_for_function(
        "([s, t]) => (document.querySelector(s)?.innerText || '').includes(t)", arg=[selector, text]
    )


def give(page, selector: str, paths: list[Path]) -> None:
    page.locator(f"{selector} input[type=file]").first.set_input_files([str(p) for p in paths])


def stroke(page, editor: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw with the brush from one share (x, y) of the canvas to another."""
    canvas = page.locator(f"{editor} canvas").last
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(1500)  # the canvas fits its picture in only after it is shown
    box = canvas.bounding_box()
    points = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=8)
    page.mouse.up()
    page.wait_for_timeout(300)


def session_of(page, sessions: Sessions) -> Session:
    return sessions.get(page.evaluate("sessionStorage.getItem('lfss-session')"))


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    options: dict[str, dict] = {"support": {"seed": 1}}
    for i, (height, width) in enumerate(SHAPES):
        box = (height // 3, width // 3, height * 2 // 3, width * 2 // 3)
        options[f"query{i}"] = {"seed": 2 + i, "size": (height, width), "box": box}
    for name, chosen in options.items():
        PIL.Image.fromarray(scene("red", **chosen)).save(tmp_path / f"{name}.png")
    return {name: tmp_path / f"{name}.png" for name in options}


def begin(page, photos: dict[str, Path]) -> None:
    """Label, support and queries, and the first run."""
    page.locator("#label textarea, #label input").first.fill("red")
    give(page, "#supports", [photos["support"]])
    wait_text(page, "#support-gallery", "support.png")
    give(page, "#queries", [photos[f"query{i}"] for i in range(3)])
    wait_text(page, "#query-notes", "3 pictures")
    page.click("#run")
    wait_text(page, "#progress", "Done: 3 pictures")


def test_from_a_label_to_an_export_and_over_a_reload(page, sessions, photos, tmp_path):
    shoot(page, "example")
    begin(page, photos)
    session = session_of(page, sessions)
    assert len(list(session.workspace.drafts("red"))) == 3

    # A box on the support, read from strokes.
    page.locator("#support-gallery button").first.click()
    stroke(page, "#marks-editor", (0.4, 0.4), (0.6, 0.6))
    shoot(page, "marks")
    page.click("#use-marks")
    wait_text(page, "#support-gallery", "box")
    known = session.supports[0].marks()
    assert known is not None
    assert (known[110:130, 150:170] == -1).all()
    assert (known[:20] == 0).all()
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

    page.get_by_role("tab", name="Reasoning").click()
    page.wait_for_selector("#stage-cards .lfss-card")
    assert page.locator("#stage-cards .lfss-card").count() == 11
    page.click("#save-stages")
    wait_text(page, "#stages-files", ".npz")
    shoot(page, "reasoning")

    page.get_by_role("tab", name="Review").click()
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
    wait_text(page, "#lesson", "2 drafts were run again")

    page.get_by_role("tab", name="Export").click()
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
    page.get_by_role("tab", name="Review").click()
    wait_text(page, "#review-counts", "1 of 3")


@pytest.mark.parametrize("number", range(3))
def test_brush_strokes_change_the_mask_at_full_resolution(page, sessions, photos, number):
    begin(page, photos)
    session = session_of(page, sessions)
    page.get_by_role("tab", name="Review").click()
    wait_text(page, "#review-facts", "· draft ·")
    name = f"query{number}.png"
    for _ in range(3):
        if name in page.inner_text("#review-facts"):
            break
        page.keyboard.press("j")
        page.wait_for_timeout(600)
    wait_text(page, "#review-facts", name)
    digest = session.reviewed
    before = session.workspace.draft(digest, "red").mask
    page.keyboard.press("e")
    page.wait_for_selector("#editing", state="visible")
    stroke(page, "#edit-editor", (0.5, 0.2), (0.5, 0.5))
    page.click("#apply-strokes")
    wait_text(page, "#review-counts", "1 of 3")
    after = session.workspace.draft(digest, "red")
    assert after.status == "edited"
    assert after.mask.shape == SHAPES[number]
    changed = after.mask ^ before
    assert changed.any()
    assert not (before & ~after.mask).any()  # a blue stroke takes nothing away
    left, _, right, _ = views.box_around(changed)
    width = SHAPES[number][1]
    assert left < width / 2 < right  # where the stroke was drawn, and nowhere else
    assert (right - left) < width / 4


LOOKS = [("light", 1280, ""), ("dark", 1280, "?__theme=dark"), ("phone", 390, "")]


@pytest.mark.parametrize(("name", "width", "theme"), LOOKS)
def test_every_tab_fits_its_window(browser, url, name, width, theme):
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.goto(url + theme)
    page.wait_for_selector("#progress .lfss-done", timeout=60_000)
    for tab in ("Segment", "Reasoning", "Review", "Export", "About"):
        where = page.get_by_role("tab", name=tab)
        if where.count() and where.first.is_visible():
            where.first.click()
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1"), tab
        shoot(page, f"{name}-{tab.lower()}")
    page.close()
