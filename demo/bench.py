"""Measure the app: start to first page, first result, threshold. ``python -m demo.bench``.

What Gradio alone takes on the same machine, with one empty page, is measured beside it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

EMPTY = (
    "import gradio as gr\n"
    "with gr.Blocks(analytics_enabled=False) as page:\n"
    "    gr.Markdown('empty')\n"
    "page.launch(server_port={port}, ssr_mode=False, quiet=True)\n"
)


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
        _, session = sessions.open(None)
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
    finally:
        sessions.close()
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--port", type=int, default=7980)
    chosen = parser.parse_args()
    app = str(Path(__file__).parents[1] / "app.py")
    rows = {}
    for name, command, port in (
        ("Gradio alone, first page", [sys.executable, "-c", EMPTY.format(port=chosen.port)], chosen.port),
        (
            "app, first page",
            [sys.executable, app, "--preset", chosen.preset, "--port", str(chosen.port + 1)],
            chosen.port + 1,
        ),
    ):
        rows[name], process = first_page(command, port)
        process.terminate()
        process.wait()
    for name, seconds in (rows | inside(chosen.preset)).items():
        print(f"{name:28} {seconds:7.3f} s")


if __name__ == "__main__":
    main()
