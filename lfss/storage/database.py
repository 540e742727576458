"""The SQLite file of a workspace: safe transactions and clear sentences.

Why these settings:

- Write-ahead log, ``synchronous=FULL``: a transaction that returned is on the disk, whatever
  happens next. A killed process loses nothing that was acknowledged; nor does a power cut, as far as
  the disk keeps its word about what it has written. ``NORMAL`` would survive the first only. The
  price is one flush per transaction, a few milliseconds beside a second of model.
- Every write begins ``IMMEDIATE``: two programs wait for each other at the start of a transaction,
  where waiting is safe, and never meet half-way.
- A write-ahead log needs memory shared between the programs that use it. It does not work on network
  folders: keep a workspace on a disk of the machine that uses it.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from ..errors import WorkspaceError
from ..files import why_not
from .schema import MIGRATIONS, VERSION

APPLICATION_ID = 0x4C465353  # "LFSS" in the file's header: tells a workspace from any other database
BUSY_SECONDS = 20.0


def now() -> str:
    """The time in UTC, to the millisecond, as text that sorts."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Database:
    """A SQLite file with transactions that any thread may use.

    Connections wait in a pool and are lent for one transaction, so no two threads share one. They
    are closed before a process forks: SQLite's locks do not survive that.

    Args:
        path: the file; made when ``create`` is set and it is not there.
        create: whether a new file is welcome.
        busy_seconds: how long a transaction waits for another program.

    Raises:
        WorkspaceError: not there, not writable, locked, damaged, newer, or another program's file.
    """

    def __init__(self, path: Path, *, create: bool, busy_seconds: float = BUSY_SECONDS):
        self.path, self.busy_seconds = path, busy_seconds
        self._idle: list[sqlite3.Connection] = []  # append and pop are atomic: no lock needed
        self._closed = False
        _check_place(path, create=create)
        self.read_only = not create and not _may_write(path)
        with self._sentences():
            connection = self._connect()
            try:
                _prepare(connection, path, busy_seconds, read_only=self.read_only)
            except BaseException:
                connection.close()
                raise
        self._idle.append(connection)
        _OPEN.add(self)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one moment of the database, whatever others write meanwhile."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes reach the disk together on leaving, or not at all."""
        if self.read_only:
            raise WorkspaceError(
                f"The workspace '{self.path.parent}' can be read only, so nothing was changed. Allow writing "
                "there, or copy it to a folder of your own."
            )
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    def close(self) -> None:
        """Close the file; the last program to do so folds the log into it."""
        self._closed = True
        self.close_idle()

    def close_idle(self) -> None:
        """Close the connections that wait in the pool; the next transaction opens a new one."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._sentences():
            connection = self._borrow()
            try:
                connection.execute(begin)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.close()  # rolls back; one that met trouble is not trusted again
                raise
            self._give_back(connection)

    def _borrow(self) -> sqlite3.Connection:
        if self._closed:
            raise WorkspaceError(f"The workspace '{self.path.parent}' has been closed. Open it again.")
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        self._idle.append(connection)
        if self._closed:
            self.close_idle()

    def _connect(self) -> sqlite3.Connection:
        where, uri = (_read_only_address(self.path), True) if self.read_only else (str(self.path), False)
        connection = sqlite3.connect(
            where, timeout=self.busy_seconds, isolation_level=None, check_same_thread=False, uri=uri
        )
        for pragma in ("foreign_keys=ON", "synchronous=FULL", "trusted_schema=OFF", "cell_size_check=ON"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise  # a mistake in this program, not in the file
        except sqlite3.Error as error:
            raise WorkspaceError(_sentence(error, self.path, self.busy_seconds)) from error


_OPEN: weakref.WeakSet[Database] = weakref.WeakSet()


def _close_all_idle() -> None:
    for database in list(_OPEN):
        database.close_idle()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_close_all_idle)


def _check_place(path: Path, *, create: bool) -> None:
    """Refuse what is no file of a workspace before SQLite touches it."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        if not create:
            raise WorkspaceError(
                f"There is no workspace in '{path.parent}'. Check the folder's name."
            ) from error
        return
    except (OSError, ValueError) as error:
        raise WorkspaceError(why_not(path, error)) from error
    if not stat.S_ISREG(found.st_mode):
        raise WorkspaceError(f"'{path}' is not an ordinary file, so not a workspace. Choose another folder.")
    if not create and found.st_size == 0:
        raise WorkspaceError(
            f"The file '{path}' is empty (0 bytes), so it is not a workspace any more. Put a copy of it from "
            "before in its place."
        )


