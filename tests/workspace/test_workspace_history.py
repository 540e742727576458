"""Changes of drafts, undone and done again, and what a person decides."""

from __future__ import annotations

import numpy as np
import pytest
from kept import reopened, same
from samples import a_draft, digest_of, smooth_scores, write_photo

from lfss.errors import WorkspaceError
from lfss.storage import history


def test_every_change_can_be_undone_and_done_again_after_a_restart(workspace):
    key = (digest_of(1), "dog")
    workspace.put_draft(a_draft(1))
    hand = np.zeros((60, 80), bool)
    hand[10:20, 10:30] = True
    workspace.edit_mask(*key, hand)
    workspace.set_status(*key, "accepted")

    workspace = reopened(workspace)
    assert [c.action for c in workspace.history(*key)] == ["proposed", "edited", "accepted"]
    assert workspace.undo(*key).status == "edited"
    back = workspace.undo(*key)
    assert same(back, a_draft(1))
    assert workspace.undo(*key) is None

    workspace = reopened(workspace)
    assert [c.current for c in workspace.history(*key)] == [True, False, False]
    assert (workspace.redo(*key).mask == hand).all()
    assert workspace.redo(*key).status == "accepted"
    assert workspace.redo(*key) is None


def test_a_change_after_an_undo_drops_what_was_undone(workspace):
    key = (digest_of(1), "dog")
    workspace.put_draft(a_draft(1))
    workspace.set_status(*key, "accepted")
    workspace.undo(*key)
    workspace.set_status(*key, "rejected")
    assert workspace.redo(*key) is None
    assert [c.action for c in workspace.history(*key)] == ["proposed", "rejected"]


def test_undo_and_redo_agree_with_a_plain_list_of_states(workspace):
    rng = np.random.default_rng(7)
    key = (digest_of(1), "dog")
    workspace.put_draft(a_draft(1))
    states, at = [("proposed", a_draft(1).mask)], 0
    for _ in range(60):
        what = rng.integers(4)
        if what == 0:
            mask = rng.random((60, 80)) < 0.2
            workspace.edit_mask(*key, mask)
            states, at = [*states[: at + 1], ("edited", mask)], at + 1
        elif what == 1 and states[at][0] != "accepted":
            workspace.set_status(*key, "accepted")
            states, at = [*states[: at + 1], ("accepted", states[at][1])], at + 1
        elif what == 2:
            assert (workspace.undo(*key) is None) == (at == 0)
            at = max(0, at - 1)
        elif what == 3:
            assert (workspace.redo(*key) is None) == (at == len(states) - 1)
            at = min(len(states) - 1, at + 1)
        now = workspace.draft(*key)
        assert now.status == states[at][0]
        assert (now.mask == states[at][1]).all()
    assert workspace.check() == []


def test_history_is_bounded_in_length_and_in_bytes(workspace, monkeypatch):
    key = (digest_of(1), "dog")
    rng = np.random.default_rng(3)
    workspace.put_draft(a_draft(1))
    monkeypatch.setattr(history, "MAX_REVISIONS", 8)
    for n in range(20):
        workspace.edit_mask(*key, np.indices((60, 80))[0] < n)
    assert len(workspace.history(*key)) == 8
    monkeypatch.setattr(history, "MAX_BYTES", 3000)  # five masks of noise take 5 x 0.6 kB
    for _ in range(20):
        workspace.edit_mask(*key, rng.random((60, 80)) < 0.5)
    assert 2 <= len(workspace.history(*key)) < 7
    with workspace._database.reading() as connection:
        kept = connection.execute("SELECT count(*), sum(length(data)) FROM masks").fetchone()
    assert kept[1] <= 3000
    assert workspace.check() == []


def test_states_that_share_a_mask_store_it_once(workspace):
    workspace.put_draft(a_draft(1), smooth_scores(60, 80, 1))
    for status in ("accepted", "rejected", "proposed", "accepted"):
        workspace.set_status(digest_of(1), "dog", status)
    with workspace._database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM masks").fetchone()[0] == 1


def test_absent_empties_the_mask_and_undo_brings_it_back(workspace):
    key = (digest_of(1), "dog")
    workspace.put_draft(a_draft(1))
    workspace.set_status(*key, "absent")
    gone = workspace.draft(*key)
    assert gone.empty
    assert not gone.mask.any()
    assert (workspace.undo(*key).mask == a_draft(1).mask).all()


def test_absent_may_be_said_of_a_picture_without_a_draft(workspace, tmp_path):
    picture = workspace.add_image(write_photo(tmp_path / "a.png"))
    workspace.add_label("dog")
    assert workspace.set_status(picture.digest, "dog", "absent") == 1
    assert workspace.draft(picture.digest, "dog").origin.model == "person"
    workspace.add_label("cat")
    with pytest.raises(WorkspaceError, match=r"'a.png' has no draft of 'cat'"):
        workspace.set_status(picture.digest, "cat", "accepted")


def test_many_states_change_together_or_not_at_all(workspace):
    for n in range(3):
        workspace.put_draft(a_draft(n))
    with pytest.raises(WorkspaceError, match="no picture"):
        workspace.set_status([digest_of(0), digest_of(1), digest_of(99)], "dog", "accepted")
    assert workspace.stats().drafts == {"dog": {"proposed": 3}}
    assert workspace.set_status(map(digest_of, range(3)), "dog", "accepted") == 3
    assert workspace.set_status(map(digest_of, range(3)), "dog", "accepted") == 0


def test_a_mask_drawn_without_a_model_starts_a_draft(workspace, tmp_path):
    picture = workspace.add_image(write_photo(tmp_path / "a.png"))
    workspace.add_label("dog")
    drawn = workspace.edit_mask(picture.digest, "dog", np.eye(60, 80, dtype=bool))
    assert (drawn.status, drawn.score, drawn.origin.model) == ("edited", None, "person")
    assert workspace.rethreshold("dog", 0.4) == 0
