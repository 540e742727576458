"""The tables of a workspace, as the steps that lead from each version of the file to the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from ..doubt import doubt_of
from ..errors import WorkspaceError
from ..labels import label_key
from ..packing import unpack_scores


def _rewrite_label_keys(connection: sqlite3.Connection) -> None:
    """Version 3 ignores the number of spaces in a name; where two labels now collide, one is renamed."""
    labels = connection.execute("SELECT id, name FROM labels ORDER BY id").fetchall()
    taken: set[str] = set()
    for label_id, name in labels:
        new, count = name, 1
        while label_key(new) in taken:
            count += 1
            new = f"{name} {count}"
        taken.add(label_key(new))
        connection.execute("UPDATE labels SET name=?, key=? WHERE id=?", (new, f"\n{label_id}", label_id))
    for label_id, name in connection.execute("SELECT id, name FROM labels").fetchall():
        connection.execute("UPDATE labels SET key=? WHERE id=?", (label_key(name), label_id))


def _find_doubts(connection: sqlite3.Connection) -> None:
    """The doubt of drafts of older versions, from their score maps; 1 - score where there is none."""
    for table in ("runs", "revisions"):
        connection.execute(f"UPDATE {table} SET doubt = 1 - score")
    for (run_id,) in connection.execute("SELECT id FROM runs").fetchall():
        packed, own = connection.execute(
            "SELECT scores, threshold FROM runs WHERE id=?", (run_id,)
        ).fetchone()
        try:
            scores = unpack_scores(packed)
        except WorkspaceError:
            continue  # damaged: ``Workspace.check`` says so
        connection.execute("UPDATE runs SET doubt=? WHERE id=?", (doubt_of(scores, own), run_id))
        cuts = connection.execute(
            "SELECT r.id, json_extract(o.data, '$.threshold') FROM revisions r"
            " JOIN origins o ON o.id = r.origin_id WHERE r.run_id=?",
            (run_id,),
        ).fetchall()
        for revision, threshold in cuts:
            doubt = doubt_of(scores, threshold)
            connection.execute("UPDATE revisions SET doubt=? WHERE id=?", (doubt, revision))


# One entry per version of the file, oldest first; entry n takes version n to n + 1. An entry that
# has been released is never changed: a new need is a new entry.
Migration = tuple[str | Callable[[sqlite3.Connection], None], ...]
MIGRATIONS: tuple[Migration, ...] = (
    (
        """CREATE TABLE images (
            id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
            height INTEGER NOT NULL, width INTEGER NOT NULL,
            path BLOB, file_size INTEGER, file_mtime_ns INTEGER, added TEXT NOT NULL)""",
        """CREATE TABLE labels (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL UNIQUE,
            synonyms TEXT NOT NULL, distractors TEXT NOT NULL,
            colour TEXT NOT NULL UNIQUE, priority INTEGER NOT NULL)""",
        """CREATE TABLE supports (
            label_id INTEGER NOT NULL REFERENCES labels ON DELETE CASCADE,
            image_id INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
            position INTEGER NOT NULL, known BLOB NOT NULL,
            PRIMARY KEY (label_id, image_id))""",
        """CREATE TABLE origins (id INTEGER PRIMARY KEY, data TEXT NOT NULL UNIQUE)""",
        """CREATE TABLE drafts (
            id INTEGER PRIMARY KEY,
            image_id INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
            label_id INTEGER NOT NULL REFERENCES labels ON DELETE CASCADE,
            revision_id INTEGER NOT NULL, UNIQUE (image_id, label_id))""",
        """CREATE INDEX drafts_by_label ON drafts (label_id, image_id)""",
        """CREATE TABLE masks (
            id INTEGER PRIMARY KEY,
            draft_id INTEGER NOT NULL REFERENCES drafts ON DELETE CASCADE, data BLOB NOT NULL)""",
        """CREATE INDEX masks_by_draft ON masks (draft_id)""",
        # What the model said: its own mask at its own threshold, and the map behind it. Masks and runs
        # are referred to by revisions of their own draft only, and go with it.
        """CREATE TABLE runs (
            id INTEGER PRIMARY KEY,
            draft_id INTEGER NOT NULL REFERENCES drafts ON DELETE CASCADE,
            mask_id INTEGER NOT NULL, threshold REAL NOT NULL,
            score REAL, scores BLOB NOT NULL)""",
        """CREATE INDEX runs_by_draft ON runs (draft_id)""",
        """CREATE TABLE revisions (
            id INTEGER PRIMARY KEY,
            draft_id INTEGER NOT NULL REFERENCES drafts ON DELETE CASCADE,
            action TEXT NOT NULL, status TEXT NOT NULL, score REAL, presence REAL,
            origin_id INTEGER NOT NULL REFERENCES origins, mask_id INTEGER NOT NULL,
            run_id INTEGER, made TEXT NOT NULL)""",
        """CREATE INDEX revisions_by_draft ON revisions (draft_id, id)""",
    ),
    (
        # The same pixels may lie in several files, and a file may hold other pixels later.
        """CREATE TABLE files (
            path BLOB NOT NULL, image_id INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
            size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, PRIMARY KEY (path, image_id))""",
        """INSERT INTO files SELECT path, id, file_size, file_mtime_ns FROM images
            WHERE path IS NOT NULL""",
        """CREATE INDEX files_by_image ON files (image_id)""",
        """ALTER TABLE images DROP COLUMN path""",
        """ALTER TABLE images DROP COLUMN file_size""",
        """ALTER TABLE images DROP COLUMN file_mtime_ns""",
        """CREATE TABLE failures (
            label_id INTEGER NOT NULL REFERENCES labels ON DELETE CASCADE, path BLOB NOT NULL,
            message TEXT NOT NULL, made TEXT NOT NULL, PRIMARY KEY (label_id, path))""",
    ),
    (
        # How a label was searched for, so that anybody can go on with it.
        """ALTER TABLE labels ADD COLUMN method TEXT NOT NULL DEFAULT ''""",
        """ALTER TABLE labels ADD COLUMN preset TEXT NOT NULL DEFAULT ''""",
        """ALTER TABLE labels ADD COLUMN settings TEXT NOT NULL DEFAULT '{}'""",
        """ALTER TABLE labels ADD COLUMN class_file TEXT""",
        """ALTER TABLE runs ADD COLUMN doubt REAL""",
        """ALTER TABLE revisions ADD COLUMN doubt REAL""",
        _find_doubts,
        """ALTER TABLE revisions ADD COLUMN lost TEXT NOT NULL DEFAULT '{}'""",
        _rewrite_label_keys,
    ),
    (
        # Which pixels of a mask are which object, where a person or another tool has said so.
        """ALTER TABLE revisions ADD COLUMN objects BLOB""",
    ),
)
VERSION = len(MIGRATIONS)
