"""What a picture holds: a layer for each label that has a draft of it, as the canvas shows and names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lfss.drafts import Draft
from lfss.labels import label_key
from lfss.objects import count

from . import views
from .session import Session

TOLD_LOSS = 0.05  # the share of its own pixels from which a label's loss to another one is told


@dataclass(frozen=True)
class Layer:
    """A label on one picture.

    Attributes:
        label: its name.
        colour: ``#rrggbb``.
        note: how many objects, how sure the model is, and what it lost to whom; for people.
        state: of its draft, for people.
        mask: data address of its mask at the size that is shown; empty for the one that is drawn on.
        drawn: it is the one that is drawn on.
    """

    label: str
    colour: str
    note: str
    state: str
    mask: str = ""
    drawn: bool = False


def layers(session: Session, draft: Draft) -> tuple[Layer, ...]:
    """Every label that has a draft of a picture, in the workspace's order, as large as it is shown."""
    from .canvas import encode_mask
    from .review import STATUS_NAMES

    size = session.shown(draft.image_digest).pixels.shape[:2]
    found = []
    for category in session.workspace.labels():
        drawn = label_key(category.name) == label_key(draft.label)
        other = draft if drawn else session.workspace.draft(draft.image_digest, category.name)
        if other is None:
            continue
        mask = ""
        if not drawn and not other.empty:
            mask = encode_mask(views.resized(other.mask, size).astype(np.int8))
        found.append(
            Layer(category.name, category.colour, note(other), STATUS_NAMES[other.status], mask, drawn)
        )
    return tuple(found)


def note(draft: Draft) -> str:
    """``2 objects · 98 % sure · lost 12 % to cat``."""
    sure = "" if draft.presence is None else f"{draft.presence:.0%} sure"
    parts = [objects(draft), sure, losses(draft.lost)]
    return " · ".join(part for part in parts if part)


def objects(draft: Draft) -> str:
    """``2 objects``."""
    number = 0 if draft.empty else count(draft)
    return f"{number} object{'' if number == 1 else 's'}"


def losses(lost: Mapping[str, float]) -> str:
    """``lost 12 % to cat``: to whom a label lost pixels that it claimed too; empty where that is little."""
    told = [
        f"{share:.0%} to {name}"
        for name, share in sorted(lost.items(), key=lambda pair: -pair[1])
        if share >= TOLD_LOSS
    ]
    return f"lost {', '.join(told)}" if told else ""
