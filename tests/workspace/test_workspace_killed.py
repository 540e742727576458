"""Killed processes: what was acknowledged is there afterwards."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from faults import HERE, forks, python
from nursery import IMAGES
from samples import a_draft, digest_of, smooth_scores

from lfss.workspace import DATABASE_NAME, Workspace


@pytest.fixture
def workspace(impatient: Workspace) -> Workspace:
    return impatient


@pytest.fixture(scope="module")
def nursery() -> Iterator[subprocess.Popen]:
    with python(str(HERE / "nursery.py"), stdin=subprocess.PIPE) as process:
        yield process
        process.stdin.close()


def fill_and_die(nursery: subprocess.Popen, folder: Path, how: str, amount: float) -> list[str]:
    nursery.stdin.write(f"{folder} {how} {amount}\n")
    nursery.stdin.flush()
    return list(iter(lambda: nursery.stdout.readline().strip(), "--"))


def assert_kept(folder: Path, acknowledged: list[str]) -> None:
    """Everything acknowledged is there, at most one change more, and the workspace is whole."""
    with Workspace.open(folder, create="opened" not in acknowledged) as workspace:
        assert workspace.check() == []
        found = [
            f"{n} {change.action}"
            for n in range(IMAGES)
            if workspace.has_draft(digest_of(n), "dog")
            for change in workspace.history(digest_of(n), "dog")
        ]
        acknowledged = [line for line in acknowledged if line != "opened"]
        assert found[: len(acknowledged)] == acknowledged
        assert len(found) <= len(acknowledged) + 1
        for n in range(len(found) // 3):
            assert (workspace.draft(digest_of(n), "dog").mask == (np.indices((40, 50))[0] < n + 2)).all()


@forks
def test_a_process_that_lives_acknowledges_everything(nursery, tmp_path):
    acknowledged = fill_and_die(nursery, tmp_path / "ws", "end", 0)
    assert len(acknowledged) == 1 + 3 * IMAGES
    assert_kept(tmp_path / "ws", acknowledged)


@forks
def test_killed_inside_a_statement_it_loses_at_most_the_change_under_way(nursery, tmp_path):
    rng = np.random.default_rng(0)
    points = {int(p) for p in np.concatenate([rng.integers(1, 1500, 48), rng.integers(1500, 15_000, 28)])}
    reached = set()
    for point in sorted(points):
        acknowledged = fill_and_die(nursery, tmp_path / f"ws{point}", "ticks", point)
        reached.add(len(acknowledged))
        assert_kept(tmp_path / f"ws{point}", acknowledged)
    assert {0, 1} <= reached  # some died while the tables were made
    assert max(reached) >= 10


@forks
def test_killed_from_outside_it_loses_at_most_the_change_under_way(nursery, tmp_path):
    for n, seconds in enumerate(np.random.default_rng(1).uniform(0.005, 0.2, 18)):
        acknowledged = fill_and_die(nursery, tmp_path / f"ws{n}", "seconds", seconds)
        assert_kept(tmp_path / f"ws{n}", acknowledged)


@forks
def test_killed_again_and_again_one_workspace_still_holds_what_was_acknowledged(nursery, tmp_path):
    known: set[str] = set()
    for point in np.random.default_rng(2).integers(200, 6000, 10):
        known |= set(fill_and_die(nursery, tmp_path / "ws", "ticks", int(point)))
        with Workspace.open(tmp_path / "ws") as workspace:
            assert workspace.check() == []
            for line in known - {"opened"}:
                number, action = line.split()
                actions = [c.action for c in workspace.history(digest_of(int(number)), "dog")]
                assert action in actions


def test_a_log_torn_at_any_byte_keeps_a_prefix_of_what_was_done(workspace, tmp_path):
    """What a power cut may leave of the last writes: the log up to some byte, or zeros after it."""
    for n in range(12):
        workspace.put_draft(a_draft(n, size=(40, 50)), smooth_scores(40, 50, n))
    log = (workspace.folder / f"{DATABASE_NAME}-wal").read_bytes()
    kept = set()
    for k, cut in enumerate(np.random.default_rng(3).integers(0, len(log), 40)):
        torn = tmp_path / f"torn{k}"
        torn.mkdir()
        shutil.copy(workspace.folder / DATABASE_NAME, torn)
        tail = bytes(len(log) - cut) if k % 2 else b""
        (torn / f"{DATABASE_NAME}-wal").write_bytes(log[:cut] + tail)
        with Workspace.open(torn) as after:
            assert after.check() == []
            digests = [draft.image_digest for draft in after.drafts()]
            assert digests == [digest_of(n) for n in range(len(digests))]
            kept.add(len(digests))
    assert len(kept) > 5