def _may_write(path: Path) -> bool:
    """Whether SQLite can write: it needs the file, and the folder for its log."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _read_only_address(path: Path) -> str:
    """How SQLite opens a file that cannot be written.

    Without a log it is told that nobody changes the file, or it would want to make one. With a log it must
    read that too, which works where the log's memory is there already.
    """
    log = path.with_name(f"{path.name}-wal")
    unchanged = "" if log.exists() and log.stat().st_size else "&immutable=1"
    return f"file:{quote(str(path))}?mode=ro{unchanged}"


def _prepare(connection: sqlite3.Connection, path: Path, busy_seconds: float, *, read_only: bool) -> None:
    """Check whose file this is, and bring it to this program's version in one transaction."""
    version = _version(connection, path)
    if read_only:
        if version != VERSION:
            raise WorkspaceError(
                f"The workspace '{path.parent}' is of an earlier version of this program and can be read "
                "only, so it cannot be brought up to date. Copy it to a folder of your own."
            )
        return
    _use_log(connection, busy_seconds)
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    version = _version(connection, path)  # another program may have been faster
    for script in MIGRATIONS[version:]:
        for step in script:
            if isinstance(step, str):
                connection.execute(step)
            else:
                step(connection)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the file, 0 for a new one; refuses what this program must not touch."""
    mark, version, tables = connection.execute(
        "SELECT (SELECT application_id FROM pragma_application_id),"
        " (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)"
    ).fetchone()
    if mark != APPLICATION_ID and (mark, version, tables) != (0, 0, 0):
        raise WorkspaceError(
            f"'{path}' is a database of another program, not a workspace. Choose another folder."
        )
    if version > VERSION:
        raise WorkspaceError(
            f"The workspace '{path.parent}' was written by a newer version of this program "
            f"(format {version}; this one knows up to {VERSION}). Update the program; "
            "the workspace is unchanged."
        )
    return version


def _use_log(connection: sqlite3.Connection, busy_seconds: float) -> None:
    """Switch to the write-ahead log. SQLite does not wait by itself here, so this does."""
    give_up = time.monotonic() + busy_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.02)


def _sentence(error: sqlite3.Error, path: Path, busy_seconds: float) -> str:
    """What an error of SQLite means for the person whose workspace it is."""
    folder = path.parent
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return (
                f"The workspace '{folder}' has been locked by another program for more than "
                f"{busy_seconds:g} seconds. Close that program and try again; what was saved is kept."
            )
        case sqlite3.SQLITE_FULL:
            return (
                f"The disk that holds the workspace '{folder}' is full. Free some space and try "
                "again; what was saved is kept."
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return (
                f"The workspace '{folder}' cannot be written: the folder is missing or read-only. "
                "Allow writing there, or copy it to a folder of your own."
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return (
                f"The file '{path}' is damaged or is not a workspace. It has not been changed; "
                "put a copy of it from before in its place, or choose another folder."
            )
        case sqlite3.SQLITE_IOERR:
            return (
                f"The disk that holds the workspace '{folder}' reports an error ({error}). Check the disk "
                "and try again; keep workspaces on a disk of this machine, not in a network folder."
            )
    return f"The workspace '{folder}' cannot be used ({error}). Put a copy of it from before in its place."
