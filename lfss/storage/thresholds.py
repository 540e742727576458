"""Another threshold for drafts that exist already, from the score maps that were kept with them."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable
from dataclasses import replace

from ..packing import pack_mask
from ..scoremap import ScoreMap
from . import history
from .database import Database
from .history import Content, State

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

    Args:
        database: of the workspace.
        draft_ids: numbers of the drafts.
        threshold: the new one, in [0, 1].
        presence: below it the mask is empty; None: as the model decided.
        on_progress: called with (done, total) after every few drafts.
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


def _recut(content: Content, run: ScoreMap, threshold: float, presence: float | None) -> Content:
    """What a proposal shows at another threshold of score, and of presence if one is given."""
    present = None
    if presence is not None and content.presence is not None:
        present = content.presence >= presence
    mask, score, doubt = run.cut(threshold, present=present, presence=content.presence)
    origin = replace(content.origin, threshold=threshold)
    packed = pack_mask(mask)
    objects = content.objects if packed == content.mask else None
    return replace(content, mask=packed, score=score, doubt=doubt, origin=origin, objects=objects)


def _proposal(connection: sqlite3.Connection, draft_id: int) -> tuple[State, ScoreMap] | None:
    now = history.state(connection, draft_id)
    if now is None or now.content.status != "proposed":
        return None
    run = _run(connection, now)
    return None if run is None else (now, run)


def score_map(connection: sqlite3.Connection, draft_id: int, without: str | None) -> ScoreMap | None:
    """What the model said last, without the setting in its origin; see ``Workspace.score_map``."""
    rows = connection.execute(
        "SELECT r.run_id, o.data FROM revisions r JOIN drafts d ON d.id = r.draft_id"
        " JOIN origins o ON o.id = r.origin_id"
        " WHERE d.id=? AND r.id <= d.revision_id AND r.run_id IS NOT NULL ORDER BY r.id DESC",
        (draft_id,),
    )
    for run_id, data in rows:
        if without is None or without not in history.read_origin(data).settings:
            return history.run(connection, run_id)
    return None


def _run(connection: sqlite3.Connection, now: State) -> ScoreMap | None:
    run = now.content.run
    return history.run(connection, run) if isinstance(run, int) else run


def _unchanged(connection: sqlite3.Connection, seen: State) -> bool:
    now = history.state(connection, seen.draft_id)
    return now is not None and now.revision == seen.revision
