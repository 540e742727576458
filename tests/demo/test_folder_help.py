"""A folder pass in a session: what would change, storing it, and one step back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from demo import background, review
from demo.folder_help import carry_out, learn, preview
from demo.folder_panel import seen as cards
from demo.run import run
from demo.session import Session, Settings
from demo.sessions import Sessions
from lfss.errors import InputError
from lfss.refine_folder import undo
from lfss.refine_preview import Preview


@pytest.fixture
def drafted(service, session, photo) -> Session:
    """Six drafts of "red" with a hole and a false island, as a poorer model would have made them."""
    session.label = "red"
    session.add_supports([photo("s.png", seed=1)])
    session.add_queries([photo(f"q{i}.png", seed=10 + i) for i in range(6)])
    list(run(service, session, Settings(snap=False)))
    for draft in session.workspace.drafts("red"):
        mask = draft.mask.copy()
        mask[60:100, 80:120] = False
        mask[0:40, 280:320] = True
        scores = np.where(mask, 0.8, 0.2).astype(np.float32)
        session.workspace.put_draft(replace(draft, mask=mask), scores)
    return session


def last(steps):
    *_, found = steps
    return found


def masks(session: Session) -> dict[str, np.ndarray]:
    return {d.image_name: d.mask for d in session.workspace.drafts("red")}


def test_a_preview_stores_nothing_and_applying_stores_what_it_showed(service, drafted):
    before = masks(drafted)
    list(learn(service, drafted))
    seen: Preview = last(preview(service, drafted))
    assert seen.changed == len(seen.biggest) == 6
    assert all(np.array_equal(mask, before[name]) for name, mask in masks(drafted).items())
    assert last(carry_out(service, drafted)) == 6
    assert not any(np.array_equal(mask, before[name]) for name, mask in masks(drafted).items())
    assert undo(drafted.workspace, ["red"]) == 6
    assert all(np.array_equal(mask, before[name]) for name, mask in masks(drafted).items())


def test_what_the_run_encoded_is_not_encoded_again(service, drafted):
    list(learn(service, drafted))
    list(preview(service, drafted))
    assert service.cells().computed == 0


def test_what_was_accepted_after_the_preview_stays(service, drafted):
    list(learn(service, drafted))
    row = drafted.workspace.overview("red")[0]
    drafted.workspace.set_status(row.digest, "red", "accepted")
    assert last(carry_out(service, drafted)) == 5


def test_cards_show_both_masks_and_names_cannot_be_html(service, drafted):
    list(learn(service, drafted))
    seen: Preview = last(preview(service, drafted))
    evil = seen.biggest[0]._replace(name="<script>x</script>")
    text = cards(drafted, replace(seen, biggest=(evil, *seen.biggest[1:])))
    assert text.count("<img") == 12
    assert "6 drafts would change" in text
    assert "<script>" not in text


def test_nothing_to_learn_from_and_nothing_learned_are_told(service, session):
    with pytest.raises(InputError, match="no drafts yet"):
        list(learn(service, session))
    with pytest.raises(InputError, match="first"):
        list(carry_out(service, session))


def accept(service, session: Session, view: review.View) -> background.Background | None:
    """As the button does it."""
    with session.turn:
        review.decide(session, view, "accepted")
        return background.accepted(service, session)


def test_an_accepted_draft_refines_the_rest_where_that_is_switched_on(service, drafted):
    """What is accepted and what is looked at stay; the rest is one step of undo, below the person's own."""
    view, before = review.View("red", "All", "Name"), masks(drafted)
    drafted.reviewed = drafted.workspace.overview("red", order="name")[0].digest
    assert accept(service, drafted, view) is None
    background.switch(drafted, on=True)
    work = accept(service, drafted, view)
    assert [*work.errand.follow()][-1].count("3 drafts learned") == 1
    now = masks(drafted)
    changed = {name for name, mask in now.items() if not np.array_equal(mask, before[name])}
    assert changed == {"q3.png", "q4.png", "q5.png"}  # two are accepted, the next one is looked at
    assert "learned from what was accepted: 3 drafts" in drafted.activity[-1]
    assert review.undo(drafted, view, back=True)
    assert [row.status for row in drafted.workspace.overview("red", order="name")][:2] == [
        "accepted",
        "proposed",
    ]
    assert all(np.array_equal(mask, now[name]) for name, mask in masks(drafted).items())
    assert review.undo(drafted, view, back=True)
    assert all(np.array_equal(mask, before[name]) for name, mask in masks(drafted).items())


def test_the_rest_does_not_learn_while_a_preview_waits(service, drafted):
    background.switch(drafted, on=True)
    list(learn(service, drafted))
    drafted.reviewed = drafted.workspace.overview("red")[0].digest
    assert accept(service, drafted, review.View("red")) is None


def test_a_workspace_remembers_whether_the_rest_learns(tmp_path):
    for seen in (False, True):
        sessions = Sessions(tmp_path / "work", root=tmp_path)
        _, session = sessions.open(None)
        assert background.wanted(session) is seen
        background.switch(session, on=True)
        sessions.close()
