"""Another threshold for drafts that exist already, from the score maps that were kept with them."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .. import masks
from ..errors import InputError, WorkspaceError
from . import history
from .database import Database
from .history import Content, Run, State

_BATCH = 16  # drafts that change in one transaction


def change(
    database: Database,
    draft_ids: array[int],
    threshold: float,
    *,
    presence: float | None,
    on_progress: Callable[[int, int], None] | None,
) -> int:
    """Cut the proposals among these drafts at another threshold; returns how many changed.

    The work is done outside of transactions; a draft that somebody changed meanwhile is left alone.
    """
    changed = 0
    for start in range(0, len(draft_ids), _BATCH):
        batch = draft_ids[start : start + _BATCH]
        with database.reading() as connection:
            found = [_proposal(connection, draft_id) for draft_id in batch]
        cuts = [(now, _recut(now.content, run, threshold, presence)) for now, run in filter(None, found)]
        with database.writing() as connection:
            for now, content in cuts:
                if content != now.content and _unchanged(connection, now):
                    history.record(connection, now.draft_id, f"threshold {threshold:g}", content)
                    changed += 1
        if on_progress:
            on_progress(start + len(batch), len(draft_ids))
    return changed


def cut(
    run: Run, threshold: float, *, present: bool | None = None, presence: float | None = None
) -> tuple[npt.NDArray[np.bool_], float | None]:
    """The (H, W) mask of a run at a threshold, and how sure the model is of it.

    At the model's own threshold this is the model's own mask, bit for bit. An empty mask over a map
    that reaches the model's threshold means that the model took the object for absent; it stays empty
    unless ``present`` says otherwise.

    Args:
        present: whether the object is in the picture; None: as the model decided.
        presence: how sure the model is of that, in [0, 1].

    Raises:
        InputError: the threshold is not between 0 and 1.
    """
    if not 0 <= threshold <= 1:
        raise InputError(f"A threshold lies between 0 and 1; this one is {threshold}. Choose one in between.")
    own, scores = masks.unpack_mask(run.mask), masks.unpack_scores(run.scores)
    absent = not own.any() and scores.max() >= run.threshold
    if present is False or (absent and present is None):
        nothing = np.zeros_like(own)
        return nothing, masks.confidence(scores, nothing, presence=presence)
    if threshold == run.threshold and not absent:
        return own, run.score
    mask = masks.mask_at(scores, own.shape, threshold=threshold)
    return mask, masks.confidence(scores, scores >= threshold, presence=presence)


def _recut(content: Content, run: Run, threshold: float, presence: float | None) -> Content:
    """What a proposal shows at another threshold of score, and of presence if one is given."""
    present = None
    if presence is not None and content.presence is not None:
        present = content.presence >= presence
    mask, score = cut(run, threshold, present=present, presence=content.presence)
    origin = replace(content.origin, threshold=threshold)
    return replace(content, mask=masks.pack_mask(mask), score=score, origin=origin)


def run_of(connection: sqlite3.Connection, draft_id: int, name: str) -> Run:
    """What the model said of a draft; raises WorkspaceError if no score map is kept."""
    now = history.state(connection, draft_id)
    run = _run(connection, now) if now else None
    if run is None:
        raise WorkspaceError(
            f"No score map is kept for this draft of '{name}', so its threshold cannot change. "
            "Segment the picture again."
        )
    return run


def _proposal(connection: sqlite3.Connection, draft_id: int) -> tuple[State, Run] | None:
    now = history.state(connection, draft_id)
    if now is None or now.content.status != "proposed":
        return None
    run = _run(connection, now)
    return None if run is None else (now, run)


def _run(connection: sqlite3.Connection, now: State) -> Run | None:
    run = now.content.run
    return history.run(connection, run) if isinstance(run, int) else run


def _unchanged(connection: sqlite3.Connection, seen: State) -> bool:
    now = history.state(connection, seen.draft_id)
    return now is not None and now.revision == seen.revision
