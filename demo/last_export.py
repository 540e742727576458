"""What was exported last: the Export tab opens with it, also after a restart where the workspace is kept."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lfss.atomic import write_atomic

if TYPE_CHECKING:
    from .session import Session

FILE = "export.json"
MAX_BYTES = 10_000


@dataclass(frozen=True)
class Choice:
    """What is ticked on the Export tab, as its menus show it.

    Attributes:
        states, formats: of what is exported.
        objects: what gets a shape of its own.
        images: whether the pictures go in too.
    """

    states: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    objects: str = ""
    images: bool = False


def keep(session: Session, choice: Choice) -> None:
    """Note a choice; nothing is written to a workspace that is read only."""
    session.exported = choice
    if session.outlived:
        with suppress(OSError):
            write_atomic(_file(session), json.dumps(asdict(choice)).encode(), sync=False)


def read(session: Session) -> Choice | None:
    """The latest choice; None where there is none, or what the workspace keeps makes no sense."""
    if session.exported is not None or not session.outlived:
        return session.exported
    try:
        if _file(session).stat().st_size > MAX_BYTES:
            return None
        found = json.loads(_file(session).read_bytes())
        states, formats = tuple(map(str, found["states"])), tuple(map(str, found["formats"]))
        return Choice(states, formats, str(found["objects"]), found["images"] is True)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _file(session: Session) -> Path:
    return session.workspace.folder / FILE
