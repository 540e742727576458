"""Where a person left off in a workspace: the tab, the list of drafts and the one under review."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from . import kept

if TYPE_CHECKING:
    from .session import Session

FILE = "place.json"
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
    kept.keep(session, FILE, asdict(place))


def read(session: Session) -> Place:
    """The place that the workspace keeps; the beginning where there is none or it makes no sense."""
    try:
        place = Place(**kept.read(session, FILE))
    except TypeError:
        return Place()
    sensible = place.tab in TABS and all(isinstance(value, str) for value in asdict(place).values())
    return place if sensible else Place()
