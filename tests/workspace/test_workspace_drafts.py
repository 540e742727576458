"""Drafts as they are kept, listed and put in order."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from kept import add_labels, reopened, same
from samples import ORIGIN, a_draft, digest_of, smooth_scores

from lfss.doubt import doubt_of
from lfss.errors import InputError, UnknownName, WorkspaceError
from lfss.storage.packed import pack_draft
from lfss.workspace import DATABASE_NAME


def test_a_draft_comes_back_as_it_was_also_after_a_restart(workspace):
    draft = a_draft(1, size=(61, 83))
    assert workspace.put_draft(draft, smooth_scores(61, 83, seed=1))
    assert same(workspace.draft(draft.image_digest, "dog"), draft)
    assert same(reopened(workspace).draft(draft.image_digest, "dog"), draft)


@pytest.mark.parametrize("objects", [None, np.eye(60, 80, dtype=np.uint16)])
def test_a_packed_draft_is_the_draft_again(objects):
    draft = a_draft(1, **({} if objects is None else {"mask": objects > 0, "objects": objects}))
    made = pack_draft(draft).unpack()
    assert np.array_equal(made.objects, draft.objects)
    assert same(replace(made, objects=None), replace(draft, objects=None))


def test_a_draft_that_is_not_there_is_none(workspace):
    workspace.add_label("dog")
    assert workspace.draft(digest_of(1), "dog") is None
    assert not workspace.has_draft(digest_of(1), "dog")
    assert not workspace.has_draft(digest_of(1), "a label nobody added")


def test_drafts_are_listed_by_label_and_state(workspace):
    for n in range(5):
        workspace.put_draft(a_draft(n))
    workspace.put_draft(a_draft(2, "cat"))
    workspace.set_status([digest_of(1), digest_of(3)], "dog", "accepted")
    assert [d.image_digest for d in workspace.drafts("dog", "accepted")] == [digest_of(1), digest_of(3)]
    assert [d.label for d in workspace.drafts()] == ["dog", "dog", "dog", "cat", "dog", "dog"]
    assert len(workspace.drafts("dog", ["accepted", "proposed"])) == 5
    assert workspace.stats().drafts == {"dog": {"proposed": 3, "accepted": 2}, "cat": {"proposed": 1}}


def test_drafts_of_several_labels_come_one_label_after_the_other(workspace):
    add_labels(workspace, "cat", "Dog", "cow")
    for n in range(3):
        for label in ("cow", "Dog", "cat"):
            workspace.put_draft(a_draft(n, label))
    found = workspace.drafts(["DOG", "cat"], order="label")
    assert [(d.label, d.image_digest) for d in found] == [
        (label, digest_of(n)) for label in ("cat", "Dog") for n in range(3)
    ]
    assert len(workspace.drafts([], order="label")) == 0
    with pytest.raises(UnknownName, match="hen"):
        workspace.drafts(["cat", "hen"])


def test_a_list_of_drafts_can_be_walked_twice_and_sliced(workspace):
    for n in range(130):
        workspace.put_draft(a_draft(n, size=(8, 8)))
    drafts = workspace.drafts()
    names = [f"photo {n}.jpg" for n in range(130)]
    assert [d.image_name for d in drafts] == names
    assert [d.image_name for d in drafts] == names
    assert [d.image_name for d in drafts[60:70]] == names[60:70]
    assert drafts[-1].image_name == names[-1]
    with pytest.raises(IndexError):
        drafts[130]


def test_the_most_doubtful_draft_comes_first_and_one_without_a_score_before_it(workspace):
    for n, doubt in [(0, 0.1), (1, 0.6), (3, 0.9), (4, 0.3)]:
        workspace.put_draft(a_draft(n, score=0.9, doubt=doubt))
    workspace.put_draft(a_draft(2, score=None, doubt=None))
    workspace.put_draft(a_draft(5, score=0.5, doubt=None))  # of another program: 1 - score
    workspace.put_draft(a_draft(6, score=0.8, doubt=0.3))
    rows = workspace.overview("dog", order="doubt")
    assert [row.name for row in rows] == [f"photo {n}.jpg" for n in (2, 3, 1, 5, 6, 4, 0)]
    assert [row.doubt for row in rows] == [None, 0.9, 0.6, 0.5, 0.3, 0.3, 0.1]
    assert [d.image_name for d in reopened(workspace).drafts(order="doubt")] == [row.name for row in rows]


def test_doubt_follows_the_threshold_and_stays_with_a_decision(workspace):
    key, scores = (digest_of(1), "dog"), smooth_scores(60, 80, 1)
    workspace.put_draft(a_draft(1, doubt=0.123), scores)
    workspace.rethreshold("dog", 0.7)
    assert workspace.draft(*key).doubt == pytest.approx(doubt_of(scores, 0.7), abs=0.02)
    workspace.set_status(*key, "accepted")
    assert workspace.draft(*key).doubt == pytest.approx(doubt_of(scores, 0.7), abs=0.02)
    workspace.set_status(*key, "proposed")
    workspace.rethreshold("dog", 0.5)
    assert workspace.draft(*key).doubt == 0.123


def test_a_draft_knows_what_it_lost_to_which_label(workspace):
    workspace.put_draft(a_draft(1, lost={"cat": 0.25, "собака": 0.5}))
    assert workspace.draft(digest_of(1), "dog").lost == {"cat": 0.25, "собака": 0.5}
    assert workspace.overview()[0].lost == {"cat": 0.25, "собака": 0.5}
    workspace.put_draft(a_draft(2))
    assert workspace.overview()[1].lost == {}


def test_a_row_tells_who_made_the_mask(workspace):
    workspace.put_draft(a_draft(1))
    (row,) = workspace.overview()
    assert (row.model, row.threshold, row.status, row.path) == ("fake 1.0", 0.5, "proposed", None)


def test_a_list_says_so_when_a_draft_was_removed_meanwhile(workspace):
    workspace.put_draft(a_draft(1))
    drafts = workspace.drafts()
    with closing(sqlite3.connect(workspace.folder / DATABASE_NAME)) as other, other:
        other.execute("PRAGMA foreign_keys = ON")
        other.execute("DELETE FROM labels WHERE name='dog'")
    with pytest.raises(WorkspaceError, match="removed"):
        list(drafts)


def test_a_proposal_never_replaces_what_a_person_decided(workspace):
    for n, status in enumerate(["accepted", "rejected", "edited", "absent"]):
        workspace.put_draft(a_draft(n))
        workspace.set_status(digest_of(n), "dog", status)
        assert not workspace.put_draft(a_draft(n, score=0.1))
        assert workspace.draft(digest_of(n), "dog").status == status


def test_a_new_proposal_replaces_an_earlier_one_unless_told_not_to(workspace):
    workspace.put_draft(a_draft(1))
    assert not workspace.put_draft(a_draft(1, score=0.2), overwrite=False)
    assert workspace.put_draft(a_draft(1, score=0.1))
    assert workspace.draft(digest_of(1), "dog").score == 0.1
    assert workspace.undo(digest_of(1), "dog").score == a_draft(1).score


def test_the_same_draft_again_does_not_lengthen_the_history(workspace):
    key = (digest_of(1), "dog")
    assert workspace.put_draft(a_draft(1))
    assert workspace.put_draft(a_draft(1))
    assert len(workspace.history(*key)) == 1
    assert workspace.put_draft(a_draft(1), smooth_scores(60, 80, 1))  # now with its map
    assert workspace.put_draft(a_draft(1), smooth_scores(60, 80, 1))
    assert len(workspace.history(*key)) == 2
    assert workspace.rethreshold("dog", 0.7) == 1


def test_a_mask_of_another_size_than_its_picture_is_refused(workspace):
    workspace.put_draft(a_draft(1, size=(60, 80)))
    with pytest.raises(InputError, match="80 x 60, its picture is 60 x 80"):
        workspace.put_draft(a_draft(1, "cat", mask=np.zeros((80, 60), bool)))
    with pytest.raises(InputError, match="own size"):
        workspace.edit_mask(digest_of(1), "dog", np.zeros((80, 60), bool))
    assert workspace.stats().drafts == {"dog": {"proposed": 1}}


def test_what_is_put_in_is_not_changed(workspace):
    draft, scores = a_draft(1), smooth_scores(60, 80, 1)
    mask, before = draft.mask.copy(), scores.copy()
    workspace.put_draft(draft, scores)
    workspace.rethreshold("dog", 0.7)
    assert (draft.mask == mask).all()
    assert (scores == before).all()


def test_the_origin_keeps_every_setting(workspace):
    origin = replace(ORIGIN, settings={"size": "400", "edges": "on"})
    workspace.put_draft(a_draft(1, origin=origin))
    assert reopened(workspace).draft(digest_of(1), "dog").origin == origin
