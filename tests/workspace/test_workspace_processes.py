"""Two processes, and forks, in one workspace."""

from __future__ import annotations

import pytest
from faults import forks, python
from samples import a_draft, digest_of

from lfss.workspace import Workspace


@pytest.fixture
def workspace(impatient: Workspace) -> Workspace:
    return impatient


TWO = """
import sys
from samples import a_draft
from lfss.workspace import Workspace
workspace = Workspace.open(sys.argv[1])
for n in range(int(sys.argv[2]), int(sys.argv[3])):
    workspace.put_draft(a_draft(n, size=(20, 30), presence=float(sys.argv[4])))
print("done")
"""


def test_two_processes_fill_one_new_workspace(tmp_path):
    ranges = (("0", "25", "0.8"), ("15", "40", "0.9"))  # start, end, and who is who
    processes = [python("-c", TWO, str(tmp_path / "ws"), *some) for some in ranges]
    assert [p.communicate(timeout=60)[0] for p in processes] == ["done\n"] * 2
    with Workspace.open(tmp_path / "ws", create=False) as workspace:
        assert workspace.check() == []
        assert workspace.stats().drafts == {"dog": {"proposed": 40}}
        lengths = [len(workspace.history(digest_of(n), "dog")) for n in range(40)]
        assert lengths == [1] * 15 + [2] * 10 + [1] * 15


FORKS = """
import os, sys
from samples import a_draft
from lfss.workspace import Workspace
workspace = Workspace.open(sys.argv[1])
workspace.put_draft(a_draft(0))
child = os.fork()
for n in range(1, 11) if child == 0 else range(11, 21):
    workspace.put_draft(a_draft(n))
if child:
    print(os.waitpid(child, 0)[1])
"""


@forks
def test_a_forked_process_and_its_parent_both_go_on_writing(tmp_path):
    assert python("-c", FORKS, str(tmp_path / "ws")).communicate(timeout=60)[0] == "0\n"
    with Workspace.open(tmp_path / "ws", create=False) as after:
        assert after.check() == []
        assert after.stats().drafts == {"dog": {"proposed": 21}}


def test_a_reader_sees_one_moment_while_another_writes(workspace):
    for n in range(3):
        workspace.put_draft(a_draft(n))
    drafts = workspace.drafts()
    with Workspace.open(workspace.folder) as other:
        for k, draft in enumerate(drafts):
            other.put_draft(a_draft(10 + k))
            assert draft.image_digest == digest_of(k)
    assert len(drafts) == 3
    assert len(workspace.drafts()) == 6
