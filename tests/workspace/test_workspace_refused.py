"""Locks, full disks and folders that cannot be written are told in plain words."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from faults import in_plain_words, python
from samples import a_draft, digest_of, write_photo

from lfss.errors import WorkspaceError
from lfss.images import read_image
from lfss.workspace import DATABASE_NAME, Workspace


@pytest.fixture
def workspace(impatient: Workspace) -> Workspace:
    return impatient


def test_a_lock_of_another_program_is_told_and_lifts(workspace):
    workspace.put_draft(a_draft(0))
    other = sqlite3.connect(workspace.folder / DATABASE_NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(WorkspaceError, match="locked by another program") as error:
        workspace.put_draft(a_draft(1))
    in_plain_words(error)
    assert len(workspace.drafts()) == 1  # reading goes on
    other.execute("ROLLBACK")
    assert workspace.put_draft(a_draft(1))


def test_a_workspace_that_another_program_holds_alone_is_told_when_opened(workspace):
    workspace.close()
    other = sqlite3.connect(workspace.folder / DATABASE_NAME, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(WorkspaceError, match="locked by another program") as error:
        Workspace.open(workspace.folder, busy_seconds=0.1)
    in_plain_words(error)
    other.close()
    Workspace.open(workspace.folder).close()


def fill_until_refused(workspace: Workspace) -> Iterator[int]:
    rng = np.random.default_rng(0)
    for n in range(100):
        workspace.put_draft(a_draft(n, mask=rng.random((200, 200)) < 0.5))
        yield n


def test_a_full_disk_is_told_and_keeps_what_was_saved(workspace):
    with workspace._database.writing() as connection:  # the one connection of this thread
        connection.execute("PRAGMA max_page_count=60")
    stored: list[int] = []
    with pytest.raises(WorkspaceError, match=r"disk .* is full") as error:
        stored.extend(fill_until_refused(workspace))
    in_plain_words(error)
    assert workspace.check() == []
    kept = [draft.image_digest for draft in workspace.drafts()]
    assert 0 < len(kept) < 100
    assert kept == [digest_of(n) for n in range(len(kept))]
    assert workspace.put_draft(a_draft(200))  # space was freed: the limit went with its connection


LIMITED = """
import resource, signal, sys
import numpy as np
from samples import a_draft
from lfss.doubt import doubt_of
from lfss.errors import WorkspaceError
from lfss.workspace import Workspace
workspace = Workspace.open(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
rng = np.random.default_rng(0)
try:
    for n in range(1000):
        workspace.put_draft(a_draft(n, mask=rng.random((200, 200)) < 0.5))
        print(n)
except WorkspaceError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of POSIX")
def test_a_write_that_the_system_refuses_is_told_and_keeps_what_was_saved(tmp_path):
    *numbers, sentence = python("-c", LIMITED, str(tmp_path / "ws")).communicate(timeout=60)[0].splitlines()
    assert sentence.startswith("The disk that holds the workspace")
    assert "Traceback" not in sentence
    with Workspace.open(tmp_path / "ws") as workspace:
        assert workspace.check() == []
        assert [d.image_digest for d in workspace.drafts()][: len(numbers)] == [
            digest_of(int(n)) for n in numbers
        ]


READ_ONLY = """
import os, sys
from lfss.doubt import doubt_of
from lfss.errors import WorkspaceError
from lfss.workspace import Workspace
if os.geteuid() == 0:  # root may write anywhere
    os.setgroups([])
    os.setuid(65534)
for folder in sys.argv[1:]:
    try:
        Workspace.open(folder).add_label("dog")
        print("opened")
    except WorkspaceError as error:
        print(error)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs permissions of POSIX")
def test_a_read_only_folder_is_told():
    folder = Path(tempfile.mkdtemp())
    Workspace.open(folder / "old").close()
    (folder / "empty").mkdir()
    (folder / "old" / DATABASE_NAME).chmod(0o444)
    for path in (folder / "old", folder / "empty", folder):
        path.chmod(0o555)
    try:
        places = [str(folder / name) for name in ("old", "empty", "new")]
        old, empty, new = python("-c", READ_ONLY, *places).communicate(timeout=60)[0].splitlines()
    finally:
        for path in (folder, folder / "old", folder / "empty"):
            path.chmod(0o755)
        shutil.rmtree(folder)
    assert "cannot be written" in old
    assert "cannot be written" in empty
    assert "cannot be made" in new


def test_a_copy_that_cannot_be_kept_is_told(workspace, tmp_path):
    (workspace.folder / "pictures").write_text("a file where the folder should be")
    with pytest.raises(WorkspaceError, match="cannot be kept") as error:
        workspace.add_image(read_image(write_photo(tmp_path / "a.png")), keep=True)
    in_plain_words(error)
    assert list(workspace.images()) == []


def test_a_folder_without_a_workspace_is_told(tmp_path):
    with pytest.raises(WorkspaceError, match="no workspace in"):
        Workspace.open(tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "ws").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be made"):
        Workspace.open(tmp_path / "ws")
