"""Where a person left off in a workspace: the tab, the list of drafts and the one under review."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lfss.atomic import write_atomic

if TYPE_CHECKING:
    from .session import Session

FILE = "place.json"
MAX_BYTES = 10_000
TABS = ("segment", "review")


@dataclass(frozen=True)
class Place:
    """A place on the page.

    Attributes:
        tab: one of ``TABS``.
        label, state, order: of the list on the Review tab, as its menus show them; empty as it begins.
        reviewed: digest of the draft under review; empty for none.
    """

    tab: str = "segment"
    label: str = ""
    state: str = ""
    order: str = ""
    reviewed: str = ""


def keep(session: Session, place: Place) -> None:
    """Note a place; a workspace that outlives the session keeps it too, unless it is read only."""
    if place == session.place:
        return
    session.place = place
    if session.outlived:
        with suppress(OSError):
            write_atomic(_file(session), json.dumps(asdict(place)).encode(), sync=False)


def read(session: Session) -> Place:
    """The place that the workspace keeps; the beginning where there is none or it makes no sense."""
    try:
        if _file(session).stat().st_size > MAX_BYTES:
            return Place()
        found = json.loads(_file(session).read_bytes())
        place = Place(**found)
    except (OSError, ValueError, TypeError, RecursionError):
        return Place()
    sensible = place.tab in TABS and all(isinstance(value, str) for value in asdict(place).values())
    return place if sensible else Place()


def _file(session: Session) -> Path:
    return session.workspace.folder / FILE
