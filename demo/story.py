"""The whole story in one short animation: ``python -m demo.story --out docs/pictures/story.webp``.

A real run of a preset on the photos that ship in Gradio, from a label to an export, as an animated WebP of at
most 2 MB. Needs Playwright and Chromium, as ``demo.pictures`` does.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any, NamedTuple

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from .pictures import OUT, PHOTOS, SUPPORT, browser_page, served

MAX_BYTES = 2_000_000
WIDTH, HEIGHT = 1280, 800  # of the window, in pixels
SHOWN = 960  # width of the animation
CAPTION = 40  # height of the line below the page


class Frame(NamedTuple):
    """The page at one moment, what is told of it, and for how many milliseconds it is shown."""

    page: PIL.Image.Image
    text: str
    time: int


class Film:
    """Frames of a page."""

    def __init__(self, page: Any):
        self.page, self.frames = page, list[Frame]()

    def take(self, text: str, time: int = 900, *, rest: int = 600) -> None:
        """A frame of the page as it is, once it has come to rest for some milliseconds."""
        self.page.wait_for_timeout(rest)
        shot = PIL.Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        size = (SHOWN, round(HEIGHT * SHOWN / WIDTH))
        self.frames.append(Frame(shot.resize(size, PIL.Image.Resampling.LANCZOS), text, time))


def told(frame: Frame) -> PIL.Image.Image:
    """A frame with its line below it."""
    whole = PIL.Image.new("RGB", (frame.page.width, frame.page.height + CAPTION), (28, 32, 38))
    whole.paste(frame.page)
    font = PIL.ImageFont.load_default(19)
    PIL.ImageDraw.Draw(whole).text((16, frame.page.height + 8), frame.text, (255, 255, 255), font)
    return whole


def play(page: Any) -> list[Frame]:
    """From a label to an export."""
    film = Film(page)
    page.wait_for_selector("#progress .lfss-done")
    page.click("#start-afresh")
    page.locator("#facts .lfss-empty").wait_for()
    page.evaluate("scrollTo(0, 0)")
    text = "1  Type what you look for"
    film.take(text)
    page.locator("#label input").press_sequentially("chee")
    film.take(text, 700, rest=150)
    page.locator("#label input").press_sequentially("tah")
    page.wait_for_function("() => !document.querySelector('#words')?.innerText.trim()")
    film.take(text, 500, rest=150)
    page.locator("#label input").press("Tab")
    page.locator("#supports input[type=file]").first.set_input_files([str(SUPPORT)])
    page.locator("#support-gallery", has_text=SUPPORT.name).wait_for()
    film.take("2  Show it in a photo; no mask is needed", 1500)
    page.locator("#queries input[type=file]").first.set_input_files([str(p) for p in PHOTOS])
    page.locator("#query-notes", has_text=f"{len(PHOTOS)} pictures").wait_for()
    page.evaluate("scrollTo(0, 0)")
    page.click("#run")
    page.locator("#result img").wait_for()
    film.take("3  Run: a mask for each picture, as it is made", 900, rest=200)
    page.get_by_text(f"Done: {len(PHOTOS)} pictures").wait_for()
    page.locator("#picks button").first.click()
    film.take("3  Run: a mask for each picture, as it is made", 1600)
    page.click("#why")
    page.wait_for_selector("#stage-cards .lfss-card")
    film.take("4  Every step of the method tells why", 1300, rest=1200)
    page.evaluate("scrollTo(0, 620)")
    film.take("4  Every step of the method tells why", 1600)
    page.evaluate("scrollTo(0, 0)")
    page.get_by_role("tab", name="Review").click()
    page.get_by_text("· draft ·").first.wait_for()
    film.take("5  Review: the most doubtful drafts first", 1500, rest=1500)
    correct(film, page)
    page.get_by_role("tab", name="Export").click()
    page.wait_for_selector("#export-counts .lfss-note")
    film.take("7  Export to the formats of your other tools", 2200)
    return film.frames


def correct(film: Film, page: Any) -> None:
    """Ask the model with a point, keep its answer, accept."""
    view = page.locator("#review-canvas .lc-view")
    box = view.bounding_box()
    view.focus()
    page.keyboard.press(".")
    text = "6  A point asks the model, Enter keeps, a accepts"
    page.mouse.click(box["x"] + box["width"] * 0.27, box["y"] + box["height"] * 0.49)
    page.wait_for_function(
        "() => !/is asked|as you go/.test(document.querySelector('#review-canvas .lc-note').innerText)"
    )
    film.take(text, 1500, rest=300)
    page.keyboard.press("Enter")
    film.take(text, 1100)
    page.keyboard.press("a")
    page.locator("#review-counts", has_text="1 of").wait_for()
    film.take(text, 1300)


def write(frames: list[Frame], path: Path) -> None:
    """Store an animated WebP of the best quality that stays within ``MAX_BYTES``."""
    pictures = [told(frame) for frame in frames]
    for quality in (80, 70, 60, 50, 40, 30):
        buffer = io.BytesIO()
        pictures[0].save(
            buffer, "WEBP", save_all=True, append_images=pictures[1:], quality=quality, method=6, loop=0,
            duration=[frame.time for frame in frames],
        )  # fmt: skip
        if buffer.tell() <= MAX_BYTES:
            break
    path.write_bytes(buffer.getvalue())
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB, {len(frames)} frames")


def main() -> None:
    """Serve the app, play, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--preset", default="mini", help="which model (default: mini)")
    parser.add_argument("--out", type=Path, default=OUT / "story.webp", metavar="FILE", help="where it goes")
    chosen = parser.parse_args()
    with served(chosen.preset) as url, browser_page(url, width=WIDTH, height=HEIGHT) as page:
        write(play(page), chosen.out)


if __name__ == "__main__":
    main()
