"""Hostile inputs by kind: each must end in a sentence, with an exit code of this program, and in time."""

from __future__ import annotations

import argparse
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import PIL.Image

from lfss.commands import FAILED, NO_WEIGHTS, OK, REFUSED
from lfss.images import read_image
from lfss.labels import parse_label
from lfss.predictor import Predictor
from lfss.support import Support
from lfss.workspace import DATABASE_NAME
from tests.demo.test_api import WRONG, answer, sent
from tests.fakes import scene
from tests.reliability.children import Ended, command, warm
from tests.serving import serving
from tests.test_class_file import HOSTILE, changed
from tests.test_text_input import BAD

PRESET = ["--preset", "tests.fakes:preset", "--device", "cpu"]
FORMATS = ("coco", "coco-panoptic", "cvat", "labelme", "labelstudio", "yolo", "voc", "png")

Case = tuple[str, list[str]]
"""Kind and command line, in the folder of the parts."""


def measure(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Cases and failures of every kind; failures are also told one by one."""
    rng = np.random.default_rng(options.seed)
    cases, failures, told = Counter[str](), Counter[str](), list[str]()
    good = _make(folder)
    for kind, line in _cases(folder, good, options.changed, rng):
        ended = command(line, folder)
        cases[kind] += 1
        if why := _wrong(ended):
            failures[kind] += 1
            told.append(f"{kind}: {' '.join(line)[:200]}: {why}: {ended.printed[-300:]}")
        shutil.rmtree(folder / "out", ignore_errors=True)
    for name, why in _calls(folder):
        cases["calls of the endpoints"] += 1
        if why:
            failures["calls of the endpoints"] += 1
            told.append(f"{name}: {why}")
    kinds = {kind: {"cases": count, "failures": failures[kind]} for kind, count in cases.items()}
    total = {"cases": cases.total(), "failures": failures.total()}
    yield {"kinds": {**kinds, "all": total}, "told": told}


def _wrong(ended: Ended) -> str:
    if ended.code is None:
        return "it did not end"
    if ended.code not in (OK, FAILED, REFUSED, NO_WEIGHTS):
        return f"exit code {ended.code}"
    for sign in ("Traceback", "a fault of this program", "\x1b", "\0"):
        if sign in ended.printed:
            return f"{sign!r} in what it printed"
    if ended.code and not ended.printed.strip():
        return "it said nothing"
    return ""


def _make(folder: Path) -> Path:
    """Pictures, a workspace, exports of it and a class file, all of them good."""
    for number, name in enumerate(("s.png", "q.png")):
        PIL.Image.fromarray(scene(seed=number, size=(144, 160), box=(40, 50, 100, 120))).save(folder / name)
    line = ["segment", "--label", "red", "--support", "s.png", "--query", "q.png", *PRESET]
    warm([*line, "--workspace", "ws"], folder)
    warm([*line, "--out", "run"], folder)
    for form in FORMATS:
        line = [
            "export",
            "--workspace",
            "ws",
            "--status",
            "proposed",
            "--format",
            form,
            "--out",
            f"as-{form}",
        ]
        warm(line, folder)
        warm(["import", "--workspace", "into", "--format", form, f"as-{form}"], folder)
    predictor = Predictor.load("tests.fakes:preset", device="cpu")
    prepared = predictor.prepare(parse_label("red"), [Support(read_image(folder / "s.png"))])
    return prepared.save(folder / "good.safetensors")


def _cases(folder: Path, good: Path, changes: int, rng: np.random.Generator) -> Iterator[Case]:
    query = ["--query", "q.png", "--out", "out", *PRESET]
    for change in HOSTILE.values():
        changed(good, folder / "bad.safetensors", change)
        yield "class files made by hand", ["segment", "--class", "bad.safetensors", *query]
    for data in _changed(good.read_bytes(), 3 * changes, rng):
        (folder / "bad.safetensors").write_bytes(data)
        yield "class files with changed bytes", ["segment", "--class", "bad.safetensors", *query]
    for name, data in _pictures(folder, changes, rng):
        (folder / name).write_bytes(data)
        yield "pictures", ["segment", "--class", str(good), "--query", name, "--out", "out", *PRESET]
    for data in _lists(changes, rng):
        (folder / "list.txt").write_bytes(data)
        yield (
            "lists of pictures",
            ["segment", "--class", str(good), "--list", "list.txt", "--out", "out", *PRESET],
        )
    yield from _arguments()
    yield from _special_files(folder, good)
    for form in FORMATS:
        for path in sorted(p for p in (folder / f"as-{form}").rglob("*") if p.is_file()):
            data = path.read_bytes()
            for bad in _changed(data, changes, rng):
                path.write_bytes(bad)
                shutil.rmtree(folder / "into", ignore_errors=True)
                yield "files to import", ["import", "--workspace", "into", "--format", form, f"as-{form}"]
            path.write_bytes(data)
    line = ["segment", "--label", "red", "--support", "s.png", "--query", "q.png", *PRESET]
    record = (folder / "run" / "lfss-run.json").read_bytes()
    for bad in _changed(record, changes, rng):
        (folder / "run" / "lfss-run.json").write_bytes(bad)
        yield "records of a run", [*line, "--out", "run"]
    lines = (
        ["workspace", "ws", "--check"],
        ["export", "--workspace", "ws", "--format", "coco", "--status", "proposed", "--out", "out"],
    )
    whole = (folder / "ws" / DATABASE_NAME).read_bytes()
    for bad in _changed(whole, 2 * changes, rng):
        for line in lines:
            for rest in (folder / "ws").glob(f"{DATABASE_NAME}-*"):
                rest.unlink()
            (folder / "ws" / DATABASE_NAME).write_bytes(bad)
            yield "workspaces with changed bytes", line


def _changed(data: bytes, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Copies with some bytes replaced; every third cut short, and one empty."""
    yield b""
    for number in range(1, count):
        copy = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 9)):
            copy[place] = rng.integers(0, 256)
        yield bytes(copy[: rng.integers(0, len(data))] if number % 3 == 0 else copy)


