"""Files that could not be segmented, each with the reason, until a draft of it is stored."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ..text import escaped
from . import categories, pictures
from .database import now


def put(connection: sqlite3.Connection, folder: Path, label: str, path: Path, message: str) -> None:
    """Note why a file failed, in place of an earlier note.

    Args:
        connection: inside a transaction of the workspace.
        folder: the workspace.
        label: what was searched for.
        path: the file.
        message: why it failed, one sentence.
    """
    connection.execute(
        "INSERT OR REPLACE INTO failures (label_id, path, message, made) VALUES (?, ?, ?, ?)",
        (categories.number_or_add(connection, label), pictures.stored(folder, path), escaped(message), now()),
    )


def clear(connection: sqlite3.Connection, folder: Path, label_id: int, path: Path) -> None:
    """Drop the note of a file.

    Args:
        connection: inside a transaction of the workspace.
        folder: the workspace.
        label_id: number of the label.
        path: the file.
    """
    connection.execute(
        "DELETE FROM failures WHERE label_id=? AND path=?", (label_id, pictures.stored(folder, path))
    )


def list_failures(connection: sqlite3.Connection, folder: Path, label: str) -> list[tuple[Path, str]]:
    """Files and reasons, the earliest first."""
    rows = connection.execute(
        "SELECT path, message FROM failures WHERE label_id=? ORDER BY rowid",
        (categories.number(connection, label),),
    )
    return [(folder / os.fsdecode(path), message) for path, message in rows]
