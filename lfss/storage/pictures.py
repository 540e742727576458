"""The pictures of a workspace: what they are, where they lie, and whether they still do.

A picture is its pixels (the digest); a file is only a place where they were seen. The same pixels
may lie in several files, and a file may hold other pixels tomorrow. Size and time of a file tell
whether it must be read again. A path inside the workspace is kept relative to it, so that the folder
may be moved as a whole.

The functions work inside a transaction that the caller holds.
"""

from __future__ import annotations

import hashlib
import io
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import PIL.Image

from ..atomic import sweep, write_atomic
from ..errors import InputError, LfssError, WorkspaceError
from ..images import Image, read_image
from .database import now

KEPT = "pictures"  # the folder of copies

# The file in which the picture of a row ``i`` of images was seen last.
LATEST_PATH = "(SELECT path FROM files f WHERE f.image_id = i.id ORDER BY f.rowid DESC LIMIT 1)"


class Stamp(NamedTuple):
    """What a file looked like when it was read: bytes, and time of change in nanoseconds."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Picture:
    """A picture that a workspace knows.

    Attributes:
        digest: sha256 of shape and pixels.
        name: original file name; may repeat between folders.
        size: (H, W) in pixels, upright.
        path: the file in which it was seen last, whether or not it is still there.
    """

    digest: str
    name: str
    size: tuple[int, int]
    path: Path | None


def stamp_of(path: Path) -> Stamp | None:
    """Size and time of a file; None if there is no such file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return Stamp(found.st_size, found.st_mtime_ns)


