"""Lists of pictures: a text file, or a pipe, with one path in each line.

What people have is read as it is: UTF-8, or UTF-16 as PowerShell writes it; with or without a byte order
mark; lines that end in the way of any system; paths in quotes, as "Copy as path" gives them; spaces around
a path and back slashes between its folders, where only without them there is such a file. Empty lines
are left out, and so are comments: lines that begin with ``#``, unless there is a file of that name.
Relative paths count from the current folder. Names of files need not be text: in a list in UTF-8, bytes
that are not become what Python's own functions for files take.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

from .errors import InputError
from .files import copied
from .text import encoding_of

MAX_BYTES = 1 << 28  # about two million paths
MAX_LINE = 32_768  # characters; the longest path that any system takes
_HEAD = 4096


class PathList:
    """A list that was read once and can be gone through as often as needed, a line at a time.

    Args:
        file: the list; a pipe is read to its end.

    Raises:
        InputError: it cannot be read, is no text, or names no picture.
    """

    def __init__(self, file: str | os.PathLike[str]):
        self._copy, self._name = copied(file, most=MAX_BYTES), str(file)
        head = self._copy.read(_HEAD)
        self._encoding = encoding_of(head)
        if self._encoding == "utf-8" and b"\0" in head and not _is_utf8(head):
            raise InputError(f"The list '{file}' is not text. Write one path on each line, in UTF-8.")
        self._count = sum(1 for _ in self)
        if not self._count:
            raise InputError(f"The list '{file}' names no picture. Write one path on each line.")

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Path]:
        self._copy.seek(0)
        # What is no UTF-8 is a name in another encoding; what is no UTF-16 is damage.
        errors = "surrogateescape" if self._encoding.startswith("utf-8") else "replace"
        lines = io.TextIOWrapper(self._copy, encoding=self._encoding, errors=errors)  # type: ignore[type-var]
        try:
            while line := lines.readline(MAX_LINE + 1):
                if len(line) > MAX_LINE:
                    raise InputError(
                        f"The list '{self._name}' has a line of more than {MAX_LINE:,} characters. "
                        "Write one path on each line."
                    )
                if (path := _path(line)) is not None:
                    yield path
        finally:
            lines.detach()  # the copy stays open


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # a character that the end of the head cuts
    return True


def _path(line: str) -> Path | None:
    line = line.rstrip("\r\n")
    bare = line.strip()
    if not bare or (bare.startswith("#") and not _exists(line)):
        return None
    if len(bare) > 2 and bare[0] == bare[-1] and bare[0] in "\"'" and not _exists(line):
        line = bare = bare[1:-1]
    others = dict.fromkeys((bare, bare.replace("\\", "/")))
    if list(others) == [line] or _exists(line):  # the usual case asks the disk nothing
        return Path(line)
    return Path(next(filter(_exists, others), line))


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False
