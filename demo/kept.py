"""Small facts about the page that a workspace keeps in files of JSON, such as where a person left off."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lfss.atomic import write_atomic

if TYPE_CHECKING:
    from .session import Session

MAX_BYTES = 10_000


def keep(session: Session, name: str, facts: Any) -> None:
    """Write facts to a file of the workspace, where it outlives the session and is not read only."""
    if session.outlived:
        with suppress(OSError):
            write_atomic(session.workspace.folder / name, json.dumps(facts).encode(), sync=False)


def read(session: Session, name: str, *, most: int = MAX_BYTES) -> Any:
    """The facts of a file; None where there is none, it is no JSON, or longer than ``most`` bytes."""
    path = session.workspace.folder / name
    try:
        return None if path.stat().st_size > most else json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
