from __future__ import annotations

import numpy as np
import pytest

from demo import review
from demo.review import View
from demo.run import run
from demo.session import Session, Settings
from lfss.errors import InputError
from lfss.workspace import Workspace

TODO, ALL = View("red"), View("red", "All")


@pytest.fixture
def drafted(service, session, photo):
    """Four drafts of "red"; the last picture does not show it."""
    session.label = "red"
    session.add_supports([photo("s.png", seed=1)])
    session.add_queries(
        [photo(f"q{i}.png", seed=10 + i, box=(20 + 10 * i, 30, 150, 200 + 10 * i)) for i in range(3)]
        + [photo("none.png", "blue", seed=20)]
    )
    list(run(service, session, Settings()))
    session.reviewed = review.listed(session, TODO)[0].digest
    return session


def test_the_most_doubtful_draft_comes_first(drafted):
    rows = review.listed(drafted, TODO)
    order = [(-row.doubt, row.score) for row in rows]
    assert order == sorted(order)
    assert len(set(order)) > 1
    assert len(rows) == 4


def test_the_order_is_the_same_after_a_restart(drafted):
    rows = review.listed(drafted, TODO)
    drafted.workspace.close()
    with Workspace.open(drafted.workspace.folder, create=False) as workspace:
        assert review.listed(Session(drafted.folder, workspace), TODO) == rows


def test_a_draft_without_a_score_counts_as_most_doubtful(drafted, photo):
    drafted.add_queries([photo("drawn.png", seed=30)])
    picture = drafted.workspace.add_image(drafted.queries[-1].path, keep=True)
    drafted.workspace.edit_mask(picture.digest, "red", np.ones(picture.size, bool))
    rows = review.listed(drafted, ALL)
    assert len(rows) == 5
    assert review.caption(rows[0]).startswith("no score")


def test_a_decision_goes_on_to_the_next_draft_and_leaves_the_list(drafted):
    rows = review.listed(drafted, TODO)
    review.decide(drafted, TODO, "accepted")
    assert drafted.reviewed == rows[1].digest
    assert len(review.listed(drafted, TODO)) == 3
    assert [r.digest for r in review.listed(drafted, View("red", "Accepted"))] == [rows[0].digest]


def test_undo_brings_back_the_last_decision_wherever_it_was(drafted):
    first = drafted.reviewed
    review.decide(drafted, TODO, "accepted")
    review.decide(drafted, TODO, "absent")
    assert review.undo(drafted, ALL, back=True)
    assert review.undo(drafted, ALL, back=True)
    assert drafted.reviewed == first
    assert len(review.listed(drafted, TODO)) == 4
    assert review.undo(drafted, ALL, back=False)
    assert drafted.workspace.draft(first, "red").status == "accepted"


def test_undo_stays_with_the_label_that_is_shown(service, drafted):
    drafted.label = "blue"
    list(run(service, drafted, Settings(assume_present=True)))
    blue = View("blue", "All")
    review.decide(drafted, TODO, "accepted")
    ((accepted, _),) = drafted.trail[-1]
    drafted.reviewed = review.listed(drafted, blue)[0].digest
    review.decide(drafted, blue, "absent")
    assert review.undo(drafted, ALL, back=True)
    assert drafted.workspace.draft(accepted, "red").status == "proposed"
    assert [row.status for row in review.listed(drafted, blue)].count("absent") == 1
    assert review.undo(drafted, blue, back=True)
    assert not any(row.status == "absent" for row in review.listed(drafted, blue))


def test_a_label_is_found_in_whatever_spelling(drafted):
    assert len(review.listed(drafted, View("RED"))) == 4
    assert len(review.unchecked(drafted, "Red")) == 4
    review.decide(drafted, TODO, "accepted")
    assert review.undo(drafted, View("Red", "All"), back=True)


def test_nothing_to_undo_is_no_error(drafted):
    assert not review.undo(drafted, ALL, back=False)
    assert not review.undo(drafted, View(None), back=True)


@pytest.mark.parametrize("name", list(review.REPAIRS))
def test_every_repair_is_one_step_that_undo_takes_back(drafted, name):
    before = review.draft_of(drafted, ALL).mask
    review.repair(drafted, ALL, name, 5)
    after = review.draft_of(drafted, ALL)
    assert after.mask.shape == before.shape
    if not np.array_equal(after.mask, before):
        assert after.status == "edited"
        assert review.undo(drafted, ALL, back=True)
        assert np.array_equal(review.draft_of(drafted, ALL).mask, before)


