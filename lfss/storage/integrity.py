"""Whether a workspace is whole: the file itself, the numbers in it, and every packed mask."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import WorkspaceError
from ..packing import unpack_marks, unpack_mask, unpack_objects, unpack_scores
from .database import Database

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
    yield from (f"A row of '{table}' refers to something that is not there." for table in loose)
    yield from (f"{count} {what}." for count, what in counts if count)
    for what, table, column in _PACKED:
        for name, size, data in _packed(database, table, column):
            fault = _fault(what, data, size)
            if fault:
                yield f"The {what} for '{name}' {fault}."


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
