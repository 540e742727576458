"""Measure the app: start to first page, first result, threshold, points, memory. ``python -m demo.bench``.

What Gradio alone takes on the same machine, with one empty page, is measured beside it. With
``--queries 500`` a batch of that many small pictures is run too, and the memory of the process is read
after the first 50 and after all of them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import PIL.Image

if TYPE_CHECKING:
    from .service import Service
    from .sessions import Sessions

EMPTY = (
    "import gradio as gr\n"
    "with gr.Blocks(analytics_enabled=False) as page:\n"
    "    gr.Markdown('empty')\n"
    "page.launch(server_port={port}, ssr_mode=False, quiet=True)\n"
)
GRADIO, APP = "Gradio alone, start to first page", "app, start to first page"
FEW = 50  # queries after which memory is read first: by then every cache has been filled


class Memory(NamedTuple):
    """Queries done, and resident bytes after the first few and after all of them."""

    done: int
    early: int
    after: int


def first_page(command: list[str], port: int) -> tuple[float, subprocess.Popen[bytes]]:
    """Seconds from the start of a program until it serves its page; and the program, still running."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while time.perf_counter() - start < 120:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                answer.read()
            return time.perf_counter() - start, process
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    process.kill()
    raise SystemExit(f"No page within two minutes: {' '.join(command)}")


def starts(preset: str, port: int, repeats: int) -> dict[str, float]:
    """Seconds from start to first page, the median of several, for Gradio alone and for the app."""
    app = str(Path(__file__).parents[1] / "app.py")
    commands = {
        GRADIO: [sys.executable, "-c", EMPTY.format(port=port)],
        APP: [sys.executable, app, "--preset", preset, "--port", str(port + 1)],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for place, (name, command) in enumerate(commands.items()):
            taken, process = first_page(command, port + place)
            seconds[name].append(taken)
            process.terminate()
            process.wait()
    return {name: statistics.median(values) for name, values in seconds.items()}


def inside(preset: str) -> dict[str, float]:
    """Seconds of what happens behind Run and behind the threshold slider, without HTTP."""
    from demo import example
    from demo.run import run
    from demo.segment_tab import shown_result
    from demo.service import Service
    from demo.session import Settings
    from demo.sessions import Sessions

    service, sessions = Service(preset), Sessions()
    start = time.perf_counter()
    service.predictor()
    found = {"load the preset": time.perf_counter() - start}
    try:
        key, session = sessions.open(None)
        if not example.install(session):
            raise SystemExit("The photos of the worked example are not in this installation of Gradio.")
        start = time.perf_counter()
        for update in run(service, session, Settings(), keep_drafts=False):
            if update.digest:
                session.current = update.digest
        found["first result after Run"] = time.perf_counter() - start
        moves = []
        for i in range(30):
            start = time.perf_counter()
            shown_result(session, 0.2 + i / 50, 0.45)
            moves.append(time.perf_counter() - start)
        found["threshold, median of 30"] = statistics.median(moves)
        found["threshold, slowest"] = max(moves)
        found |= asking(service, sessions, key)
    finally:
        sessions.close()
    return found


def asking(service: Service, sessions: Sessions, key: str, *, times: int = 15) -> dict[str, float]:
    """Seconds of one encoding, and of the model's answer to a point on a draft that has been asked about."""
    from demo.asking import answer
    from demo.drawing import draft_task
    from lfss.drafts import Draft

    session = sessions.get(key)
    assert session.current is not None
    image = session.shown(session.current)
    session.keep_picture(image)
    session.workspace.put_draft(Draft(image.name, image.digest, session.label, np.zeros(image.size, bool)))
    draft = session.workspace.draft(image.digest, session.label)
    assert draft is not None
    task = draft_task(session, key, draft)
    assert task is not None
    predictor = service.predictor()
    encodings: list[float] = []
    answers: list[float] = []
    drawn = np.zeros(image.size, np.int8)
    for number in range(times + 1):  # the first answer encodes the picture
        start = time.perf_counter()
        predictor.encode(image)
        middle = time.perf_counter()
        answer(service, sessions, key, task["key"], [(0.5, 0.3 + 0.4 * number / times, True)], drawn)
        encodings.append(middle - start)
        answers.append(time.perf_counter() - middle)
    encoding, asked = statistics.median(encodings[1:]), statistics.median(answers[1:])
    return {
        "one encoding": encoding,
        "answer to a point on a draft": asked,
        "the same, in encodings": asked / encoding,
    }


def memory(preset: str, *, queries: int, first: int = FEW) -> Memory:
    """Run a batch as the page does, and read the memory of this process on the way. Linux only."""
    import gradio as gr

    from demo.segment_tab import build_segment, stream
    from demo.service import Service
    from demo.session import Settings
    from demo.sessions import Sessions

    service, sessions = Service(preset), Sessions()
    with gr.Blocks(analytics_enabled=False):
        tab = build_segment(service, sessions, gr.State(""))
    try:
        _, session = sessions.open(None)
        session.label = "red"
        with tempfile.TemporaryDirectory() as folder:
            support, *rest = pictures(Path(folder), queries + 1)
            session.add_supports([support])
            known = np.zeros(session.supports[0].picture.size, np.int8)
            known[30:70, 40:90] = 1
            session.mark(0, known, "mask")
            session.add_queries(rest)
        early = 0
        for _ in stream(tab, service, session, Settings(assume_present=True), 0.45):
            if not early and len(session.found) >= first:
                early = resident()
        return Memory(len(session.found), early, resident())
    finally:
        sessions.close()


def pictures(folder: Path, count: int) -> Iterator[Path]:
    """Small pictures of a red block on grey noise, no two alike."""
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(100, 156, (96, 128, 3), np.uint8)
        pixels[30:70, 40:90] = (230, 26, 26)
        path = folder / f"{number}.png"
        PIL.Image.fromarray(pixels).save(path)
        yield path


def resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--preset", default="mini", help="which model (default: mini)")
    parser.add_argument("--port", type=int, default=7980, help="this port and the next are used")
    parser.add_argument("--repeats", type=int, default=3, help="starts of each program (default: 3)")
    parser.add_argument("--queries", type=int, default=0, help="also run a batch of so many (default: none)")
    chosen = parser.parse_args()
    rows = starts(chosen.preset, chosen.port, chosen.repeats)
    print(f"{'':36} {'seconds':>9} {'share':>7}")
    for name, seconds in rows.items():
        print(f"{name:36} {seconds:9.2f} {seconds / rows[APP]:7.0%}")
    for name, seconds in inside(chosen.preset).items():
        print(f"{name:36} {seconds:9.3f}")
    if chosen.queries:
        start = time.perf_counter()
        found = memory(chosen.preset, queries=chosen.queries)
        print(f"{f'{found.done} queries':36} {time.perf_counter() - start:9.1f}")
        print(f"{f'memory after {FEW} queries':36} {found.early / 2**20:9.0f} MiB")
        print(f"{f'memory after {found.done} queries':36} {found.after / 2**20:9.0f} MiB")


if __name__ == "__main__":
    main()
