"""Children that are forked to be killed, or to show how a command line ends."""

from __future__ import annotations

import os
import select
import signal
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from lfss.errors import InputError

Acknowledge = Callable[[str], None]


class Ended(NamedTuple):
    """How a command line ended: its exit code, None where it had to be killed, and all that it printed."""

    code: int | None
    printed: str


def killed_after(seconds: float, work: Callable[[Acknowledge], None]) -> list[str]:
    """What a child had acknowledged when SIGKILL ended it; the last word is ``end`` if it was done before."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            _printing_to(os.open(os.devnull, os.O_WRONLY))
            work(lambda text: os.write(writing, f"{text}\n".encode()) and None)
            os.write(writing, b"end\n")
        finally:
            os._exit(0)
    os.close(writing)
    _wait(child, seconds)
    with os.fdopen(reading) as file:
        return file.read().split("\n")[:-1]


def command(arguments: Sequence[str], folder: Path, *, limit: float = 60.0) -> Ended:
    """Run a command line of ``lfss`` in a child and a folder."""
    from lfss.__main__ import main

    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            code = 99  # what a traceback leads to
            try:
                os.chdir(folder)
                _printing_to(output.fileno())
                code = main(list(arguments))
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 1
            except BaseException as error:  # a fault of the program, as a person would see it
                os.write(2, f"Traceback: {error!r}".encode(errors="replace"))
            finally:
                os._exit(code)
        code = _wait(child, limit)
        output.seek(0)
        return Ended(code, output.read().decode(errors="replace"))


def warm(arguments: Sequence[str], folder: Path) -> None:
    """Run a command line in this process, so that children find everything imported; it must end well."""
    from lfss.__main__ import main

    before = Path.cwd()
    os.chdir(folder)
    try:
        code = main(list(arguments))
    finally:
        os.chdir(before)
    if code:
        raise InputError(f"'{' '.join(arguments)}' ended with {code}.")


def _wait(child: int, limit: float) -> int | None:
    handle = os.pidfd_open(child)
    try:
        if not select.select([handle], [], [], limit)[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        os.close(handle)


def _printing_to(handle: int) -> None:
    """Let standard output and errors of this process go elsewhere, those of libraries too."""
    import sys

    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout = os.fdopen(os.dup(1), "w", errors="backslashreplace", buffering=1)
    sys.stderr = os.fdopen(os.dup(2), "w", errors="backslashreplace", buffering=1)
