"""Take the README's pictures of the app in a real browser: ``python -m demo.pictures``.

A real run of a preset on the example photos; needs Playwright and Chromium (see ``requirements-dev.txt``).
Pictures are JPEG files of at most 150 kB in ``docs/pictures``.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio
import PIL.Image

from .page import build, launch_options
from .service import Service
from .sessions import Sessions

OUT = Path(__file__).parents[1] / "docs" / "pictures"
MAX_BYTES = 150_000
WIDTH, HEIGHT = 1440, 900  # of the window, in pixels
WAIT = 300_000  # milliseconds; a busy machine is slow
_ROOT = Path(gradio.__file__).parent / "media_assets" / "images"
PHOTOS = [_ROOT / name for name in ("cheetah.jpg", "cheetah1.jpg", "lion.jpg", "tower.jpg")]
SUPPORT = _ROOT / "cheetah1.jpg"


def compact(shot: bytes) -> bytes:
    """A screenshot as the best JPEG that stays within ``MAX_BYTES``."""
    picture = PIL.Image.open(io.BytesIO(shot)).convert("RGB")
    for quality in range(92, 30, -4):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
        if buffer.tell() <= MAX_BYTES:
            break
    return buffer.getvalue()


@contextmanager
def browser_page(url: str, *, dark: bool = False, width: int = WIDTH, height: int = HEIGHT) -> Iterator[Any]:
    """A page of the app in a browser that is closed afterwards; the size is in pixels."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("LFSS_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        raise SystemExit("Needs Chromium: apt-get install chromium, or LFSS_CHROMIUM=/path/to/it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(WAIT)
        page.goto(f"{url}?__theme={'dark' if dark else 'light'}")
        yield page
        browser.close()


@contextmanager
def opened(url: str, *, dark: bool) -> Iterator[Any]:
    """A page of the app on which the worked example has been run."""
    with browser_page(url, dark=dark) as page:
        page.wait_for_selector("#progress .lfss-done")
        yield page


def shoot(page: Any, out: Path, name: str, *, width: int = WIDTH, height: int = HEIGHT) -> None:
    """Store the top of the page as a picture.

    Args:
        page: of the browser.
        out: folder.
        name: of the picture, without a suffix.
        width, height: in pixels.
    """
    page.evaluate("scrollTo(0, 0)")
    page.mouse.move(0, 0)
    page.wait_for_timeout(1500)  # pictures that have just arrived fade in
    shot = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})
    path = out / f"{name}.jpg"
    path.write_bytes(compact(shot))
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def given(page: Any, label: str, support: Path) -> None:
    """Type a label, drop a support."""
    page.locator("#label input").fill(label)
    page.locator("#label input").press("Tab")
    page.locator("#supports input[type=file]").first.set_input_files([str(support)])
    page.locator("#support-gallery", has_text=support.name).wait_for()


def take(url: str, out: Path) -> None:
    """All pictures of one run."""
    with opened(url, dark=False) as page:
        shoot(page, out, "segment-light")
        page.click("#why")
        page.wait_for_selector("#stage-cards .lfss-card")
        shoot(page, out, "reasoning", height=1500)
        page.get_by_role("tab", name="Segment").click()
        page.click("#start-afresh")
        page.locator("#facts .lfss-empty").wait_for()
        given(page, "cheetah", SUPPORT)
        page.locator("#queries input[type=file]").first.set_input_files([str(p) for p in PHOTOS])
        page.locator("#query-notes", has_text=f"{len(PHOTOS)} pictures").wait_for()
        page.click("#add-label")
        page.wait_for_selector("#labels", state="visible")
        given(page, "lion", PHOTOS[2])
        page.click("#run")
        page.get_by_text(f"Done: {2 * len(PHOTOS)} masks").wait_for()
        page.get_by_role("tab", name="Review").click()
        page.get_by_text("· draft ·").first.wait_for()
        shoot(page, out, "review")
        page.set_viewport_size({"width": 390, "height": 844})
        shoot(page, out, "review-phone", width=390, height=844)
    with opened(url, dark=True) as page:
        shoot(page, out, "segment-dark")


@contextmanager
def served(preset: str) -> Iterator[str]:
    """The app on a preset; its address."""
    sessions = Sessions()
    page = build(Service(preset), sessions)
    page.queue(default_concurrency_limit=16)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    try:
        yield url
    finally:
        page.close()
        sessions.close()


def main() -> None:
    """Serve the app, take the pictures, stop."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--preset", default="mini", help="which model (default: mini)")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="where they go")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with served(chosen.preset) as url:
        take(url, chosen.out)


if __name__ == "__main__":
    main()
