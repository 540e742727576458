"""Going through drafts: lists by doubt, decisions, repairs, undo, and teaching from what was checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lfss import morphology
from lfss.drafts import Draft, Status
from lfss.errors import InputError
from lfss.labels import find_label, label_key
from lfss.objects import count
from lfss.storage.listing import Order, Row

from . import example
from .classes import ClassItem
from .colours import colour_of
from .finding import found
from .layers import losses
from .session import MAX_SUPPORTS, Session, Step, SupportItem
from .uploads import Upload

Mask = npt.NDArray[np.bool_]

STATES: dict[str, Status | None] = {
    "All": None,
    "To do": "proposed",
    "Edited": "edited",
    "Accepted": "accepted",
    "Absent": "absent",
    "Rejected": "rejected",
}
STATUS_NAMES: dict[Status, str] = {
    "proposed": "draft",
    "edited": "edited",
    "accepted": "accepted",
    "rejected": "rejected",
    "absent": "object absent",
}
ORDERS: dict[str, Order] = {"Most doubtful first": "doubt", "Name": "name", "As added": "added"}
MAX_TRAIL = 500
MAX_TOLD = 30  # lines of what has been done
MAX_COUNTS = 5_000  # drafts whose objects are remembered as counted
SAME = 0.98  # IoU from which a mask that was made again counts as unchanged

REPAIRS: dict[str, Callable[[Mask, npt.NDArray[np.uint8], int], Mask]] = {
    "Grow": lambda mask, _pixels, radius: morphology.grow(mask, radius),
    "Shrink": lambda mask, _pixels, radius: morphology.shrink(mask, radius),
    "Fill holes": lambda mask, _pixels, _radius: morphology.fill_holes(mask),
    "Keep largest": lambda mask, _pixels, _radius: morphology.keep_largest(mask),
    "Remove specks": lambda mask, _pixels, _radius: morphology.remove_specks(mask),
    "Snap to edges": lambda mask, pixels, _radius: morphology.snap_to_edges(mask, pixels),
}


class View(NamedTuple):
    """Which drafts are listed, and in which order; ``find`` is what ``finding`` reads."""

    label: str | None
    state: str = "To do"
    order: str = "Most doubtful first"
    find: str = ""


def labels(session: Session) -> list[str]:
    """Labels that have drafts, or may get some."""
    return [category.name for category in session.workspace.labels()]


def listed(session: Session, view: View) -> list[Row]:
    """The drafts of a view, in order."""
    if view.label is None or find_label(view.label, labels(session)) is None:
        return []
    order = ORDERS.get(view.order, "doubt")
    return found(session.workspace.overview(view.label, STATES.get(view.state), order=order), view.find)


def neighbour(rows: Sequence[Row], digest: str | None, step: int) -> str | None:
    """The draft so many places after one; the first where that one is not listed, None in an empty list."""
    if not rows:
        return None
    places = {row.digest: i for i, row in enumerate(rows)}
    if digest not in places:
        return rows[0].digest
    return rows[min(max(places[digest] + step, 0), len(rows) - 1)].digest


def stay(session: Session, view: View) -> None:
    """Stay on the draft under review if the list still has it; else its first one comes."""
    if session.reviewed not in {row.digest for row in listed(session, view)}:
        session.reviewed = None


def draft_of(session: Session, view: View) -> Draft:
    """The draft under review.

    Raises:
        InputError: none is chosen.
    """
    found = None
    if view.label and session.reviewed and session.workspace.has_draft(session.reviewed, view.label):
        found = session.workspace.draft(session.reviewed, view.label)
    if found is None:
        raise InputError("Choose a draft first: click its picture.")
    return found


def decide(session: Session, view: View, status: Status) -> None:
    """Set the state of the draft under review and go on to the next one."""
    draft = draft_of(session, view)
    rows = listed(session, view)
    onward = neighbour(rows, draft.image_digest, 1)
    session.workspace.set_status(draft.image_digest, draft.label, status)
    changed(session, draft, STATUS_NAMES[status])
    session.reviewed = onward


def change(session: Session, view: View, mask: Mask) -> None:
    """Give the draft under review another mask, (H, W) bool."""
    redraw(session, draft_of(session, view), mask)


def tell(session: Session, what: str) -> None:
    """Add a line to the list of what has been done."""
    session.activity.append(f"{time.strftime('%H:%M')} {what}")
    del session.activity[:-MAX_TOLD]


def redraw(session: Session, draft: Draft, mask: Mask) -> None:
    """Give a draft another mask, (H, W) bool; nothing happens where it is the same."""
    if np.array_equal(draft.mask, mask):
        return
    session.workspace.edit_mask(draft.image_digest, draft.label, mask)
    changed(session, draft, "mask changed")


def repair(session: Session, view: View, name: str, radius: int) -> None:
    """Apply one of ``REPAIRS`` at full resolution.

    Args:
        session: of the visitor.
        view: the list that is shown.
        name: of the repair.
        radius: how far Grow and Shrink go, in pixels.
    """
    draft = draft_of(session, view)
    with session.picture(draft.image_digest).opened() as image:
        mask = REPAIRS[name](draft.mask, image.pixels, radius)
    change(session, view, mask)


def undo(session: Session, view: View, *, back: bool) -> bool:
    """Take back the latest change, or do again what was taken back; its draft comes under review.

    What changed many drafts is one step. Only steps that changed the view's own label count.

    Returns:
        Whether there was anything to do.
    """
    if view.label is None:
        return False
    here, there = (session.trail, session.undone) if back else (session.undone, session.trail)
    wanted = label_key(view.label)
    places = [i for i, pairs in enumerate(here) if any(label_key(label) == wanted for _, label in pairs)]
    pairs = here.pop(places[-1]) if places else ((session.reviewed or "", view.label),)
    move = session.workspace.undo if back else session.workspace.redo
    done = tuple(p for p in pairs if session.workspace.has_draft(*p) and move(*p) is not None)
    if not done:
        return False
    there.append(done)
    tell(session, f"{'undone' if back else 'done again'}: {_named(session, done)}")
    if len(done) == 1:
        session.reviewed = done[0][0]
    return True


def _named(session: Session, pairs: Sequence[tuple[str, str]]) -> str:
    if len(pairs) > 1:
        return f"{len(pairs)} drafts"
    return session.workspace.image(pairs[0][0]).name


def teach(session: Session, view: View) -> SupportItem:
    """Make the draft under review a support with its mask.

    Raises:
        InputError: it has not been checked, shows no object, or another label is typed.
    """
    draft = draft_of(session, view)
    if session.example:
        example.leave(session)
    if draft.status not in ("accepted", "edited"):
        raise InputError("Accept or correct this draft first: a support must be right.")
    if not draft.mask.any():
        raise InputError("The mask is empty, so there is nothing to learn from it.")
    item = class_of(session, draft.label)
    if item.class_file:
        raise InputError("A saved class cannot learn more. Add its supports as pictures, then teach.")
    places = [i for i, s in enumerate(item.supports) if s.picture.digest == draft.image_digest]
    if not places and len(item.supports) >= MAX_SUPPORTS:
        raise InputError(f"There are {MAX_SUPPORTS} supports already. Remove one first.")
    if not places:
        item.supports.append(SupportItem(session.picture(draft.image_digest)))
        places = [len(item.supports) - 1]
    session.mark(places[0], draft.mask.astype(np.int8), "taught", item)
    return item.supports[places[0]]


def class_of(session: Session, label: str) -> ClassItem:
    """The class whose drafts go under a label.

    Raises:
        InputError: none of the labels in use is this one.
    """
    item = session.classes.named(label)
    if item is None:
        used = ", ".join(f"'{c.name}'" for c in session.classes if c.name) or "none"
        raise InputError(f"The label in use is {used}. Type '{label}' on the Segment tab.")
    return item


def unchecked(session: Session, label: str) -> list[Upload]:
    """The pictures whose drafts nobody has checked yet, to be segmented again."""
    if find_label(label, labels(session)) is None:
        return []
    rows = session.workspace.overview(label, "proposed")
    return [Upload(session.picture(row.digest).path, row.name) for row in rows]


def version_of(row: Row) -> str:
    """Changes whenever a draft does."""
    return f"{row.label} {row.status} {row.made} {row.threshold}"


def objects_in(session: Session, row: Row) -> int:
    """How many objects a draft shows; counted once for each version of it."""
    key = f"{row.digest} {version_of(row)}"
    if key not in session.object_counts:
        draft = session.workspace.draft(row.digest, row.label)
        session.object_counts[key] = 0 if draft is None or draft.empty else count(draft)
        while len(session.object_counts) > MAX_COUNTS:
            session.object_counts.pop(next(iter(session.object_counts)))
    return session.object_counts[key]


def objects_text(number: int) -> str:
    """``3 objects.``"""
    return f"{number} object{'' if number == 1 else 's'}."


def thumbnail(session: Session, row: Row, colour: str = "") -> Path:
    """The picture with its draft, small, in the colour of its label unless another one is given."""
    colour = colour or colour_of(session, row.label)
    version = f"{version_of(row)} {colour}"
    path = session.thumbnail_path(row.digest, version)
    if path.exists():
        return path
    draft = session.workspace.draft(row.digest, row.label)
    assert draft is not None
    return session.thumbnail(row.digest, draft.mask, version, colour=colour)


def caption(row: Row, objects: int = 1) -> str:
    """``doubt 0.31 · draft · 3 objects · lost 12 % to cat · name``; one object is not told."""
    doubt = "no score" if row.doubt is None else f"doubt {row.doubt:.2f}"
    several = f"{objects} objects" if objects > 1 else ""
    parts = [doubt, STATUS_NAMES[row.status], several, losses(row.lost), row.name]
    return " · ".join(part for part in parts if part)


def changed(session: Session, draft: Draft, what: str) -> None:
    """Note that a person changed a draft, and how, so that it can be undone from the tab."""
    note(session, [(draft.image_digest, draft.label)], f"{draft.image_name}: {what}")


def note(session: Session, pairs: Sequence[tuple[str, str]], what: str, *, below: Step | None = None) -> None:
    """Make changes of drafts, given by digest and label, one step of undo; ``what`` names it for people.

    Args:
        session: of the visitor.
        pairs: the drafts.
        what: for people.
        below: of what happened in the background: put the step under this one of the person's own, which
            ``z`` takes back first, unless a later step changed one of these drafts.
    """
    if not pairs:
        return
    tell(session, what)
    step = tuple(pairs)
    place = next((i for i, other in enumerate(session.trail) if other is below), len(session.trail))
    apart = not any(set(later) & set(step) for later in session.trail[place:])
    session.trail.insert(place if apart else len(session.trail), step)
    del session.trail[:-MAX_TRAIL]
    if below is None:
        session.undone.clear()


def drafts_of(count: int) -> str:
    """``1 draft``, ``2 drafts``."""
    return "1 draft" if count == 1 else f"{count} drafts"
