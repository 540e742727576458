"""Labels with their words, colours and order."""

from __future__ import annotations

import pytest
from kept import add_labels, reopened
from samples import a_draft, digest_of

from lfss.errors import InputError, LabelError, UnknownName, WorkspaceError
from lfss.labels import Label


def test_labels_keep_words_colour_and_order(workspace):
    dog = workspace.add_label(Label("dog", ("puppy",), ("cat", "wolf")))
    add_labels(workspace, "sky", "tree")
    kept = reopened(workspace).labels()
    assert kept[0] == dog
    assert [c.name for c in kept] == ["dog", "sky", "tree"]
    assert [c.priority for c in kept] == [1, 2, 3]


def test_a_hundred_labels_have_a_hundred_colours_and_none_is_black(workspace):
    colours = {workspace.add_label(f"thing {n}").colour for n in range(100)}
    assert len(colours) == 100
    assert "#000000" not in colours


def test_a_renamed_label_keeps_its_drafts_supports_and_words(workspace):
    workspace.add_label(Label("dog", ("puppy",)))
    workspace.put_draft(a_draft(1))
    workspace.add_support("dog", digest_of(1))
    workspace.rename_label("dog", "hound")
    assert workspace.draft(digest_of(1), "hound").label == "hound"
    assert workspace.labels()[0].label == Label("hound", ("puppy",))
    assert len(workspace.supports("hound")) == 1
    with pytest.raises(UnknownName, match="Known: hound"):
        workspace.draft(digest_of(1), "dog")


@pytest.mark.parametrize("taken", ["cat", "CAT", "cafe\u0301"])
def test_a_label_is_not_renamed_to_an_existing_one(workspace, taken):
    add_labels(workspace, "dog", "cat", "café")
    workspace.put_draft(a_draft(1))
    with pytest.raises(WorkspaceError, match=r"'dog' cannot be renamed .* there already.*nothing was"):
        workspace.rename_label("dog", taken)
    assert workspace.draft(digest_of(1), "dog") is not None


def test_a_label_may_be_renamed_to_another_spelling_of_itself(workspace):
    workspace.add_label("dog")
    workspace.rename_label("dog", "Dog")
    assert [c.name for c in workspace.labels()] == ["Dog"]


def test_two_labels_never_share_a_colour(workspace):
    workspace.add_label("dog", colour="#FF0000")
    with pytest.raises(WorkspaceError, match="share the colour #ff0000"):
        workspace.add_label("cat", colour="#ff0000")
    assert workspace.add_label("cat").colour != "#ff0000"
    assert workspace.labels()[0].colour == "#ff0000"


@pytest.mark.parametrize("colour", ["red", "#12345", "#000000"])
def test_what_is_no_colour_is_refused(workspace, colour):
    with pytest.raises(InputError, match="#rrggbb"):
        workspace.add_label("dog", colour=colour)


def test_a_label_without_a_name_is_refused(workspace):
    with pytest.raises(LabelError, match="needs a name"):
        workspace.add_label("  ")