def absolute(path: Path) -> Path:
    """The path from the root, without dots; links stay links, so that names stay as people know them."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def stored(folder: Path, path: Path) -> bytes:
    """A path as it is kept: bytes, since file names need not be text."""
    path = absolute(path)
    return os.fsencode(path.relative_to(folder) if path.is_relative_to(folder) else path)


def located(folder: Path, kept: bytes | None) -> Path | None:
    """The path that ``stored`` was given."""
    return None if kept is None else folder / os.fsdecode(kept)


def add(connection: sqlite3.Connection, *, digest: str, name: str, size: tuple[int, int]) -> int:
    """The number of a picture, which is added if it is new.

    Args:
        connection: inside a transaction of the workspace.
        digest: of its pixels.
        name: for people.
        size: (H, W) in pixels.

    Raises:
        InputError: the picture is known with another size.
    """
    row = connection.execute("SELECT id, height, width FROM images WHERE digest=?", (digest,)).fetchone()
    if row is None:
        return connection.execute(
            "INSERT INTO images (digest, name, height, width, added) VALUES (?, ?, ?, ?, ?) RETURNING id",
            (digest, _text(name), *size, now()),
        ).fetchone()[0]
    if (row[1], row[2]) != size:
        raise InputError(
            f"The mask for '{name}' is {size[0]} x {size[1]}, its picture is {row[1]} x {row[2]} "
            "(rows x columns). Give the mask at the picture's own size."
        )
    return row[0]


def number(connection: sqlite3.Connection, digest: str) -> int:
    """The number of a known picture; raises WorkspaceError for others."""
    row = connection.execute("SELECT id FROM images WHERE digest=?", (digest,)).fetchone()
    if row is None:
        raise WorkspaceError(f"The workspace holds no picture {digest[:12]}. Add the picture first.")
    return row[0]


def get(connection: sqlite3.Connection, folder: Path, digest: str) -> Picture:
    """A known picture; raises WorkspaceError for others."""
    return next(page(connection, folder, after=number(connection, digest) - 1, count=1))[1]


def page(
    connection: sqlite3.Connection, folder: Path, *, after: int, count: int
) -> Iterator[tuple[int, Picture]]:
    """Pictures and their numbers, in order, from the first number beyond ``after``.

    Args:
        connection: inside a transaction of the workspace.
        folder: the workspace.
        after: the number of the last picture of the page before; 0 for the first.
        count: how many at most.
    """
    rows = connection.execute(
        f"SELECT i.id, i.digest, i.name, i.height, i.width, {LATEST_PATH} FROM images i"
        " WHERE i.id > ? ORDER BY i.id LIMIT ?",
        (after, count),
    )
    for image_id, digest, name, height, width, path in rows:
        yield image_id, Picture(digest, name, (height, width), located(folder, path))


def note_file(connection: sqlite3.Connection, folder: Path, image_id: int, path: Path, stamp: Stamp) -> None:
    """Note that a picture lies in a file, as the latest of its files.

    Args:
        connection: inside a transaction of the workspace.
        folder: the workspace.
        image_id: number of the picture.
        path: the file.
        stamp: what it looks like now.
    """
    connection.execute(
        "INSERT OR REPLACE INTO files (path, image_id, size, mtime_ns) VALUES (?, ?, ?, ?)",
        (stored(folder, path), image_id, *stamp),
    )


def find_by_file(connection: sqlite3.Connection, folder: Path, path: Path) -> int | None:
    """The number of the picture that a file holds, as far as its size and time tell."""
    stamp = stamp_of(path)
    if stamp is None:
        return None
    row = connection.execute(
        "SELECT image_id FROM files WHERE path=? AND size=? AND mtime_ns=? ORDER BY rowid DESC",
        (stored(folder, path), *stamp),
    ).fetchone()
    return None if row is None else row[0]


def files_of(connection: sqlite3.Connection, folder: Path, digest: str) -> list[tuple[Path, Stamp]]:
    """All files in which a picture was seen, the latest first."""
    rows = connection.execute(
        "SELECT path, size, mtime_ns FROM files WHERE image_id=? ORDER BY rowid DESC",
        (number(connection, digest),),
    )
    return [(folder / os.fsdecode(path), Stamp(size, mtime)) for path, size, mtime in rows]


def locate(digest: str, name: str, files: list[tuple[Path, Stamp]]) -> tuple[Path, Stamp | None]:
    """A file that holds the picture today, and its new stamp where that has changed.

    Raises:
        WorkspaceError: it has been moved, or the file holds another picture now.
    """
    if not files:
        raise WorkspaceError(
            f"The picture '{name}' came without a file. Add it again from the file it lies in; "
            "its drafts are kept."
        )
    for path, stamp in files:
        now = stamp_of(path)
        if now == stamp:
            return path, None
        if now is not None and _digest(path) == digest:
            return path, now
    path = files[0][0]
    if path.exists():
        raise WorkspaceError(
            f"The file '{path}' has changed since '{name}' was added. Put the earlier picture back, or "
            "add the new one as a picture of its own; the drafts of the earlier one are kept."
        )
    raise WorkspaceError(
        f"The picture '{name}' is no longer at '{path}'. Put it back, or add it again from where it "
        "lies now; its drafts are kept."
    )


def keep(folder: Path, image: Image) -> Path:
    """Keep a copy of a picture in the workspace, whole or not at all, and say where.

    The copy is the file that it was read from; where that is gone, or holds another picture by now, a PNG
    of the upright pixels. Either has the digest of the picture.

    Raises:
        WorkspaceError: the disk is full, or the folder cannot be written.
    """
    if image.path and image.path.is_file():
        name = f"{image.digest}{image.path.suffix.lower()}"
        copy = _write(folder / KEPT / name, image.path.read_bytes(), of=image.name)
        if _digest(copy) == image.digest:
            return copy
        copy.unlink()
    buffer = io.BytesIO()
    PIL.Image.fromarray(image.pixels).save(buffer, "PNG", compress_level=1)
    return _write(folder / KEPT / f"{image.digest}.png", buffer.getvalue(), of=image.name)


def keep_copy(file: Path, folder: Path) -> str:
    """Keep a copy of a file in a folder, under a name made from its content; returns that name.

    Raises:
        WorkspaceError: the file cannot be read, or the copy cannot be written.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise WorkspaceError(f"'{file}' cannot be read ({error.strerror}). Check its path.") from error
    name = f"{hashlib.sha256(data).hexdigest()}{file.suffix.lower()}"
    if not (folder / name).exists():
        _write(folder / name, data, of=file.name)
    return name


def _write(target: Path, data: bytes, *, of: str) -> Path:
    """Write a copy, whole or not at all."""
    try:
        target.parent.mkdir(exist_ok=True)
        sweep(target.parent)
        write_atomic(target, data)
    except OSError as error:
        raise WorkspaceError(
            f"A copy of '{of}' cannot be kept in '{target.parent}' ({error.strerror}). Free some space or "
            "allow writing there, then try again."
        ) from error
    return target


def _text(name: str) -> str:
    """A file name as text that can be stored and shown."""
    return name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _digest(path: Path) -> str | None:
    try:
        return read_image(path).digest
    except (LfssError, OSError):
        return None
