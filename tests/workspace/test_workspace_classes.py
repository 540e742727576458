"""Classes and supports that a workspace keeps, so that a run goes on with them."""

from __future__ import annotations

import numpy as np
import pytest
from kept import reopened
from samples import a_draft, digest_of

from lfss.errors import SupportError, WorkspaceError
from lfss.labels import Label
from lfss.workspace import Workspace


def test_a_class_is_kept_with_all_that_it_is_searched_for_with(workspace):
    for n in range(3):
        workspace.put_draft(a_draft(n))
    marks = np.random.default_rng(0).integers(-1, 2, (60, 80)).astype(np.int8)
    label = Label("Dog", ("puppy",), ("cat",))
    about = {"method": "lfss", "preset": "mini", "settings": {"threshold": "0.4"}}
    workspace.put_class(label, {digest_of(2): None, digest_of(0): marks}, **about)
    workspace = reopened(workspace)
    (kept,) = workspace.labels()
    assert (kept.label, kept.method, kept.preset) == (Label("dog", ("puppy",), ("cat",)), "lfss", "mini")
    assert kept.settings == {"threshold": "0.4"}
    first, second = workspace.supports("DOG")
    assert [first.picture.digest, second.picture.digest] == [digest_of(2), digest_of(0)]
    assert (first.known == -1).all()
    assert (second.known == marks).all()
    workspace.put_class(Label("dog"), {digest_of(1): None}, **about)
    assert [s.picture.digest for s in workspace.supports("dog")] == [digest_of(1)]
    assert workspace.labels()[0].label == Label("dog")


def test_a_class_whose_supports_cannot_be_kept_changes_nothing(workspace):
    workspace.put_draft(a_draft(0))
    with pytest.raises(WorkspaceError, match="no picture"):
        workspace.put_class(
            Label("cat"), {digest_of(0): None, digest_of(9): None}, method="lfss", preset="mini"
        )
    with pytest.raises(SupportError, match="60 x 80"):
        workspace.put_class(Label("cat"), {digest_of(0): np.zeros((2, 2), np.int8)}, method="", preset="")
    assert [c.name for c in workspace.labels()] == ["dog"]


def test_a_saved_class_is_copied_into_the_workspace_and_moves_with_it(workspace, tmp_path):
    file = tmp_path / "dog.safetensors"
    file.write_bytes(b"a class")
    workspace.put_class(Label("dog"), {}, method="lfss", preset="mini", class_file=file)
    file.unlink()
    workspace.close()
    with Workspace.open(workspace.folder.rename(tmp_path / "elsewhere")) as moved:
        assert moved.class_file("Dog").read_bytes() == b"a class"
        assert moved.class_file("cat") is None
        with pytest.raises(WorkspaceError, match="cannot be read"):
            moved.put_class(Label("dog"), {}, method="lfss", preset="mini", class_file=file)


def test_supports_keep_order_and_what_is_known(workspace):
    rng = np.random.default_rng(0)
    known = [rng.integers(-1, 2, (60, 80)).astype(np.int8) for _ in range(3)]
    for n in range(3):
        workspace.put_draft(a_draft(n))
        workspace.add_support("dog", digest_of(n), known[n])
    workspace.add_support("dog", digest_of(1), None)
    kept = reopened(workspace).supports("dog")
    assert [s.picture.digest for s in kept] == [digest_of(n) for n in range(3)]
    assert (kept[0].known == known[0]).all()
    assert (kept[1].known == -1).all()


@pytest.mark.parametrize("known", [np.zeros((80, 60), np.int8), np.full((60, 80), 2, np.int8)])
def test_what_does_not_fit_a_support_is_refused(workspace, known):
    workspace.put_draft(a_draft(1))
    with pytest.raises(SupportError, match="60 x 80"):
        workspace.add_support("dog", digest_of(1), known)
