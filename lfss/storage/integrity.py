"""Whether a workspace is whole: the file itself, the numbers in it, and every packed mask."""

from __future__ import annotations

from collections.abc import Iterator

from ..drafts import STATUSES
from ..errors import WorkspaceError
from ..packing import unpack_marks, unpack_mask, unpack_objects, unpack_scores
from .database import Database
from .history import read_origin

_PAGE = 64

# Each of these counts what must not be there.
_RULES: tuple[tuple[str, str], ...] = (
    (
        "drafts show a change that is not there",
        "SELECT count(*) FROM drafts d LEFT JOIN revisions r ON r.id = d.revision_id AND r.draft_id = d.id"
        " WHERE r.id IS NULL",
    ),
    (
        "changes have no mask",
        "SELECT count(*) FROM revisions r LEFT JOIN masks m ON m.id = r.mask_id AND m.draft_id = r.draft_id"
        " WHERE m.id IS NULL",
    ),
    (
        "changes have lost what the model said",
        "SELECT count(*) FROM revisions r LEFT JOIN runs u ON u.id = r.run_id AND u.draft_id = r.draft_id"
        " WHERE r.run_id IS NOT NULL AND u.id IS NULL",
    ),
    (
        "score maps have lost their mask",
        "SELECT count(*) FROM runs u LEFT JOIN masks m ON m.id = u.mask_id AND m.draft_id = u.draft_id"
        " WHERE m.id IS NULL",
    ),
)


# Where packed bytes lie: what they are, table and column.
_PACKED: tuple[tuple[str, str, str], ...] = (
    ("mask", "masks", "data"),
    ("score map", "runs", "scores"),
    ("support", "supports", "known"),
    ("map of objects", "revisions", "objects"),
)


def problems(database: Database) -> Iterator[str]:
    """One sentence for each thing that is wrong; nothing if the workspace is whole.

    Reads the whole file, a little at a time.
    """
    with database.reading() as connection:
        lines = [line for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
    yield from (f"The file is damaged: {line}." for line in lines)
    with database.reading() as connection:
        loose = [table for table, *_ in connection.execute("PRAGMA foreign_key_check")]
        counts = [(connection.execute(query).fetchone()[0], what) for what, query in _RULES]
    yield from _foreign(database)
    yield from _contents(database)
    yield from (f"A row of '{table}' refers to something that is not there." for table in loose)
    yield from (f"{count} {what}." for count, what in counts if count)
    for what, table, column in _PACKED:
        for name, size, data in _packed(database, table, column):
            fault = _fault(what, data, size)
            if fault:
                yield f"The {what} for '{name}' {fault}."


def _foreign(database: Database) -> Iterator[str]:
    """What this program never puts into a file, and what would run or hide things in it."""
    with database.reading() as connection:
        found = connection.execute(
            "SELECT type, name FROM sqlite_schema WHERE type IN ('trigger', 'view')"
        ).fetchall()
    for kind, name in found:
        yield f"The file has a {kind} '{name}' that is not of this program. Use a copy from before."


def _contents(database: Database) -> Iterator[str]:
    """Every change of every draft: states, numbers and who made it, told by draft."""
    after = 0
    while True:
        with database.reading() as connection:
            rows = connection.execute(
                "SELECT r.id, i.name, l.name, r.status, r.score, r.presence, o.data FROM revisions r"
                " JOIN drafts d ON d.id = r.draft_id JOIN images i ON i.id = d.image_id"
                " JOIN labels l ON l.id = d.label_id LEFT JOIN origins o ON o.id = r.origin_id"
                f" WHERE r.id > ? ORDER BY r.id LIMIT {_PAGE}",
                (after,),
            ).fetchall()
        if not rows:
            return
        after = rows[-1][0]
        for _, name, label, status, score, presence, origin in rows:
            if problem := _wrong(status, score, presence, origin):
                yield f"The draft of '{label}' on '{name}' {problem}."


def _wrong(status: object, score: object, presence: object, origin: object) -> str:
    if status not in STATUSES:
        return f"has the unknown state '{status}'"
    for what, value in (("score", score), ("presence", presence)):
        if value is not None and not (isinstance(value, float) and 0 <= value <= 1):
            return f"has a {what} that is no number from 0 to 1"
    try:
        made = read_origin(origin)  # type: ignore[arg-type]
        texts = (made.model, made.label, *made.supports, *made.settings, *made.settings.values())
        if not all(isinstance(text, str) for text in texts) or not 0 <= made.threshold <= 1:
            return "has damaged records of who made it"
    except (ValueError, TypeError, LookupError, AttributeError):
        return "has damaged records of who made it"
    return ""


def _packed(database: Database, table: str, column: str) -> Iterator[tuple[str, tuple[int, int], bytes]]:
    through = "t.image_id" if table == "supports" else "(SELECT image_id FROM drafts WHERE id = t.draft_id)"
    after = 0
    while True:
        with database.reading() as connection:
            rows = connection.execute(
                f"SELECT t.rowid, i.name, i.height, i.width, t.{column} FROM {table} t"
                f" JOIN images i ON i.id = {through} WHERE t.rowid > ? AND t.{column} NOT NULL"
                f" ORDER BY t.rowid LIMIT {_PAGE}",
                (after,),
            ).fetchall()
        if not rows:
            return
        after = rows[-1][0]
        for _, name, height, width, data in rows:
            yield name, (height, width), data


def _fault(what: str, data: bytes, size: tuple[int, int]) -> str:
    try:
        if what == "score map":
            unpack_scores(data)
            return ""
        unpack = {"mask": unpack_mask, "map of objects": unpack_objects}.get(what, unpack_marks)
        shape = unpack(data).shape
    except WorkspaceError:
        return "is damaged"
    return "" if shape == size else f"is {shape[0]} x {shape[1]}, the picture {size[0]} x {size[1]}"
