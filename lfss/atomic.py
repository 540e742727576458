"""Files that are there whole or not at all: written beside their place, synced, then moved into it.

What is under way carries the number of its process in its name, so that what a killed program left behind
is known, and removed by the next program that writes into the same folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ABANDONED_SECONDS = 86_400.0  # after this long untouched, what a process of another machine left is removed

_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
_MARK = re.compile(r"\.?lfss-(?:app-)?(?:([0-9a-f]{6})-([0-9]+)-)?[0-9a-z_]+(?:\.partial|\.files)?")


def partial_name() -> str:
    """A name for what is under way; no two are the same."""
    return f".lfss-{owner_mark()}{secrets.token_hex(4)}.partial"


def owner_mark() -> str:
    """The part of such a name that tells which process works on it."""
    return f"{_HOST}-{os.getpid()}-"


def sweep(folder: Path, pattern: str = ".lfss-*") -> int:
    """Remove what programs that are no longer running left behind in a folder; returns how many things.

    A program of this machine is asked for by its number. Of another machine's, and of those that left no
    number, only what nobody has touched for a day is removed.

    Args:
        folder: need not exist.
        pattern: names that may be removed.
    """
    removed = 0
    with suppress(OSError):  # a folder that cannot be read has nothing that could be removed
        for path in list(folder.glob(pattern)):
            mark = _MARK.fullmatch(path.name)
            if mark and not path.is_symlink() and _abandoned(path, mark[1], mark[2]):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
                removed += 1
    return removed


def _abandoned(path: Path, host: str | None, process: str | None) -> bool:
    if process and host == _HOST and os.name != "nt":  # Windows has no harmless way to ask
        try:
            os.kill(int(process), 0)
        except (ProcessLookupError, OverflowError):
            return True
        except OSError:  # it runs, for another person
            return False
        return False
    touched = max((p.lstat().st_mtime for p in (path, *path.rglob("*"))), default=time.time())
    return time.time() - touched > ABANDONED_SECONDS


def write_atomically(path: Path, write: Callable[[Path], object], *, sync: bool = True) -> None:
    """Let ``write`` fill a temporary file in the same folder, then put it in place of ``path``.

    Args:
        path: the file.
        write: called with the temporary file.
        sync: return when the file is on the disk, so that a power cut does not take it; False for what
            can be made again.

    Raises:
        OSError: the folder cannot be written; nothing is left behind.
    """
    temporary = path.parent / partial_name()
    try:
        # Private to its maker until it is whole; results may be read by others.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        write(temporary)
        if sync:
            sync_file(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
        if sync:
            sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write bytes whole or not at all: a reader never sees half of them.

    Raises:
        OSError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    write_atomically(path, lambda part: part.write_bytes(data), sync=sync)


def sync_file(path: Path) -> None:
    """Return when what was written to a file is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Return when names in a folder are on the disk, where the system can tell."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot
            os.fsync(handle)
    finally:
        os.close(handle)
