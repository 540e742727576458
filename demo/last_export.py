"""What was exported last: the Export tab opens with it, also after a restart where the workspace is kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from . import kept

if TYPE_CHECKING:
    from .session import Session

FILE = "export.json"


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
    kept.keep(session, FILE, asdict(choice))


def read(session: Session) -> Choice | None:
    """The latest choice; None where there is none, or what the workspace keeps makes no sense."""
    if session.exported is not None or not session.outlived:
        return session.exported
    try:
        found = kept.read(session, FILE)
        states, formats = tuple(map(str, found["states"])), tuple(map(str, found["formats"]))
        return Choice(states, formats, str(found["objects"]), found["images"] is True)
    except (TypeError, KeyError):
        return None
