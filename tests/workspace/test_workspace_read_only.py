"""Workspaces that cannot be written, or that somebody else has been into."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from samples import a_draft

from lfss.__main__ import main
from lfss.errors import WorkspaceError
from lfss.storage import database
from lfss.workspace import Workspace


@pytest.fixture
def folder(tmp_path) -> Path:
    with Workspace.open(tmp_path / "ws") as workspace:
        workspace.put_draft(a_draft(status="accepted"))
    return tmp_path / "ws"


@pytest.fixture
def read_only(monkeypatch) -> None:
    """As on a disk that cannot be written; permissions alone say little, since root may write everywhere."""
    monkeypatch.setattr(database, "_may_write", lambda path: False)


def test_a_workspace_on_a_read_only_disk_is_shown_and_exported(folder, read_only, tmp_path, capsys):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert main(["workspace", str(folder), "--check"]) == 0
    assert "1 draft" in capsys.readouterr().out
    line = ["export", "--workspace", str(folder), "--format", "coco", "--out", str(tmp_path / "out")]
    assert main(line) == 0
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_changing_one_is_a_sentence(folder, read_only, capsys):
    assert main(["workspace", str(folder), "--rename", "dog", "cat"]) == 2
    assert "can be read only, so nothing was changed" in capsys.readouterr().err


def test_an_older_one_cannot_be_brought_up_to_date_there(folder, read_only, capsys):
    with sqlite3.connect(folder / "workspace.sqlite") as connection:
        connection.execute("PRAGMA user_version=1")
    connection.close()
    assert main(["workspace", str(folder)]) == 2
    assert "Copy it to a folder of your own" in capsys.readouterr().err


def test_what_is_still_in_the_log_is_read_too(folder, monkeypatch):
    """A program that writes at the same time, seen from one that may not."""
    with Workspace.open(folder) as writer:
        writer.put_draft(a_draft(1))
        with monkeypatch.context() as patch:
            patch.setattr(database, "_may_write", lambda path: False)
            with Workspace.open(folder, create=False) as reader:
                assert len(reader.drafts()) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes in the file system")
def test_what_is_no_file_of_a_workspace_is_a_sentence(tmp_path):
    for name in ("pipe", "circle", "folder", "empty"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "pipe" / "workspace.sqlite")
    (tmp_path / "circle" / "workspace.sqlite").symlink_to(tmp_path / "circle" / "workspace.sqlite")
    (tmp_path / "folder" / "workspace.sqlite").mkdir()
    (tmp_path / "empty" / "workspace.sqlite").touch()
    for name, create, told in (
        ("pipe", True, "not an ordinary file"),
        ("pipe", False, "not an ordinary file"),
        ("circle", False, "a link that leads to itself"),
        ("folder", True, "not an ordinary file"),
        ("empty", False, "is empty"),
        ("x" * 300, False, "longer than the file system allows"),
    ):
        with pytest.raises(WorkspaceError, match=told):
            Workspace.open(tmp_path / name, create=create)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "UPDATE revisions SET status='finished'",
            "The draft of 'dog' on 'photo 0.jpg' has the unknown state",
        ),
        ("UPDATE revisions SET score='high'", "has a score that is no number"),
        ("UPDATE revisions SET score=7.5", "has a score that is no number"),
        ("UPDATE revisions SET presence=x'00'", "has a presence that is no number"),
        ("UPDATE origins SET data='{'", "The draft of 'dog' on 'photo 0.jpg' has damaged records"),
        ("UPDATE origins SET data='[]'", "has damaged records"),
        ("""UPDATE origins SET data='{"supports": [5], "settings": {}}'""", "has damaged records"),
        ("UPDATE origins SET data=json_set(data, '$.threshold', 7)", "has damaged records"),
        ("UPDATE origins SET data=json_set(data, '$.label', 5)", "has damaged records"),
        ("CREATE TRIGGER t AFTER UPDATE ON drafts BEGIN DELETE FROM drafts; END", "a trigger 't'"),
        ("CREATE VIEW v AS SELECT 1", "a view 'v'"),
    ],
)
def test_a_check_finds_what_somebody_changed_and_says_in_which_draft(folder, capsys, change, told):
    with sqlite3.connect(folder / "workspace.sqlite") as connection:
        connection.execute(change)
    connection.close()
    assert main(["workspace", str(folder), "--check"]) == 1
    assert told in capsys.readouterr().out
