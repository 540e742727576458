"""Make the environment of the readers: ``python tests/roundtrip/make_env.py``.

``bash tests/run.sh`` calls it before the tests, which never make it themselves; where it is missing they are
skipped and say so. It lies in ``.venv-roundtrip`` beside ``tests``, or where ``LFSS_ROUNDTRIP_ENV`` says; it
takes about a minute and 1.1 GB. With ``LFSS_ROUNDTRIP=0`` it is neither made nor used.
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
# Installed without what they declare: labelme wants onnxruntime for its AI tools, ultralytics wants torch,
# which its reader takes from the program's own environment (see readers.py). Reading needs no more.
BARE = ("labelme==6.3.1", "ultralytics==8.4.190")


class NoEnvironment(Exception):
    """The environment is not here; the message says why."""


def find() -> Path:
    """The Python of the environment.

    Raises:
        NoEnvironment: switched off, not made yet, or made from another list of packages.
    """
    if os.environ.get("LFSS_ROUNDTRIP") == "0":
        raise NoEnvironment("LFSS_ROUNDTRIP is 0")
    python, stamp = _places()
    if not python.exists() or not stamp.exists() or stamp.read_text() != _wanted():
        raise NoEnvironment("the readers are not installed; run: python tests/roundtrip/make_env.py")
    return python


def make() -> Path:
    """Make the environment if it is missing or out of date, and return its Python.

    Raises:
        NoEnvironment: switched off, or the packages cannot be had.
    """
    python, stamp = _places()
    name = hashlib.sha256(str(stamp).encode()).hexdigest()[:16]
    with _alone(Path(tempfile.gettempdir(), f"lfss-readers-{name}.lock")):
        with contextlib.suppress(NoEnvironment):
            return find()
        if os.environ.get("LFSS_ROUNDTRIP") != "0":
            shutil.rmtree(stamp.parent, ignore_errors=True)
            venv.create(stamp.parent, with_pip=True)
            _install(python, "--only-binary", ":all:", "-r", str(HERE / "readers.txt"))
            _install(python, "--no-deps", *BARE)
            stamp.write_text(_wanted())
    return find()


def _places() -> tuple[Path, Path]:
    """The Python of the environment, and the file that says what it was made from."""
    folder = Path(os.environ.get("LFSS_ROUNDTRIP_ENV") or HERE.parent.parent / ".venv-roundtrip")
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"), folder / "made-from"


def _wanted() -> str:
    return hashlib.sha256((HERE / "readers.txt").read_bytes() + " ".join(BARE).encode()).hexdigest()


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
    try:
        sys.stdout.write(f"{make()}\n")
    except (NoEnvironment, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"The round trip through the real readers will be skipped: {error}")
