"""Another threshold for stored drafts: whom it changes, and whom it leaves alone."""

from __future__ import annotations

from array import array
from dataclasses import replace

import numpy as np
import pytest
from samples import ORIGIN, a_draft, digest_of, smooth_scores

from lfss.packing import pack_scores
from lfss.storage import thresholds
from lfss.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / "ws") as opened:
        yield opened


def add(workspace: Workspace, count: int, **fields) -> None:
    for number in range(count):
        workspace.put_draft(a_draft(number, size=(8, 8), **fields), smooth_scores(8, 8, number))


def meanwhile(monkeypatch, act) -> None:
    """Let somebody act once, between the reading of a batch of drafts and its writing."""
    real, done = thresholds._recut, []

    def slow(*given):
        if not done:
            done.append(True)
            act()
        return real(*given)

    monkeypatch.setattr(thresholds, "_recut", slow)


@pytest.mark.parametrize("act", ["edit", "accept", "undo"])
def test_a_draft_that_somebody_changes_meanwhile_is_left_alone(workspace, monkeypatch, act):
    add(workspace, 3)
    drawn, digest = np.eye(8, dtype=bool), digest_of(1)
    workspace.rethreshold("dog", 0.45, digests=[digest])
    acts = {
        "edit": lambda: workspace.edit_mask(digest, "dog", drawn),
        "accept": lambda: workspace.set_status(digest, "dog", "accepted"),
        "undo": lambda: workspace.undo(digest, "dog"),
    }
    meanwhile(monkeypatch, acts[act])
    assert workspace.rethreshold("dog", 0.7) == 2
    now = workspace.draft(digest, "dog")
    assert now.origin.threshold != 0.7
    assert now.status == {"edit": "edited", "accept": "accepted", "undo": "proposed"}[act]
    if act == "edit":
        assert np.array_equal(now.mask, drawn)
    assert workspace.draft(digest_of(0), "dog").origin.threshold == 0.7


def test_progress_is_told_after_every_sixteen_drafts(workspace):
    add(workspace, 35)
    told = []
    changed = workspace.rethreshold("dog", 0.6, on_progress=lambda *now: told.append(now))
    assert changed == 35
    assert told == [(16, 35), (32, 35), (35, 35)]
    assert {d.origin.threshold for d in workspace.drafts()} == {0.6}


def test_drafts_that_stay_as_they_are_are_neither_counted_nor_written(workspace):
    add(workspace, 2)
    assert workspace.rethreshold("dog", 0.6) == 2
    before = [len(workspace.history(digest_of(n), "dog")) for n in range(2)]
    assert workspace.rethreshold("dog", 0.6) == 0
    assert [len(workspace.history(digest_of(n), "dog")) for n in range(2)] == before


@pytest.mark.parametrize(("needed", "shown"), [(0.4, True), (0.5, True), (0.6, False)])
def test_presence_has_to_reach_what_is_needed(workspace, needed, shown):
    add(workspace, 1, presence=0.5)
    workspace.rethreshold("dog", 0.45, presence=needed)
    assert workspace.draft(digest_of(0), "dog").mask.any() == shown


def test_a_draft_whose_presence_is_not_known_keeps_its_mask(workspace):
    add(workspace, 1, presence=None)
    workspace.rethreshold("dog", 0.45, presence=0.9)
    assert workspace.draft(digest_of(0), "dog").mask.any()


def test_drafts_without_a_map_are_passed_over(workspace):
    add(workspace, 1)
    workspace.put_draft(a_draft(7, size=(8, 8)))
    assert workspace.rethreshold("dog", 0.7) == 1
    assert workspace.draft(digest_of(7), "dog").origin.threshold == 0.5


def test_a_draft_that_is_not_there_is_passed_over(workspace):
    add(workspace, 1)
    ids = array("q", [999])
    assert thresholds.change(workspace._database, ids, 0.7, presence=None, on_progress=None) == 0


def test_the_last_score_map_is_given_and_the_last_one_without_a_setting(workspace):
    first, second = smooth_scores(8, 8, 1), smooth_scores(8, 8, 2)
    workspace.put_draft(a_draft(0, size=(8, 8)), first)
    later = replace(ORIGIN, settings={"pass": "2"})
    workspace.put_draft(a_draft(0, size=(8, 8), mask=second >= 0.5, origin=later), second)
    digest = digest_of(0)
    kept = [workspace.score_map(digest, "dog"), workspace.score_map(digest, "dog", without="pass")]
    expected = [pack_scores(second), pack_scores(first)]
    assert [m.scores for m in kept if m is not None] == expected
    workspace.put_draft(a_draft(3, size=(8, 8), origin=later), first)
    assert workspace.score_map(digest_of(3), "dog", without="pass") is None
