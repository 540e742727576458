"""How much all files of visitors may take on the disk, and what goes first when that is reached."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

from lfss.errors import InputError
from lfss.files import free_bytes

MAX_BYTES = 20 * 2**30
SHARE_OF_FREE = 0.5  # of the disk as it is when the app starts
COUNT_SECONDS = 10.0  # between two looks at the whole folder
YOUNG_SECONDS = 600.0  # uploads younger than this may still be waited for


class Room:
    """The folder with everything that visitors sent and got.

    Args:
        folder: of all sessions and uploads.
        size: bytes that it may hold; by default what is sensible for its disk.
    """

    def __init__(self, folder: Path, size: int | None = None):
        self.folder = folder
        self.size = size or min(MAX_BYTES, int(free_bytes(folder) * SHARE_OF_FREE))
        self._lock = threading.Lock()
        self._counted, self._used = -COUNT_SECONDS, 0

    def check(self, more: int = 0) -> None:
        """Raise an InputError unless ``more`` bytes fit; uploads that nobody uses any more go first."""
        with self._lock:
            if time.monotonic() - self._counted >= COUNT_SECONDS or self._used + more > self.size:
                self._used, self._counted = _bytes_in(self.folder), time.monotonic()
            if self._used + more > self.size:
                self._used -= _remove_old(self.folder / "uploads")
            if self._used + more <= self.size:
                self._used += more
                return
        raise InputError(
            f"This server's folder for files of visitors is full ({self.size >> 20:,} MB). Try again later, "
            "or send fewer or smaller files."
        )


def _bytes_in(folder: Path) -> int:
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.lstat(os.path.join(base, name))  # noqa: PTH118  quick, for many files
            except OSError:
                continue
            total += found.st_size // max(1, found.st_nlink)  # sessions link to what was uploaded
    return total


def _remove_old(uploads: Path) -> int:
    """Remove uploads and results that are old enough; returns the bytes."""
    removed = 0
    for entry in uploads.glob("*"):
        try:
            if time.time() - entry.stat().st_mtime > YOUNG_SECONDS:
                removed += _bytes_in(entry) if entry.is_dir() else entry.stat().st_size
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        except OSError:
            continue
    return removed