def test_a_support_must_have_been_checked(drafted):
    with pytest.raises(InputError, match="Accept or correct"):
        review.teach(drafted, TODO)


def with_object(session) -> str:
    return next(d.image_digest for d in session.workspace.drafts("red") if d.mask.any())


def test_an_accepted_draft_becomes_a_support_with_its_mask(drafted):
    digest = drafted.reviewed = with_object(drafted)
    mask = review.draft_of(drafted, TODO).mask
    review.decide(drafted, TODO, "accepted")
    drafted.reviewed = digest
    review.teach(drafted, ALL)
    item = review.teach(drafted, ALL)
    assert len(drafted.supports) == 2
    assert np.array_equal(item.marks() == 1, mask)


def test_what_was_taught_reaches_unchecked_drafts_alone(service, drafted):
    digest = drafted.reviewed = with_object(drafted)
    review.decide(drafted, TODO, "accepted")
    drafted.reviewed = digest
    review.teach(drafted, ALL)
    again = [u.digest for u in run(service, drafted, Settings(), queries=review.unchecked(drafted, "red"))]
    assert digest not in again
    assert len([d for d in again if d]) == 3
    assert drafted.workspace.draft(digest, "red").status == "accepted"


def test_a_draft_that_learned_still_competes_with_the_other_labels(service, session, photo):
    session.label = "red"
    session.add_supports([photo("s.png", seed=1)])
    session.classes.add().label = "crimson, red"
    session.add_supports([photo("t.png", seed=2)])
    session.add_queries([photo("q.png", seed=3)])
    list(run(service, session, Settings(), items=session.classes))
    crimson = session.classes.chosen
    session.add_supports([photo("u.png", seed=4)])
    queries = review.unchecked(session, "crimson")
    again = run(service, session, Settings(), items=session.classes, queries=queries, drafts_of=crimson)
    assert [u.overlap is not None for u in again if u.digest] == [True, True]
    (red,), (other,) = (list(session.workspace.drafts(label)) for label in ("red", "crimson"))
    assert not (red.mask & other.mask).any()
    assert len(other.origin.supports) == 2
    session.classes.add().label = "blue"
    session.add_supports([photo("v.png", "blue", seed=5)])
    list(run(service, session, Settings(), items=session.classes, queries=queries, drafts_of=crimson))
    assert "blue" not in session.workspace.stats().drafts or not session.workspace.drafts("blue")


def test_neighbours_stop_at_the_ends(drafted):
    rows = review.listed(drafted, TODO)
    assert review.neighbour(rows, rows[0].digest, -1) == rows[0].digest
    assert review.neighbour(rows, rows[-1].digest, 1) == rows[-1].digest
    assert review.neighbour(rows, "gone", 1) == rows[0].digest
    assert review.neighbour([], None, 1) is None


def test_thumbnails_follow_the_mask(drafted):
    row = review.listed(drafted, ALL)[0]
    before = review.thumbnail(drafted, row)
    assert review.thumbnail(drafted, row) == before
    drafted.reviewed = row.digest
    review.change(drafted, ALL, np.ones((240, 320), bool))
    after = review.thumbnail(drafted, next(r for r in review.listed(drafted, ALL) if r.digest == row.digest))
    assert after != before
    assert after.read_bytes() != before.read_bytes()


def test_an_empty_workspace_lists_nothing(session):
    assert review.listed(session, TODO) == []
    assert review.labels(session) == []
    with pytest.raises(InputError, match="Choose a draft"):
        review.draft_of(session, TODO)


def test_each_of_several_labels_has_its_own_doubts_and_learns_for_itself(service, drafted):
    red = drafted.classes.chosen
    drafted.classes.add().label = "blue"
    blue = drafted.classes.chosen
    drafted.view(blue)
    rows = review.listed(drafted, TODO)
    assert {row.digest for row in rows} == set(red.found)
    drafted.reviewed = with_object(drafted)
    drafted.workspace.set_status(drafted.reviewed, "red", "accepted")
    assert review.teach(drafted, ALL).note == "taught"
    assert (len(red.supports), len(blue.supports)) == (2, 0)
