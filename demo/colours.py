"""The colour of a label, wherever the page shows its masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lfss.labels import label_key
from lfss.palette import LABEL_COLOURS, free_colour

if TYPE_CHECKING:
    from .session import Session


def colour_of(session: Session, label: str) -> str:
    """The colour of a label as the workspace has it; before it has drafts, the one it is going to get."""
    known = {label_key(c.name): c.colour for c in session.workspace.labels()}
    colour = known.get(label_key(label))
    for item in session.classes:
        if colour is not None or not item.name:
            break
        if label_key(item.name) not in known:
            known[label_key(item.name)] = free_colour(known.values())
        colour = known.get(label_key(label))
    return colour or LABEL_COLOURS[0]
