"""Damage is found and named, and never made worse."""

from __future__ import annotations

import os

import numpy as np
import pytest
from faults import in_plain_words
from samples import a_draft, digest_of, smooth_scores

from lfss.errors import WorkspaceError
from lfss.packing import pack_mask
from lfss.workspace import DATABASE_NAME, Workspace


@pytest.fixture
def workspace(impatient: Workspace) -> Workspace:
    return impatient


@pytest.mark.parametrize("what", ["header", "text"])
def test_a_damaged_file_is_told_and_left_as_it_is(workspace, what):
    workspace.put_draft(a_draft(0))
    workspace.close()
    file = workspace.folder / DATABASE_NAME
    data = bytearray(file.read_bytes())
    data[:40] = os.urandom(40)
    file.write_bytes(bytes(data) if what == "header" else b"just some text, and more of it\n" * 200)
    before = file.read_bytes()
    with pytest.raises(WorkspaceError, match="damaged or is not a workspace") as error:
        Workspace.open(workspace.folder)
    in_plain_words(error)
    assert file.read_bytes() == before


def test_check_names_what_is_damaged_inside(workspace):
    for n in range(3):
        workspace.put_draft(a_draft(n), smooth_scores(60, 80, n))
        workspace.add_support("dog", digest_of(n))
    with workspace._database.writing() as connection:
        connection.execute("UPDATE masks SET data = substr(data, 1, 30) WHERE id = 1")
        connection.execute("UPDATE masks SET data = ? WHERE id = 2", (pack_mask(np.eye(5, dtype=bool)),))
        connection.execute("UPDATE runs SET scores = x'00' WHERE id = 3")
        connection.execute("UPDATE drafts SET revision_id = 77 WHERE id = 3")
        connection.execute("UPDATE supports SET known = x'01' WHERE position = 2")
    assert workspace.check() == [
        "1 drafts show a change that is not there.",
        "The mask for 'photo 0.jpg' is damaged.",
        "The mask for 'photo 1.jpg' is 5 x 5, the picture 60 x 80.",
        "The score map for 'photo 2.jpg' is damaged.",
        "The support for 'photo 1.jpg' is damaged.",
    ]
    with pytest.raises(WorkspaceError, match="stored mask is damaged"):
        workspace.draft(digest_of(0), "dog")


def test_pages_overwritten_in_the_middle_are_found(workspace):
    for n in range(60):
        workspace.put_draft(a_draft(n), smooth_scores(60, 80, n))
    workspace.close()
    file = workspace.folder / DATABASE_NAME
    data = bytearray(file.read_bytes())
    for page in range(12, len(data) // 4096, 7):
        data[page * 4096 : page * 4096 + 64] = bytes(64)
    file.write_bytes(bytes(data))
    with Workspace.open(workspace.folder) as damaged:
        assert any("damaged" in line for line in damaged.check())
