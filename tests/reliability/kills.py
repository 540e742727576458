"""Kills by operation: what was acknowledged is there, the next run works, and nothing stays behind."""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from nursery import IMAGES, fill
from samples import digest_of

from lfss.commands.report import Report
from lfss.workspace import DATABASE_NAME, Workspace
from tests.fakes import scene
from tests.reliability.children import Acknowledge, command, killed_after, warm

PICTURES = 8
FORMATS = ("coco", "yolo", "png")


@dataclass(frozen=True)
class Operation:
    """Something to be killed.

    Attributes:
        work: does it in a folder, and acknowledges what is done.
        lost: after a kill: how many of the acknowledged things are not there as they were.
        again: does it once more; False where that fails or gives another result.
    """

    work: Callable[[Path, Acknowledge], None]
    lost: Callable[[Path, list[str]], int]
    again: Callable[[Path], bool]


def measure(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Kills, losses, failed next runs and leftovers of every operation."""
    photos = folder / "photos"
    photos.mkdir()
    for number in range(PICTURES + 1):
        PIL.Image.fromarray(scene(seed=number, size=(120, 160), box=(20, 30, 80, 100))).save(
            photos / f"{number}.png"
        )
    (photos / "0.png").rename(folder / "support.png")
    rng = np.random.default_rng(options.seed)
    found: dict[str, Any] = {}
    for name, operation in _operations(folder):
        found[name] = _kill(folder, operation, options.kills, rng)
        yield {"operations": found}


def _operations(folder: Path) -> Iterator[tuple[str, Operation]]:
    yield "changes of drafts", Operation(_fill, _lost_changes, _filled)
    for target in ("--workspace", "--out"):
        line = [
            "segment", "--label", "red", "--support", str(folder / "support.png"), "--query",
            str(folder / "photos"), "--preset", "tests.fakes:preset", "--device", "cpu", target, "results",
        ]  # fmt: skip
        whole = folder / f"whole{target}"
        whole.mkdir()
        warm(line, whole)
        masks = _masks(whole)
        assert len(masks) == PICTURES
        yield f"segment {target}", _segment(line, masks)
    workspace = folder / "whole--workspace" / "results"
    line = [
        "export",
        "--workspace",
        str(workspace),
        "--format",
        *FORMATS,
        "--status",
        "proposed",
        "--out",
        "results",
    ]
    yield "export", _export(line, workspace)
    yield (
        "a visitor's run in the app",
        Operation(lambda place, tell: _visit(folder, place, tell), lambda place, told: 0, _swept),
    )


def _kill(folder: Path, operation: Operation, kills: int, rng: np.random.Generator) -> dict[str, int]:
    found = dict.fromkeys(("kills", "acknowledged", "lost", "next_run_failed", "left_behind"), 0)
    place = folder / "place"
    place.mkdir()
    started = time.monotonic()
    killed_after(600, lambda tell: operation.work(place, tell))
    duration = time.monotonic() - started
    while found["kills"] < kills:
        shutil.rmtree(place)
        place.mkdir()
        started = time.monotonic()
        told = killed_after(rng.uniform(0, duration), lambda tell: operation.work(place, tell))
        if told[-1:] == ["end"]:
            duration = min(duration, time.monotonic() - started)  # it was faster this time
            continue
        found["kills"] += 1
        found["acknowledged"] += len(told)
        found["lost"] += operation.lost(place, told)
        found["next_run_failed"] += not operation.again(place)
        found["left_behind"] += sum(1 for _ in place.rglob(".lfss-*")) + sum(
            1 for _ in place.glob("lfss-app-*")
        )
    shutil.rmtree(place)
    return found


def _fill(place: Path, tell: Acknowledge) -> None:
    fill(str(place / "ws"), tell)


def _lost_changes(place: Path, told: list[str]) -> int:
    changes = [line for line in told if line != "opened"]
    if not told:
        return 0
    with Workspace.open(place / "ws", create=False) as workspace:
        found = [
            f"{n} {change.action}"
            for n in range(IMAGES)
            if workspace.has_draft(digest_of(n), "dog")
            for change in workspace.history(digest_of(n), "dog")
        ]
        return sum(a != b for a, b in zip(changes, found)) + max(0, len(changes) - len(found))


def _filled(place: Path) -> bool:
    with Workspace.open(place / "ws") as workspace:
        return workspace.check() == []


def _segment(line: list[str], masks: dict[str, bytes]) -> Operation:
    def work(place: Path, tell: Acknowledge) -> None:
        add = Report.add

        def told(report: Report, done: Any) -> None:
            add(report, done)
            for outcome in done.outcomes:
                tell(Path(outcome.image).name)

        Report.add = told  # type: ignore[method-assign]  # what is counted is on the disk
        _run(line, place)

    def lost(place: Path, told: list[str]) -> int:
        found = _masks(place)
        return sum(found.get(name) != masks[name] for name in told)

    def again(place: Path) -> bool:
        return command(line, place).code == 0 and _masks(place) == masks

    return Operation(work, lost, again)


def _masks(place: Path) -> dict[str, bytes]:
    """The masks of a run by the name of their picture."""
    results = place / "results"
    if (results / DATABASE_NAME).exists():
        with Workspace.open(results) as workspace:
            assert workspace.check() == []
            drafts = workspace.drafts(status="proposed")  # of any label: killed at once, there is none yet
            return {draft.image_name: draft.mask.tobytes() for draft in drafts}
    return {f"{p.name.split('.')[0]}.png": p.read_bytes() for p in results.rglob("*.mask.png")}


def _export(line: list[str], workspace: Path) -> Operation:
    def again(place: Path) -> bool:
        whole = (place / "results").exists() or command(line, place).code == 0
        written = {p.name for p in (place / "results").iterdir()}
        with Workspace.open(workspace) as opened:
            return whole and written == set(FORMATS) and opened.check() == []

    return Operation(lambda place, tell: _run(line, place), lambda place, told: 0, again)


def _visit(folder: Path, place: Path, tell: Acknowledge) -> None:
    from demo.run import run
    from demo.service import Service
    from demo.session import Settings
    from demo.sessions import Sessions

    sessions = Sessions(root=place)
    _, session = sessions.open(None)
    session.label = "red"
    session.add_supports([folder / "support.png"])
    session.add_queries(sorted((folder / "photos").iterdir()))
    for update in run(Service("tests.fakes:preset", device="cpu"), session, Settings()):
        if update.digest:
            tell(update.digest)
    sessions.close()


def _swept(place: Path) -> bool:
    """Start the app's sessions again: the photos of the killed one go."""
    from demo.sessions import Sessions

    sessions = Sessions(root=place)
    alone = [p for p in place.glob("lfss-app-*") if p != sessions.root] == []
    sessions.close()
    return alone


def _run(line: list[str], place: Path) -> None:
    from lfss.__main__ import main

    os.chdir(place)
    main(line)
