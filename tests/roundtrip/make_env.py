"""The environment of the readers: made once, then found again.

By hand: ``python tests/roundtrip/make_env.py``. It lies in ``.venv-roundtrip`` beside ``tests``, or
where ``LFSS_ROUNDTRIP_ENV`` says; it takes about a minute and 1.1 GB.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
LABELME = "labelme==6.3.1"


class NoEnvironment(Exception):
    """The environment cannot be made here; the message says why."""


def ensure() -> Path:
    """The Python of the environment, which is made if it is missing or out of date.

    Raises:
        NoEnvironment: switched off, or the packages cannot be had.
    """
    if os.environ.get("LFSS_ROUNDTRIP") == "0":
        raise NoEnvironment("LFSS_ROUNDTRIP is 0")
    folder = Path(os.environ.get("LFSS_ROUNDTRIP_ENV") or HERE.parent.parent / ".venv-roundtrip")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "made-from"
    wanted = hashlib.sha256((HERE / "readers.txt").read_bytes() + LABELME.encode()).hexdigest()
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    with _alone(Path(tempfile.gettempdir(), f"lfss-readers-{name}.lock")):
        if not (python.exists() and stamp.exists() and stamp.read_text() == wanted):
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            _install(python, "--only-binary", ":all:", "-r", str(HERE / "readers.txt"))
            # labelme declares onnxruntime and more for its AI tools; reading files needs none of them.
            _install(python, "--no-deps", LABELME)
            stamp.write_text(wanted)
    return python


def _install(python: Path, *what: str) -> None:
    flags = ("-q", "--no-compile", "--disable-pip-version-check", "--retries", "1", "--timeout", "20")
    done = subprocess.run(
        [python, "-m", "pip", "install", *flags, *what], capture_output=True, text=True, timeout=900
    )
    if done.returncode:
        problems = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise NoEnvironment(f"the readers cannot be installed: {(problems or ['pip failed'])[0]}")


@contextlib.contextmanager
def _alone(lock: Path):
    """Hold a lock file, so that two test runs do not make the same environment at once."""
    try:
        import fcntl
    except ImportError:  # Windows: no such lock, and seldom two runs
        yield
        return
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.stdout.write(f"{ensure()}\n")