def _pictures(folder: Path, changes: int, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    for ending in ("png", "jpg", "gif", "webp", "tif", "bmp"):
        PIL.Image.open(folder / "q.png").convert("RGB").save(folder / f"base.{ending}")
        for data in _changed((folder / f"base.{ending}").read_bytes(), changes, rng):
            yield f"bad.{ending}", data
    bomb = bytearray((folder / "base.png").read_bytes())
    for side in (0, 1 << 16, 1 << 31):
        bomb[16:24] = side.to_bytes(4, "big") * 2
        yield "bad.png", bytes(bomb)


def _lists(changes: int, rng: np.random.Generator) -> Iterator[bytes]:
    names = "q.png\r\nnot there.png\r\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        yield names.encode(encoding)
        yield from _changed(names.encode(encoding), max(1, changes // 3), rng)
    yield b"q.png\n" + b"x" * 100_000
    yield b"q.png\n\0\n\x1b[31m\n"
    for length in (10, 1000, 100_000):
        yield rng.bytes(length)


def _arguments() -> Iterator[Case]:
    segment = ["segment", "--query", "q.png", "--out", "out"]
    red = [*segment, "--label", "red", "--support", "s.png"]
    lines = (
        ["workspace", "ws", "--rename", "red", "BAD"],
        ["workspace", "BAD"],
        ["export", "--workspace", "ws", "--format", "BAD", "--out", "out"],
        ["export", "--workspace", "ws", "--format", "labelstudio", "--prefix", "BAD", "--out", "out"],
        ["import", "--workspace", "ws", "--format", "coco", "BAD"],
        [*segment, "--label", "BAD", "--support", "s.png", *PRESET],
        [*segment, "--label", "red", "--support", "BAD", *PRESET],
        [*red, "--query", "BAD", *PRESET],
        ["segment", "--label", "red", "--support", "s.png", "--list", "BAD", "--out", "out", *PRESET],
        [*red, "--box", "s.png=BAD", *PRESET],
        [*red, "--device", "cpu", "--preset", "BAD"],
        [*segment, "--class", "BAD", *PRESET],
    )
    for line in lines:
        for bad in (*BAD, "x" * 5000, ""):
            text = bad.encode(errors="surrogatepass").replace(b"\0", b"").decode(errors="surrogateescape")
            yield "arguments", [part.replace("BAD", text) for part in line]


def _special_files(folder: Path, good: Path) -> Iterator[Case]:
    os.mkfifo(folder / "pipe")
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "folder").mkdir()
    for path in ("pipe", "circle", "folder", "/dev/zero", "/dev/full", "nothing"):
        lines = [
            ["--label", "red", "--support", path, "--query", "q.png"],
            ["--label", "red", "--support", "s.png", "--mask", f"s.png={path}", "--query", "q.png"],
            ["--label", "red", "--support", "s.png", "--query", path],
            ["--class", path, "--query", "q.png"],
        ]
        if path != "pipe":  # a pipe is welcome as a list, and this one never ends
            lines.append(["--class", str(good), "--list", path])
        for line in lines:
            yield "pipes, devices, links", ["segment", *line, "--out", "out", *PRESET]
        for form in ("coco", "labelme", "png"):
            yield "pipes, devices, links", ["import", "--workspace", "ws", "--format", form, path]


def _calls(folder: Path) -> Iterator[tuple[str, str]]:
    """Name of a wrong call, and what is wrong with its answer."""
    (folder / "sessions").mkdir()
    with serving(folder / "sessions") as app:
        file = sent(app.url, "a.png", b"no picture")

        def filled(value: Any) -> Any:
            if isinstance(value, list):
                return [filled(v) for v in value]
            return file if value == "FILE" else value

        for name, (endpoint, data, told) in WRONG.items():
            try:
                text = answer(app.url, endpoint, filled(data))
            except httpx.HTTPError as error:
                yield name, f"no answer: {error}"
                continue
            wrong = "event: error" not in text or told not in text.encode().decode("unicode_escape")
            yield name, text[-300:] if wrong or "&#" in text or "Something went wrong" in text else ""
