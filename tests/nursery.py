"""A process that fills workspaces in forked children and lets each die at a chosen point.

Each line on standard input is one child: ``FOLDER ticks N`` is killed inside a statement, after N
steps of SQLite's machine; ``FOLDER seconds T`` from outside after that time; ``FOLDER end 0`` lives.
Every change is acknowledged on standard output after the method that made it returned, and ``--``
ends a child's lines.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable

import numpy as np

from lfss.workspace import Workspace
from tests.samples import a_draft, digest_of, smooth_scores

IMAGES = 6


def fill(folder: str, acknowledge: Callable[[str], None]) -> None:
    """Three changes for each picture: a proposal, an edit, a decision."""
    workspace = Workspace.open(folder)
    acknowledge("opened")
    for n in range(IMAGES):
        workspace.put_draft(a_draft(n, size=(40, 50)), smooth_scores(40, 50, n))
        acknowledge(f"{n} proposed")
        workspace.edit_mask(digest_of(n), "dog", np.indices((40, 50))[0] < n + 2)
        acknowledge(f"{n} edited")
        workspace.set_status(digest_of(n), "dog", "accepted")
        acknowledge(f"{n} accepted")
    workspace.close()


def die_after_steps(count: int) -> None:
    """Kill this process inside the statement that takes SQLite's machine to that step."""
    left, connect = [count], sqlite3.connect

    def tick() -> int:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    def watched(*args: object, **kwargs: object) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.set_progress_handler(tick, 1)
        return connection

    sqlite3.connect = watched


def main() -> None:
    for line in sys.stdin:
        folder, how, amount = line.split()
        child = os.fork()
        if child == 0:
            if how == "ticks":
                die_after_steps(int(amount))
            fill(folder, lambda text: os.write(1, f"{text}\n".encode()) and None)
            os._exit(0)
        if how == "seconds":
            time.sleep(float(amount))
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.write(1, b"--\n")


if __name__ == "__main__":
    main()
