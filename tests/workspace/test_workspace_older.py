"""Workspaces of older programs are brought up to date, those of newer ones refused."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
from pathlib import Path

import pytest
from faults import HERE, in_plain_words
from samples import ORIGIN, a_draft, digest_of, smooth_scores, write_photo

from lfss.doubt import doubt_of
from lfss.errors import WorkspaceError
from lfss.images import read_image
from lfss.labels import Label
from lfss.packing import pack_mask
from lfss.storage import database
from lfss.workspace import DATABASE_NAME, Workspace


@pytest.fixture
def workspace(impatient: Workspace) -> Workspace:
    return impatient


def test_a_newer_workspace_is_refused_and_left_as_it_is(workspace):
    workspace.put_draft(a_draft(0))
    with workspace._database.writing() as connection:
        connection.execute(f"PRAGMA user_version={database.VERSION + 1}")
    workspace.close()
    before = (workspace.folder / DATABASE_NAME).read_bytes()
    with pytest.raises(WorkspaceError, match=r"newer version of this program .*unchanged") as error:
        Workspace.open(workspace.folder)
    in_plain_words(error)
    assert (workspace.folder / DATABASE_NAME).read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path):
    other = sqlite3.connect(tmp_path / DATABASE_NAME)
    other.execute("CREATE TABLE notes (text)")
    other.commit()
    other.close()
    before = (tmp_path / DATABASE_NAME).read_bytes()
    with pytest.raises(WorkspaceError, match="another program"):
        Workspace.open(tmp_path)
    assert (tmp_path / DATABASE_NAME).read_bytes() == before


def old_workspace(folder: Path, photo: Path) -> str:
    """A workspace as version 1 wrote it, with one draft; returns the digest of its picture."""
    folder.mkdir()
    image, found, draft = read_image(photo), photo.stat(), a_draft(1)
    connection = sqlite3.connect(folder / DATABASE_NAME, isolation_level=None)
    for statement in database.MIGRATIONS[0]:
        connection.execute(statement)
    file = (os.fsencode(photo), found.st_size, found.st_mtime_ns)
    origin = json.dumps({**vars(ORIGIN), "supports": list(ORIGIN.supports)})
    for table, row in [
        ("images", (1, image.digest, "old.png", *image.size, *file, "2026")),
        ("images", (2, digest_of(2), "pasted.png", 60, 80, None, None, None, "2026")),
        ("labels", (1, "dog", "dog", '["puppy"]', "[]", "#e6194b", 1)),
        ("origins", (1, origin)),
        ("drafts", (1, 1, 1, 1)),
        ("masks", (1, 1, pack_mask(draft.mask))),
        ("revisions", (1, 1, "proposed", "proposed", 0.7, 0.9, 1, 1, None, "2026")),
    ]:
        connection.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)
    connection.execute("PRAGMA user_version=1")
    connection.execute(f"PRAGMA application_id={database.APPLICATION_ID}")
    connection.close()
    return image.digest


def test_an_older_workspace_is_brought_up_to_date_with_all_it_holds(tmp_path):
    photo = write_photo(tmp_path / "old.png")
    digest = old_workspace(tmp_path / "ws", photo)
    with Workspace.open(tmp_path / "ws") as workspace:
        assert workspace.check() == []
        draft = workspace.draft(digest, "dog")
        assert (draft.mask == a_draft(1).mask).all()
        assert (draft.image_path, draft.origin, draft.score) == (photo, ORIGIN, 0.7)
        assert workspace.find_image(photo).digest == digest
        assert [p.path for p in workspace.images()] == [photo, None]
        workspace.record_failure("dog", photo, "It is dark.")
        with workspace._database.reading() as connection:
            assert connection.execute("PRAGMA user_version").fetchone()[0] == database.VERSION


def stored(name: str, folder: Path) -> Path:
    """A workspace as an older program wrote it, from ``tests/data``."""
    folder.mkdir()
    data = gzip.decompress((HERE / "data" / f"{name}.sqlite.gz").read_bytes())
    (folder / DATABASE_NAME).write_bytes(data)
    return folder


def test_a_stored_workspace_of_version_1_is_whole_after_the_update(tmp_path):
    with Workspace.open(stored("workspace-1", tmp_path / "ws")) as workspace:
        assert workspace.check() == []
        (draft,) = workspace.drafts("dog")
        assert (draft.mask == a_draft(1).mask).all()
        assert (draft.score, draft.doubt, draft.lost) == (0.7, pytest.approx(0.3), {})
        assert draft.origin == ORIGIN
        assert workspace.labels()[0].label == Label("dog", ("puppy",))


def test_a_stored_workspace_of_version_2_keeps_all_it_holds(tmp_path):
    with Workspace.open(stored("workspace-2", tmp_path / "ws")) as workspace:
        assert workspace.check() == []
        dog, cafe = workspace.labels()
        assert dog.label == Label("Dog", ("puppy",), ("cat", "wolf"))
        assert (cafe.colour, cafe.method, cafe.preset, cafe.settings, cafe.class_file) == (
            "#123456",
            "",
            "",
            {},
            None,
        )
        drafts = {d.image_digest: d for d in workspace.drafts("dog")}
        assert {d.status for d in drafts.values()} == {"proposed", "edited", "absent"}
        for n in (0, 3):
            threshold = 0.6 if n == 3 else 0.5
            expected = doubt_of(smooth_scores(60, 80, n), threshold)
            assert drafts[digest_of(n)].doubt == pytest.approx(expected, abs=0.03)
        assert drafts[digest_of(4)].doubt is None
        assert [c.action for c in workspace.history(digest_of(1), "dog")] == [
            "proposed",
            "edited",
            "accepted",
        ]
        assert workspace.redo(digest_of(1), "dog").status == "accepted"
        marked, plain = workspace.supports("dog")
        assert (marked.known[10:30, 20:50] == 1).all()
        assert (marked.known[:5] == 0).all()
        assert (plain.known == -1).all()
        assert workspace.failures("dog") == [(workspace.folder / "bad.png", "It is dark.")]
        assert workspace.rethreshold("dog", 0.5) == 1
        assert (workspace.draft(digest_of(3), "dog").mask == a_draft(3).mask).all()


def test_labels_that_an_older_version_told_apart_by_spaces_alone_are_both_kept(tmp_path):
    folder = stored("workspace-2", tmp_path / "ws")
    connection = sqlite3.connect(folder / DATABASE_NAME)
    for number, name in ((8, "traffic light"), (9, "Traffic  light")):
        row = (number, name, name.casefold(), "[]", "[]", f"#00000{number}", number)
        connection.execute("INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    with Workspace.open(folder) as workspace:
        names = [category.name for category in workspace.labels()]
        assert names[2:] == ["traffic light", "Traffic  light 2"]
        assert workspace.failures("TRAFFIC LIGHT") == []


def tables(folder: Path) -> list[tuple]:
    connection = sqlite3.connect(folder / DATABASE_NAME)
    found = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY name"
    ).fetchall()
    connection.close()
    return found


def test_old_and_new_workspaces_end_with_the_same_tables(tmp_path):
    old_workspace(tmp_path / "old", write_photo(tmp_path / "a.png"))
    for name in ("old", "new"):
        Workspace.open(tmp_path / name).close()
    assert tables(tmp_path / "old") == tables(tmp_path / "new")


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    digest = old_workspace(tmp_path / "ws", write_photo(tmp_path / "a.png"))
    before = tables(tmp_path / "ws")
    broken = (*database.MIGRATIONS[-1], "INSERT INTO a_table_that_is_not_there VALUES (1)")
    with monkeypatch.context() as patched:
        patched.setattr(database, "MIGRATIONS", (*database.MIGRATIONS[:-1], broken))
        with pytest.raises(WorkspaceError):
            Workspace.open(tmp_path / "ws")
    assert tables(tmp_path / "ws") == before
    with Workspace.open(tmp_path / "ws") as workspace:
        assert workspace.has_draft(digest, "dog")
