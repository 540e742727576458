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
from .history import Run, State

_BATCH = 16  # drafts that change in one transaction


def change(
    database: Database,
    draft_ids: array[int],
    threshold: float,
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
        cuts = [
            (now, *cut(run, threshold))
            for now, run in filter(None, found)
            if now.content.origin.threshold != threshold
        ]
        with database.writing() as connection:
            for now, mask, score in cuts:
                changed += _replace(connection, now, threshold, mask, score)
        if on_progress:
            on_progress(start + len(batch), len(draft_ids))
    return changed


def cut(run: Run, threshold: float) -> tuple[npt.NDArray[np.bool_], float | None]:
    """The mask of a run at a threshold, and how sure the model is of it.

    At the model's own threshold this is the model's own mask, bit for bit.

    Raises:
        InputError: the threshold is not between 0 and 1.
    """
    if not 0 <= threshold <= 1:
        raise InputError(f"A threshold lies between 0 and 1; this one is {threshold}. Choose one in between.")
    if threshold == run.threshold:
        return masks.unpack_mask(run.mask), run.score
    scores = masks.unpack_scores(run.scores)
    mask = masks.mask_at(scores, masks.mask_size(run.mask), threshold=threshold)
    return mask, masks.confidence(scores, mask)


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


def _replace(
    connection: sqlite3.Connection,
    seen: State,
    threshold: float,
    mask: npt.NDArray[np.bool_],
    score: float | None,
) -> bool:
    now = history.state(connection, seen.draft_id)
    if now is None or now.revision != seen.revision:
        return False
    content = replace(
        now.content,
        mask=masks.pack_mask(mask),
        score=score,
        origin=replace(now.content.origin, threshold=threshold),
    )
    history.record(connection, now.draft_id, f"threshold {threshold:g}", content)
    return True
