"""What it takes a person to go from a folder of photos to a reviewed export, in a real browser.

    python -m tests.browser.effort --data ../shared/data/voc --label dog --out docs/results/effort-dog.json

A scripted annotator (``tests/browser/annotator.py``) types the label, drops one unmarked photo as support and
30 photos to search in, five of which do not show it, runs, decides on every draft, correcting what is not
good enough, and exports. Every press of a key or a button is counted, strokes on the picture apart from the
others. Times are those of the program and the page: the script does not think. Then single waits are
measured, and the list of a workspace with 500 drafts is scrolled. Without photos only that is done.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from demo import review_tab
from demo.page import build, launch_options
from demo.pictures import browser_page
from demo.service import Service
from demo.session import Session
from demo.sessions import Sessions
from lfss.images import read_image
from tests.browser import timings
from tests.browser.annotator import GOOD, Annotator, Answers, Mask, Work
from tests.browser.steps import Canvas, give, open_tab, session_of, wait_text
from tests.samples import a_draft, write_photo
from train.data.datasets import open_data
from train.data.encode import annotated
from train.data.episodes import Draws

ABSENT = 5  # of the photos; they do not show the label
MANY = 500  # drafts of the list that is scrolled


@contextmanager
def app(workspace: Path, preset: str) -> Iterator[tuple[str, Sessions]]:
    """The app on a workspace; its address and its sessions."""
    service, sessions = Service(preset), Sessions(workspace)
    service.start()
    service.wait()
    page = build(service, sessions)
    page.queue(default_concurrency_limit=16)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    try:
        yield url, sessions
    finally:
        page.close()
        sessions.close()


def draw(chosen: argparse.Namespace, folder: Path) -> tuple[Path, list[Path], dict[str, tuple[Mask, Mask]]]:
    """A support, photos to search in, and the truth of each by name; the photos lie in a folder."""
    data = open_data(chosen.data, chosen.layout, split=chosen.split, cache=chosen.cache)
    (class_id,) = data.class_ids([chosen.label])
    ids = data.ids_of(class_id)
    without = [sample.id for sample in data.samples if class_id not in sample.areas]
    draws = Draws(f"effort|{chosen.seed}|{chosen.label}")
    support, *shown = draws.sample(ids, chosen.photos - ABSENT + 1)
    photos, truth = [], {}
    for sample_id in [support, *shown, *draws.sample(without, ABSENT)]:
        picture = annotated(data, sample_id, class_id)
        path = folder / f"{sample_id}.png"
        PIL.Image.fromarray(picture.image.pixels).save(path)
        photos.append(path)
        truth[path.name] = picture.mask, picture.ignore
    return photos[0], photos[1:], truth


def job(page: Any, sessions: Sessions, chosen: argparse.Namespace, photos: Path) -> dict[str, Any]:
    """From a label to an export."""
    answers = Answers()
    review_tab.answer = answers.watched(review_tab.answer)  # type: ignore[attr-defined]
    support, queries, truth = draw(chosen, photos)
    start = time.monotonic()
    page.locator("#label input").fill(chosen.label)
    give(page, "#supports", [support])
    wait_text(page, "#support-gallery", support.name)
    give(page, "#queries", queries)
    wait_text(page, "#query-notes", f"{len(queries)} pictures")
    first = timings.first_mask(page)
    wait_text(page, "#progress", f"Done: {len(queries)} pictures")
    made = time.monotonic()
    open_tab(page, "Review")
    page.wait_for_selector("#review-facts .lfss-facts")
    annotator = Annotator(page, session_of(page, sessions), truth, answers, chosen.label)
    work = annotator.all()
    reviewed = time.monotonic()
    open_tab(page, "Export")
    wait_text(page, "#export-counts", "will be exported")
    page.locator("button#export, #export button").first.click()
    page.locator("#export-file a[download]").first.wait_for()
    around = {"label, photos, Run": 4, "Review, Export, write, download": 4}
    return {
        "first mask after Run, ms": first,
        "seconds": {
            "until all drafts": made - start,
            "review": reviewed - made,
            "export": time.monotonic() - reviewed,
        },
        "actions around the review": around,
        **summary(work, sum(around.values())),
        "drafts": [asdict(one) for one in work],
    }


def summary(work: list[Work], around: int) -> dict[str, Any]:
    """What the drafts took, all together."""
    corrected = [one for one in work if one.strokes]
    actions = [one.actions for one in corrected]

    def median(values: list[float]) -> float:
        return float(np.median(values)) if values else 0.0

    return {
        "drafts looked at": len(work),
        "corrected": len(corrected),
        "good enough in the end": sum(one.after >= GOOD for one in work),
        "actions besides strokes, median of a correction": median([*actions]),
        "actions besides strokes, most of a correction": max(actions, default=0),
        "strokes, median of a correction": float(np.median([w.strokes for w in corrected]))
        if actions
        else 0.0,
        "seconds, median of a correction": float(np.median([w.seconds for w in corrected]))
        if actions
        else 0.0,
        "all actions": around + sum(one.actions for one in work),
        "all strokes": sum(one.strokes for one in work),
    }


def waits(page: Any, session: Session) -> dict[str, float]:
    """Single waits on the first draft of the list, in milliseconds."""
    open_tab(page, "Review")
    page.locator("#review-state").get_by_text("All", exact=True).click()
    page.wait_for_selector("#review-facts .lfss-facts")
    page.locator("#review-canvas .lc-view[data-key]").wait_for()
    digest = session.reviewed or ""
    canvas = Canvas(page, "#review-canvas", session.picture(digest).size, digest)
    found = timings.strokes(page, canvas)
    found["point to the model's answer"] = timings.points(page, canvas)
    return found


def many(workspace: Path) -> None:
    """A workspace of many drafts."""
    from lfss.workspace import Workspace

    with Workspace.open(workspace) as store, tempfile.TemporaryDirectory() as folder:
        for number in range(MANY):
            path = write_photo(Path(folder, f"photo-{number}.png"), number, (240, 320))
            digest = store.add_image(path, keep=True).digest
            name = read_image(path).name
            store.put_draft(a_draft(number, size=(240, 320), image_digest=digest, image_name=name))


def scroll(page: Any) -> dict[str, float]:
    """Open the list of many drafts, scroll it, and go from draft to draft."""
    opened = timings.timed(
        page,
        lambda: open_tab(page, "Review"),
        "() => document.querySelectorAll('#review-strip img[src]').length > 5",
    )
    page.wait_for_timeout(2000)
    moved = page.evaluate(timings.SCROLL)
    step = "() => !document.querySelector('#review-facts').innerText.includes(window.wasHere)"
    times = []
    for _ in range(10):
        page.evaluate(
            "window.wasHere = document.querySelector('#review-facts').innerText.split(' · ')[0] + ' '"
        )
        times.append(timings.timed(page, lambda: page.keyboard.press("j"), step))
    return {
        "list opened, ms": opened,
        "longest frame while the list scrolls, ms": moved["longest"],
        "pictures in the list": moved["pictures"],
        "next draft shown, ms": float(np.median(times)),
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="annotated photos; without, only the list of drafts"
    )
    parser.add_argument("--layout", default="voc", help="how they lie (default: voc)")
    parser.add_argument("--cache", type=Path, default=Path("cache"), metavar="DIR", help="for their index")
    parser.add_argument("--split", default="val", help="which of them (default: val)")
    parser.add_argument("--label", default="dog", help="one of their classes (default: dog)")
    parser.add_argument("--photos", type=int, default=30, help="how many are searched (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    parser.add_argument("--preset", default="mini", help="which model (default: mini)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the result goes, as JSON")
    chosen = parser.parse_args()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        if chosen.data:
            photos = Path(folder, "photos")
            photos.mkdir()
            with app(Path(folder, "job"), chosen.preset) as (url, sessions), browser_page(url) as page:
                page.wait_for_selector("#progress .lfss-done")
                result = job(page, sessions, chosen, photos)
                store(result, chosen)
                result["waits, ms"] = waits(page, session_of(page, sessions))
                store(result, chosen)
        many(Path(folder, "many"))
        with app(Path(folder, "many"), chosen.preset) as (url, _), browser_page(url) as page:
            page.wait_for_selector("#picks img")
            result[f"{MANY} drafts"] = scroll(page)
    store(result, chosen)


def store(result: dict[str, Any], chosen: argparse.Namespace) -> None:
    """Print what is known so far, without the single drafts, and write all of it."""
    load = os.getloadavg()[0]
    about = {
        "command": "python -m tests.browser.effort",
        "settings": {
            "data": chosen.data.name if chosen.data else None,
            "split": chosen.split,
            "label": chosen.label,
            "photos": chosen.photos,
            "seed": chosen.seed,
            "preset": chosen.preset,
        },
        "machine": {"cores": os.cpu_count(), "load": load, "python": platform.python_version()},
    }
    print(json.dumps({k: v for k, v in result.items() if k != "drafts"}, indent=1), flush=True)
    if chosen.out:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(about | result, indent=1, ensure_ascii=False)
        chosen.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
