"""What changes many drafts is shown first, stores nothing until it is applied, and is one step of undo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from demo import bulk, review
from demo.bulk import Proposal, carry_out
from demo.bulk_panel import forget
from demo.folder_help import carry_out as improve
from demo.folder_help import forget_passes, learn
from demo.review import View
from demo.run import run
from demo.session import Session, Settings
from lfss.errors import InputError
from lfss.refine_folder import undo as take_back

TODO, ALL = View("red"), View("red", "All")


@pytest.fixture
def drafted(service, session, photo) -> Session:
    """Twelve drafts of "red" with specks, whose scores fall towards the right."""
    session.label = "red"
    session.add_supports([photo("s.png", seed=1)])
    session.add_queries([photo(f"q{i}.png", seed=10 + i) for i in range(12)])
    list(run(service, session, Settings(snap=False)))
    for draft in session.workspace.drafts("red"):
        mask = draft.mask.copy()
        mask[2:4, 2:4] = True
        scores = np.where(mask, np.linspace(0.9, 0.5, mask.shape[1])[None], 0.1).astype(np.float32)
        session.workspace.put_draft(replace(draft, mask=mask), scores)
    return session


def proposal(steps) -> Proposal:
    *_, found = steps
    return found


def masks(session: Session) -> dict[str, bytes]:
    return {d.image_name: d.mask.tobytes() + d.status.encode() for d in session.workspace.drafts("red")}


def again(service, session: Session) -> Proposal:
    return proposal(bulk.again(service, session, TODO))


WAYS = {
    "threshold": lambda service, session: proposal(bulk.threshold(session, "red", 0.7)),
    "accept": lambda service, session: bulk.accept(session, TODO),
    "repair": lambda service, session: proposal(bulk.repair(session, TODO, "Remove specks", 3)),
    "again": again,
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_seen_first_and_taken_back_in_one_step(service, drafted, way):
    before = masks(drafted)
    found = WAYS[way](service, drafted)
    assert masks(drafted) == before
    assert found.count == 12
    assert "12 drafts" in found.html
    assert found.html.count("<figure") == 10
    assert carry_out(drafted, found) == 12
    after = masks(drafted)
    assert all(after[name] != before[name] for name in before)
    assert review.undo(drafted, ALL, back=True)
    assert masks(drafted) == before
    assert review.undo(drafted, ALL, back=False)
    assert masks(drafted) == after


def test_what_was_decided_meanwhile_stays(service, drafted):
    first = review.listed(drafted, TODO)[0].digest
    for way in ("accept", "repair", "again", "threshold"):
        found = WAYS[way](service, drafted)
        drafted.workspace.set_status(first, "red", "absent")
        assert carry_out(drafted, found) == 11, way
        assert drafted.workspace.status(first, "red") == "absent"
        review.undo(drafted, ALL, back=True)
        drafted.workspace.undo(first, "red")


def test_a_repair_of_all_leaves_unchecked_drafts_unchecked_and_decided_ones_alone(service, drafted):
    first = review.listed(drafted, TODO)[0].digest
    drafted.workspace.set_status(first, "red", "accepted")
    found = proposal(bulk.repair(drafted, ALL, "Remove specks", 3))
    assert carry_out(drafted, found) == 11
    states = [row.status for row in review.listed(drafted, ALL)]
    assert (states.count("proposed"), states.count("accepted")) == (11, 1)


def test_empty_masks_that_nobody_has_checked_are_marked_absent_together(drafted):
    rows = review.listed(drafted, ALL)
    for number, row in enumerate(rows[:4]):
        draft = drafted.workspace.draft(row.digest, "red")
        drafted.workspace.put_draft(replace(draft, mask=np.zeros_like(draft.mask), presence=number / 10))
    drafted.workspace.set_status(rows[0].digest, "red", "rejected")
    found = bulk.absent(drafted, ALL)
    shown = [found.html.index(row.name) for row in rows[1:4]]
    assert shown == sorted(shown, reverse=True)  # the least sure one first
    drafted.reviewed = rows[1].digest
    assert carry_out(drafted, found) == 3
    review.stay(drafted, ALL)
    assert drafted.reviewed == rows[1].digest
    review.stay(drafted, TODO)
    assert drafted.reviewed is None
    states = [row.status for row in review.listed(drafted, ALL)]
    assert [states.count(s) for s in ("absent", "rejected", "proposed")] == [3, 1, 8]
    assert review.undo(drafted, ALL, back=True)
    assert all(row.status != "absent" for row in review.listed(drafted, ALL))
    with pytest.raises(InputError, match="no empty mask"):
        bulk.absent(drafted, View("red", "Rejected"))


def test_a_run_that_is_left_may_be_run_again(service, drafted):
    drafted.proposal = again(service, drafted)
    forget(drafted)
    assert drafted.proposal is None
    assert again(service, drafted).count == 12


def test_lists_without_such_drafts_say_so(service, drafted):
    drafted.workspace.set_status([row.digest for row in review.listed(drafted, TODO)], "red", "accepted")
    with pytest.raises(InputError, match="left to accept"):
        bulk.accept(drafted, ALL)
    with pytest.raises(InputError, match="may be repaired"):
        proposal(bulk.repair(drafted, ALL, "Grow", 3))
    with pytest.raises(InputError, match="has been checked"):
        again(service, drafted)


def test_the_folders_help_is_one_step_of_undo_too(service, drafted):
    before = masks(drafted)
    list(learn(service, drafted))
    *_, kept = improve(service, drafted)
    assert kept > 1
    after = masks(drafted)
    assert review.undo(drafted, ALL, back=True)
    assert masks(drafted) == before
    assert review.undo(drafted, ALL, back=False)
    assert masks(drafted) == after
    assert take_back(drafted.workspace, ["red"]) == kept
    forget_passes(drafted)
    assert masks(drafted) == before
    assert drafted.trail == []
