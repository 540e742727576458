"""Many visitors at once: how much memory they take together, and whether each gets what is theirs."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image

from lfss.errors import InputError
from tests.fakes import COLOURS, scene

ROOT = Path(__file__).parents[2]
SIDE = 14_000  # pixels: 196 megapixels, just below the limit
VISITORS = (1, 2, 8)


class App(NamedTuple):
    """The app as a person starts it."""

    url: str
    process: subprocess.Popen[bytes]

    def peak(self) -> float:
        """The most memory that it has taken so far, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1000


def memory(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Peak memory where visitors send the largest picture at the same moment, a fresh app for each number."""
    bomb = largest_picture(folder)
    support = folder / "support.png"
    PIL.Image.fromarray(scene(seed=0)).save(support)
    found: dict[str, Any] = {}
    for allowed in options.memory:
        for visitors in VISITORS:
            with started("mini", "--memory", f"{allowed:g}") as app:
                found[f"{visitors} with {allowed:g} GB"] = visited(app, visitors, support, bomb)
            yield {"megapixels": SIDE * SIDE / 1e6, "bytes": bomb.stat().st_size, "visitors": found}


def largest_picture(folder: Path) -> Path:
    """A PNG of a few kilobytes that unpacks to the largest picture that is allowed."""
    bomb = folder / "bomb.png"
    PIL.Image.new("1", (SIDE, SIDE)).save(bomb, optimize=True)
    return bomb


def visited(app: App, visitors: int, support: Path, bomb: Path) -> dict[str, Any]:
    """What became of visitors who send the largest picture at the same moment, and its memory at the peak."""
    before, start = app.peak(), time.monotonic()
    results = _at_once([lambda: _segment(app.url, "dog", support, bomb)] * visitors)
    return {
        "visitors": visitors,
        "before_mb": round(before),
        "peak_mb": round(app.peak()),
        "answered": sum(isinstance(r, tuple) and r[0] == (SIDE, SIDE) for r in results),
        "refused": sum(isinstance(r, str) for r in results),
        "seconds": round(time.monotonic() - start, 1),
        "told": sorted({r for r in results if isinstance(r, str)}),
    }


def clients(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Clients that each look for their own colour at their own place, all at once."""
    colours = [name for name in COLOURS if name != "gray"]
    tasks = []
    for client in range(options.clients):
        colour = colours[client % len(colours)]
        support = folder / f"support{client}.png"
        PIL.Image.fromarray(scene(colour, seed=client)).save(support)
        for call in range(options.calls):
            top, left = 10 * (client % 10), 12 * (call % 12)
            query = folder / f"query{client}-{call}.png"
            box = (top, left, top + 110, left + 140)
            PIL.Image.fromarray(scene(colour, seed=1000 + 50 * client + call, box=box)).save(query)
            tasks.append((client, colour, support, query, box))

    def work(client: int) -> list[str]:
        ends = []
        for _, colour, support, query, box in (t for t in tasks if t[0] == client):
            result = _segment(app.url, colour, support, query)
            ends.append("failed" if isinstance(result, str) else _whose(result[1], box, colour == result[2]))
        return ends

    with started("tests.fakes:preset") as app:
        start = time.monotonic()
        ends = [e for found in _at_once([lambda c=c: work(c) for c in range(options.clients)]) for e in found]
    yield {
        "clients": options.clients,
        "calls": len(ends),
        "crossed": ends.count("crossed"),
        "failed": len(ends) - ends.count("own") - ends.count("crossed"),
        "seconds": round(time.monotonic() - start, 1),
    }


def _whose(mask: np.ndarray, box: tuple[int, int, int, int], same_label: bool) -> str:
    own = np.zeros(mask.shape, bool)
    own[box[0] : box[2], box[1] : box[3]] = True
    return "own" if same_label and (mask & own).sum() / (mask | own).sum() > 0.8 else "crossed"


def _segment(
    url: str, label: str, support: Path, query: Path
) -> tuple[tuple[int, int], np.ndarray, str] | str:
    """Size of the mask, the mask and its label; or why there is none."""
    from gradio_client import Client, handle_file

    PIL.Image.MAX_IMAGE_PIXELS = None
    try:
        client = Client(url, verbose=False, httpx_kwargs={"timeout": 600})
        saved = client.predict(label, "", [handle_file(str(support))], api_name="/prepare_class")
        mask, facts = client.predict(
            handle_file(str(query)), handle_file(saved), 0.5, False, api_name="/segment"
        )
        with PIL.Image.open(mask) as picture:
            small = np.asarray(picture) > 0 if picture.size[0] < 5000 else np.zeros((1, 1), bool)
            return (picture.size[1], picture.size[0]), small, facts["label"]
    except Exception as error:  # whatever it is, this visitor got nothing
        return str(error) or repr(error)


def _at_once(work: list[Any]) -> list[Any]:
    """The results of functions that begin together, a thread each."""
    results: list[Any] = [None] * len(work)
    ready = threading.Barrier(len(work))

    def do(number: int) -> None:
        ready.wait()
        results[number] = work[number]()

    threads = [threading.Thread(target=do, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@contextmanager
def started(preset: str, *options: str) -> Iterator[App]:
    """The app in a process of its own, with further options, once it serves its page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            sys.executable,
            "app.py",
            "--preset",
            preset,
            "--device",
            "cpu",
            "--port",
            str(port),
            *options,
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url, until = f"http://127.0.0.1:{port}/", time.monotonic() + 300
    try:
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError as error:
                if process.poll() is not None or time.monotonic() > until:
                    raise InputError("The app did not start.") from error
                time.sleep(0.2)
        yield App(url, process)
    finally:
        process.terminate()
        process.wait(600)  # a busy machine
