"""The one door for files that others chose: ordinary files only, and never more of them than was said.

A pipe can be read once and may never end, a device never ends, and a link may lead to itself. What is
read here is an ordinary file of a known size, except where a caller asks for a stream.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import IO

from .errors import InputError

_CHUNK = 1 << 20


def opened(path: str | os.PathLike[str], *, error_class: type[InputError] = InputError) -> IO[bytes]:
    """An ordinary file, open for reading.

    Raises:
        InputError: there is none, it is a folder, a pipe or a device, or it cannot be opened; as the
            error ``refuse``.
    """
    path = Path(path)
    try:
        # Without waiting: opening a pipe would otherwise last until somebody writes into it.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise error_class(why_not(path, error)) from error
    kind = os.fstat(handle).st_mode
    if stat.S_ISREG(kind):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(kind):
        raise error_class(f"'{path}' is a folder. Name a file in it.")
    raise error_class(f"'{path}' is not an ordinary file but a pipe or a device. Save it as a file first.")


def why_not(path: Path, error: OSError | ValueError) -> str:
    """Why a file cannot be opened, and what to do, in a sentence or two."""
    if not isinstance(error, OSError):  # NUL, or half a character
        return f"'{path}' is not the name of a file. Check the path."
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"There is no file '{path}'. Check the path."
    if error.errno == errno.ELOOP:
        return f"'{path}' is a link that leads to itself. Name the file that it should lead to."
    if error.errno == errno.ENAMETOOLONG:
        return f"The name '{path.name[:40]}...' is longer than the file system allows. Check the path."
    return f"'{path}' cannot be opened ({error.strerror or error}). Check its permissions."


def read_bytes(
    path: str | os.PathLike[str], *, most: int, error_class: type[InputError] = InputError
) -> bytes:
    """All bytes of an ordinary file.

    Args:
        path: the file.
        most: bytes that it may have; a larger one is refused before it is read.
        error_class: the error to raise.

    Raises:
        InputError: as ``opened``, or it is larger; as ``error_class``.
    """
    with opened(path, error_class=error_class) as file:
        if (size := os.fstat(file.fileno()).st_size) > most:
            raise error_class(
                f"'{path}' has {size >> 20:,} MB; at most {most >> 20:,} MB are read. Split it."
            )
        try:
            data = file.read(most + 1)  # a file may grow while it is read
        except OSError as error:
            raise error_class(why_not(Path(path), error)) from error
    if len(data) > most:
        raise error_class(f"'{path}' grows while it is read. Wait until it is written.")
    return data


def copied(
    path: str | os.PathLike[str], *, most: int, error_class: type[InputError] = InputError
) -> IO[bytes]:
    """A private copy of a file or of what a pipe delivers, to be read as often as needed.

    It lies in the temporary folder and goes when it is closed.

    Raises:
        InputError: it cannot be read, is a folder, or has more than ``most`` bytes; as ``error_class``.
    """
    copy = tempfile.TemporaryFile()  # noqa: SIM115  for the caller to close
    try:
        with Path(path).open("rb") as source:
            while chunk := source.read(_CHUNK):
                if copy.tell() + len(chunk) > most:
                    raise error_class(f"'{path}' has more than {most >> 20:,} MB. Split it.")
                copy.write(chunk)
    except IsADirectoryError as error:
        copy.close()
        raise error_class(f"'{path}' is a folder. Name a file in it.") from error
    except InputError:
        copy.close()
        raise
    except (OSError, ValueError) as error:
        copy.close()
        raise error_class(why_not(Path(path), error)) from error
    copy.seek(0)
    return copy


def exists(path: Path) -> bool:
    """Whether there is something of that name; False for names that no file can have."""
    return os.path.exists(path)  # noqa: PTH110  Path.exists raises for long names and forbidden folders


def is_folder(path: Path) -> bool:
    """Whether it is a folder; False for names that no folder can have."""
    return os.path.isdir(path)  # noqa: PTH112  as above


def resolved(path: Path) -> Path:
    """Where a path leads in the end; links that lead to themselves are left as they are."""
    try:
        return Path(os.path.realpath(path))  # Path.resolve raises where links go in a circle
    except (OSError, ValueError):
        return Path(os.path.abspath(path))  # noqa: PTH100


def make_private(folder: Path) -> Path:
    """A folder that only its owner may look into; made if it is not there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def free_bytes(folder: Path) -> int:
    """How much can still be written there."""
    return shutil.disk_usage(folder).free
