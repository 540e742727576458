"""The readers as a program that waits for requests."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from make_env import HERE, NoEnvironment, find
from scenes import Found


class Readers:
    """Asks the program in the readers' environment to open an export."""

    def __init__(self, python: Path, work: Path):
        self.out = work / "masks.npz"
        settings = os.environ | {"QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
        settings |= {"YOLO_CONFIG_DIR": str(work), "YOLO_OFFLINE": "true", "YOLO_VERBOSE": "false"}
        self.log = (work / "readers.log").open("wb")
        self.process = subprocess.Popen(
            [python, HERE / "readers.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=settings,
        )  # fmt: skip

    def open(self, check: str, folder: Path, **arguments: object) -> list[Found]:
        """What a reader finds in an export: facts and, for masks, the mask.

        Skips the test where the reader is not installed; fails it where the reader fails.
        """
        request = {"check": check, "folder": str(folder), "out": str(self.out)} | arguments
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the readers' program ended"
        reply = json.loads(line)
        if "missing" in reply:
            pytest.skip(f"this reader is not installed: {reply['missing']}")
        assert "failed" not in reply, reply.get("failed")
        with np.load(self.out) as masks:
            return [Found(facts, masks.get(str(n))) for n, facts in enumerate(reply["found"])]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.log.close()


@pytest.fixture(scope="session")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readers]:
    try:
        python = find()
    except NoEnvironment as error:
        pytest.skip(f"round trip through the real readers: {error}")
    program = Readers(python, tmp_path_factory.mktemp("readers"))
    yield program
    program.close()
