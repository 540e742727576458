"""What the browser tests do on the page, and the pictures that they use."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import PIL.Image

from demo.session import Session
from demo.sessions import Sessions
from demo.views import EDITOR_SIDE
from tests.fakes import scene

SHAPES = [(600, 800), (900, 500), (1500, 2400)]  # landscape, portrait, and larger than the editor's canvas
TABS = ("Segment", "Reasoning", "Review", "Export", "About")
PATIENCE = 60  # seconds; a busy machine is slow


def write_photos(folder: Path) -> dict[str, Path]:
    """A support and a query of each shape; the red block fills the middle third both ways."""
    options: dict[str, dict] = {"support": {"seed": 1}}
    for i, (height, width) in enumerate(SHAPES):
        box = (height // 3, width // 3, height * 2 // 3, width * 2 // 3)
        options[f"query{i}"] = {"seed": 2 + i, "size": (height, width), "box": box}
    for name, chosen in options.items():
        PIL.Image.fromarray(scene("red", **chosen)).save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in options}


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


def wait_until(page, true: Callable[[], bool], what: str) -> None:
    """Wait for something on the server while the page goes on."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, what
        page.wait_for_timeout(50)


def give(page, selector: str, paths: list[Path]) -> None:
    page.locator(f"{selector} input[type=file]").first.set_input_files([str(p) for p in paths])


def open_tab(page, name: str) -> None:
    """Open a tab, also one that a narrow window hides behind the button for more."""
    tab = page.get_by_role("tab", name=name, exact=True)
    if tab.count() and tab.first.is_visible():
        tab.first.click()
    else:
        page.get_by_label("More tabs").click()
        page.locator(".overflow-dropdown button", has_text=name).click()


def begin(page, photos: dict[str, Path]) -> None:
    """Label, support and queries, and the first run."""
    page.locator("#label textarea, #label input").first.fill("red")
    give(page, "#supports", [photos["support"]])
    wait_text(page, "#support-gallery", "support.png")
    give(page, "#queries", [photos[f"query{i}"] for i in range(3)])
    wait_text(page, "#query-notes", "3 pictures")
    page.click("#run")
    wait_text(page, "#progress", "Done: 3 pictures")


def session_of(page, sessions: Sessions) -> Session:
    return sessions.get(page.evaluate("sessionStorage.getItem('lfss-session')"))


class Spot(NamedTuple):
    """A place on a canvas in pixels of the page, and on the full picture (row, column)."""

    x: float
    y: float
    row: float
    column: float


class Canvas:
    """The picture in an image editor: fitted to the middle of its canvas at a zoom that is shown.

    Args:
        page, editor: where it is, by selector.
        size: (H, W) of the full picture.
    """

    def __init__(self, page, editor: str, size: tuple[int, int]):
        canvas = page.locator(f"{editor} canvas").last
        canvas.wait_for()
        canvas.scroll_into_view_if_needed()
        page.wait_for_timeout(1500)  # the canvas fits its picture in only after it is shown
        self.page, self.editor, self.size = page, editor, size
        self.box = canvas.bounding_box()
        shown = page.locator(editor).get_by_text("%").first.inner_text()
        self.zoom = float(shown.strip().rstrip("%")) / 100
        self.shrink = min(1.0, EDITOR_SIDE / max(size))

    @property
    def scale(self) -> float:
        """Pixels of the page for one of the full picture."""
        return self.zoom * self.shrink

    def spot(self, down: float, across: float) -> Spot:
        """The place at shares of height and width of the picture."""
        (height, width), box = self.size, self.box
        x = box["x"] + box["width"] / 2 + (across - 0.5) * width * self.scale
        y = box["y"] + box["height"] / 2 + (down - 0.5) * height * self.scale
        return Spot(x, y, down * height, across * width)

    def stroke(self, start: tuple[float, float], end: tuple[float, float]) -> tuple[Spot, Spot]:
        """Draw a line between two shares (down, across) of the picture."""
        first, last = self.spot(*start), self.spot(*end)
        self.page.mouse.move(first.x, first.y)
        self.page.mouse.down()
        self.page.mouse.move(last.x, last.y, steps=8)
        self.page.mouse.up()
        self.page.wait_for_timeout(300)
        return first, last

    def choose_orange(self) -> None:
        """The second colour of the brush."""
        self.page.locator(f'{self.editor} button[aria-label="Color"]').click()
        self.page.locator(f"{self.editor} menu.swatch button").nth(1).click()
        self.page.locator(f'{self.editor} button[aria-label="Color"]').click()
