"""The changes of a draft, so that every one can be undone and done again, also after a restart.

Each change is a revision: state, scores, origin, and a mask that revisions share where it is the
same. The draft points at one of them; undo and redo move the pointer; a new change drops what
had been undone. The history of one draft is bounded, oldest revisions go first.

A run is what a model said once: its mask, its threshold and its score map. Revisions keep pointing
at their run, so a new threshold needs no model, and the model's own threshold gives back the model's
own mask bit for bit.

The functions work inside a transaction that the caller holds.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from ..drafts import Origin, Status
from ..scoremap import ScoreMap
from .database import now

MAX_REVISIONS = 100
MAX_BYTES = 4 << 20  # of packed masks per draft; the present one and the one before always stay


@dataclass(frozen=True)
class Change:
    """One entry of the history of a draft.

    Attributes:
        action: what was done, for people: ``proposed``, ``edited``, ``accepted``, ``threshold 0.4``.
        status: the state after it.
        made: time in UTC, ISO 8601.
        score, presence: as in ``Draft``.
        origin: who made the mask.
        current: True for the one that the draft shows; later ones have been undone.
    """

    action: str
    status: Status
    made: str
    score: float | None
    presence: float | None
    origin: Origin
    current: bool


@dataclass(frozen=True)
class Content:
    """What a draft shows.

    Attributes:
        mask: packed.
        status, score, presence, doubt, lost, origin: as in ``Draft``.
        objects: packed numbers of the objects; None: each connected part is one.
        run: what the model said, or the number of a run of this draft that is kept already; None for a
            mask that no model made.
    """

    mask: bytes
    status: Status
    score: float | None = None
    presence: float | None = None
    doubt: float | None = None
    lost: Mapping[str, float] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)
    run: ScoreMap | int | None = None
    objects: bytes | None = None


@dataclass(frozen=True)
class State:
    """A draft as it is now; ``revision`` tells whether it has changed since."""

    draft_id: int
    revision: int
    content: Content


def read_origin(data: str) -> Origin:
    """The origin that was stored as text."""
    fields = json.loads(data)
    return Origin(**{**fields, "supports": tuple(fields["supports"])})


def find(connection: sqlite3.Connection, image_id: int, label_id: int) -> int | None:
    """The number of the draft of a label on a picture; None if there is none."""
    row = connection.execute(
        "SELECT id FROM drafts WHERE image_id=? AND label_id=?", (image_id, label_id)
    ).fetchone()
    return None if row is None else row[0]


def state(connection: sqlite3.Connection, draft_id: int | None) -> State | None:
    """A draft as it is now; None if it has been removed, or never was (no number)."""
    row = connection.execute(
        "SELECT r.id, m.data, r.status, r.score, r.presence, r.doubt, r.lost, o.data, r.run_id,"
        " r.objects"
        " FROM drafts d JOIN revisions r ON r.id = d.revision_id JOIN origins o ON o.id = r.origin_id"
        " JOIN masks m ON m.id = r.mask_id WHERE d.id=?",
        (draft_id,),
    ).fetchone()
    if draft_id is None or row is None:
        return None
    revision, mask, status, score, presence, doubt, lost, origin, run_id, objects = row
    content = Content(
        mask, status, score, presence, doubt, json.loads(lost), read_origin(origin), run_id, objects
    )
    return State(draft_id, revision, content)


def run(connection: sqlite3.Connection, run_id: int) -> ScoreMap:
    """What the model said, with its score of each pixel packed."""
    return ScoreMap(
        *connection.execute(
            "SELECT m.data, u.scores, u.threshold, u.score, u.doubt FROM runs u"
            " JOIN masks m ON m.id = u.mask_id WHERE u.id=?",
            (run_id,),
        ).fetchone()
    )


def begin(connection: sqlite3.Connection, image_id: int, label_id: int) -> int:
    """The number of a new draft, which shows nothing yet: record a change in the same transaction."""
    return connection.execute(
        "INSERT INTO drafts (image_id, label_id, revision_id) VALUES (?, ?, 0) RETURNING id",
        (image_id, label_id),
    ).fetchone()[0]


def record(connection: sqlite3.Connection, draft_id: int, action: str, content: Content) -> None:
    """Make a change: it becomes what the draft shows, and what had been undone before is dropped.

    Args:
        connection: inside a transaction of the workspace.
        draft_id: number of the draft.
        action: what was done, for people.
        content: what the draft is now.
    """
    connection.execute(
        "DELETE FROM revisions WHERE draft_id=? AND id > (SELECT revision_id FROM drafts WHERE id=?)",
        (draft_id, draft_id),
    )
    mask_id, run_id = _mask_id(connection, draft_id, content.mask), content.run
    if isinstance(run_id, ScoreMap):
        run_id = _add_run(connection, draft_id, mask_id, run_id)
    revision = connection.execute(
        "INSERT INTO revisions (draft_id, action, status, score, presence, doubt, lost, origin_id, mask_id,"
        " run_id, made, objects) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            draft_id,
            action,
            content.status,
            content.score,
            content.presence,
            content.doubt,
            json.dumps(dict(content.lost), ensure_ascii=False),
            _origin_id(connection, content.origin),
            mask_id,
            run_id,
            now(),
            content.objects,
        ),
    ).fetchone()[0]
    connection.execute("UPDATE drafts SET revision_id=? WHERE id=?", (revision, draft_id))
    _forget_the_oldest(connection, draft_id)


def step(connection: sqlite3.Connection, draft_id: int, *, back: bool) -> bool:
    """Move a draft one change back or forward; False if there is none that way."""
    compare, order = ("<", "DESC") if back else (">", "ASC")
    row = connection.execute(
        f"SELECT r.id FROM revisions r JOIN drafts d ON d.id = r.draft_id WHERE d.id=?"
        f" AND r.id {compare} d.revision_id ORDER BY r.id {order} LIMIT 1",
        (draft_id,),
    ).fetchone()
    if row is None:
        return False
    connection.execute("UPDATE drafts SET revision_id=? WHERE id=?", (row[0], draft_id))
    return True


def changes(connection: sqlite3.Connection, draft_id: int) -> list[Change]:
    """All changes that are kept, the oldest first."""
    rows = connection.execute(
        "SELECT r.action, r.status, r.made, r.score, r.presence, o.data, r.id = d.revision_id"
        " FROM revisions r JOIN drafts d ON d.id = r.draft_id JOIN origins o ON o.id = r.origin_id"
        " WHERE d.id=? ORDER BY r.id",
        (draft_id,),
    )
    return [
        Change(action, status, made, score, presence, read_origin(origin), bool(shown))
        for action, status, made, score, presence, origin, shown in rows
    ]


def _mask_id(connection: sqlite3.Connection, draft_id: int, packed: bytes) -> int:
    """The number of a mask of a draft, shared with earlier changes that have the same."""
    row = connection.execute(
        "SELECT id FROM masks WHERE draft_id=? AND data=?", (draft_id, packed)
    ).fetchone()
    if row is None:
        row = connection.execute(
            "INSERT INTO masks (draft_id, data) VALUES (?, ?) RETURNING id", (draft_id, packed)
        ).fetchone()
    return row[0]


def _add_run(connection: sqlite3.Connection, draft_id: int, mask_id: int, run: ScoreMap) -> int:
    return connection.execute(
        "INSERT INTO runs (draft_id, mask_id, threshold, score, doubt, scores)"
        " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        (draft_id, mask_id, run.threshold, run.score, run.doubt, run.scores),
    ).fetchone()[0]


def _origin_id(connection: sqlite3.Connection, origin: Origin) -> int:
    """Thousands of drafts of one batch share one origin."""
    data = json.dumps(asdict(origin), sort_keys=True, ensure_ascii=False)
    connection.execute("INSERT OR IGNORE INTO origins (data) VALUES (?)", (data,))
    return connection.execute("SELECT id FROM origins WHERE data=?", (data,)).fetchone()[0]


def _forget_the_oldest(connection: sqlite3.Connection, draft_id: int) -> None:
    rows = connection.execute(
        "SELECT r.id, r.mask_id, length(m.data) + coalesce(length(r.objects), 0)"
        " FROM revisions r JOIN masks m ON m.id = r.mask_id"
        " WHERE r.draft_id=? ORDER BY r.id DESC",
        (draft_id,),
    ).fetchall()
    connection.executemany("DELETE FROM revisions WHERE id=?", [(r,) for r in _too_many(rows)])
    used = {
        "runs": "SELECT run_id FROM revisions WHERE draft_id=:d AND run_id IS NOT NULL",
        "masks": "SELECT mask_id FROM revisions WHERE draft_id=:d"
        " UNION SELECT mask_id FROM runs WHERE draft_id=:d",
    }
    for table, numbers in used.items():
        connection.execute(
            f"DELETE FROM {table} WHERE draft_id=:d AND id NOT IN ({numbers})", {"d": draft_id}
        )


def _too_many(newest_first: Iterable[tuple[int, int, int]]) -> list[int]:
    """Revisions beyond the bounds, from (revision, mask, bytes of the mask)."""
    total, seen, beyond = 0, set(), []
    for place, (revision, mask_id, size) in enumerate(newest_first):
        if mask_id not in seen:
            seen.add(mask_id)
            total += size
        if place >= MAX_REVISIONS or (place >= 2 and total > MAX_BYTES):
            beyond.append(revision)
    return beyond
