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
from demo.views import CANVAS_SIDE
from tests.fakes import scene

SHAPES = [(600, 800), (900, 500), (1500, 2400)]  # landscape, portrait, and larger than what is drawn on
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


def choose(page, session: Session, number: int) -> str:
    """Open a draft in Review and wait until the canvas shows it; returns its digest."""
    name = f"query{number}.png"
    page.locator("#review-strip .ls-tile", has_text=name).click()
    wait_text(page, "#review-facts", name)
    wait_until(page, lambda: session.picture(session.reviewed).name == name, name)
    page.locator(f'#review-canvas .lc-view[data-key*="{session.reviewed}"]').wait_for()
    return session.reviewed


class Spot(NamedTuple):
    """A place on a canvas in pixels of the page, and on the full picture (row, column)."""

    x: float
    y: float
    row: float
    column: float


class Canvas:
    """A canvas with a picture, fitted to its window.

    Args:
        page, canvas: where it is, by selector.
        size: (H, W) of the full picture.
        digest: of the picture that it must show first.
    """

    def __init__(self, page, canvas: str, size: tuple[int, int], digest: str):
        view = page.locator(f'{canvas} .lc-view[data-key*="{digest}"]')
        view.wait_for()
        self.page, self.canvas, self.size, self.view = page, canvas, size, view

    def spot(self, down: float, across: float) -> Spot:
        """The place at shares of height and width of the picture, as the page is scrolled now."""
        (height, width), box = self.size, self.view.bounding_box()
        scale = min((box["width"] - 16) / width, (box["height"] - 16) / height)
        x = box["x"] + box["width"] / 2 + (across - 0.5) * width * scale
        y = box["y"] + box["height"] / 2 + (down - 0.5) * height * scale
        return Spot(x, y, down * height, across * width)

    def choose(self, name: str) -> None:
        """Press a tool or an action."""
        self.page.locator(f'{self.canvas} [data-tool="{name}"], {self.canvas} [data-do="{name}"]').click()

    @property
    def radius(self) -> float:
        """Of the brush, in pixels of the full picture."""
        shown = min(1.0, CANVAS_SIDE / max(self.size))
        return float(self.page.locator(f"{self.canvas} .lc-size").inner_text()) / shown

    def stroke(self, start: tuple[float, float], end: tuple[float, float]) -> tuple[Spot, Spot]:
        """Draw a line between two shares (down, across) of the picture, and wait until it is saved."""
        self.view.scroll_into_view_if_needed()
        first, last = self.spot(*start), self.spot(*end)
        self.page.mouse.move(first.x, first.y)
        self.page.mouse.down()
        self.page.mouse.move(last.x, last.y, steps=8)
        self.page.mouse.up()
        wait_text(self.page, f"{self.canvas} .lc-note", "Saved")
        return first, last
