"""What is drawn on a canvas: drafts that are corrected in Review, supports that are marked on Segment."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lfss.drafts import Draft
from lfss.errors import InputError

from . import review, views
from .canvas import Saved, Task, encode_mask, merge, task_value, version_of
from .colours import colour_of
from .layers import layers, note
from .session import Session
from .sessions import Sessions

DRAFT, SUPPORT = "draft", "support"
MARK_HINT = "Drag a box around the object, or paint some of it. Orange (c) is not the object."


def draft_task(session: Session, key: str, draft: Draft) -> dict[str, Any] | None:
    """The value of a canvas on which a draft is corrected.

    Args:
        session: of the visitor.
        key: of the session.
        draft: at its picture's own size.
    """
    pixels = session.shown(draft.image_digest).pixels
    small = views.resized(draft.mask, pixels.shape[:2]).astype(np.int8)
    name = f"{DRAFT}:{draft.image_digest}:{draft.label}"
    task = Task(
        key, name, version_of(name, small), views.data_url(pixels), pixels.shape[1], pixels.shape[0],
        colour_of(session, draft.label), mask=encode_mask(small), asks=True,
        hint="Drawn strokes are saved as you go.", layers=tuple(map(asdict, layers(session, draft))),
    )  # fmt: skip
    return task_value(task)


def recolour(sessions: Sessions, key: str, label: str, colour: str) -> str:
    """Give a label of a session's workspace another colour; returns it.

    Raises:
        InputError: it is no colour.
        WorkspaceError: another label has it.
    """
    session = sessions.get(key)
    with session.turn:
        session.workspace.recolour_label(label, colour)
    return colour_of(session, label)


def support_task(session: Session, key: str, index: int) -> dict[str, Any] | None:
    """The value of a canvas on which a support of the chosen class is marked.

    Args:
        session: of the visitor.
        key: of the session.
        index: which support, from 0.
    """
    item = session.supports[session.check_index(index)]
    pixels = views.shrunk(session.shown(item.picture.digest).pixels)
    known = item.marks()
    small = np.full(pixels.shape[:2], -1, np.int8) if known is None else _resized(known, pixels.shape[:2])
    name = f"{SUPPORT}:{item.picture.digest}:{session.classes.chosen.number}"
    task = Task(
        key, name, version_of(name, small), views.data_url(pixels), pixels.shape[1], pixels.shape[0],
        views.OBJECT_BRUSH, mask=encode_mask(small), marks=True, hint=MARK_HINT,
    )  # fmt: skip
    return task_value(task)


def keep_drawing(sessions: Sessions, key: str, name: str, drawn: npt.NDArray[np.int8]) -> Saved:
    """Keep what a canvas sent, wherever its task came from.

    Args:
        sessions: of all visitors.
        key: of the session.
        name: the task's key.
        drawn: (h, w) int8 at the shown size: 1 object, 0 not the object, -1 nothing said.

    Raises:
        InputError: the draft or the support is gone.
    """
    kind, _, rest = name.partition(":")
    digest, _, of = rest.partition(":")
    session = sessions.get(key)
    with session.turn:
        if kind == DRAFT and session.workspace.has_draft(digest, of):
            draft = session.workspace.draft(digest, of)
            assert draft is not None
            mask = merge(draft.mask, drawn)
            review.redraw(session, draft, mask)
            small = views.resized(mask, (drawn.shape[0], drawn.shape[1])).astype(np.int8)
            kept = session.workspace.draft(digest, of) or draft
            return Saved(version_of(name, small), review.STATUS_NAMES[kept.status], note(kept))
        if kind == SUPPORT:
            _keep_marks(session, digest, of, drawn)
            return Saved(version_of(name, drawn))
    raise InputError("What was drawn on is not there any more. Choose the picture again.")


def _keep_marks(session: Session, digest: str, number: str, drawn: npt.NDArray[np.int8]) -> None:
    item = session.classes.numbered(int(number) if number.isdecimal() else None)
    places = [] if item is None else [i for i, s in enumerate(item.supports) if s.picture.digest == digest]
    if item is None or not places:
        raise InputError("This support is not there any more. Choose the picture again.")
    size = item.supports[places[0]].picture.size
    if (drawn == -1).all():
        session.mark(places[0], None, "label only", item)
    else:
        session.mark(places[0], _resized(drawn, size), kind_of(drawn), item)


def kind_of(known: npt.NDArray[np.int8]) -> str:
    """What (H, W) marks amount to: a ``mask``, a ``box`` (only the outside is known), or a ``scribble``."""
    if not (known == -1).any():
        return "mask"
    return "scribble" if (known == 1).any() else "box"


def _resized(values: npt.NDArray[np.int8], size: tuple[int, ...]) -> npt.NDArray[np.int8]:
    if values.shape == tuple(size):
        return values
    return np.asarray(cv2.resize(values, (size[1], size[0]), interpolation=cv2.INTER_NEAREST), np.int8)
