from __future__ import annotations

import numpy as np
import pytest

from demo.run import prepare, run
from demo.session import Settings
from lfss.errors import InputError, LabelError, SupportError


@pytest.fixture
def ready(session, photo):
    """A session with a label, two supports and three queries, one of them without the object."""
    session.label = "red"
    session.add_supports([photo("s1.png", seed=1), photo("s2.png", seed=2, box=(20, 30, 120, 160))])
    session.add_queries(
        [
            photo("q1.png", seed=3, box=(100, 100, 200, 300)),
            photo("q2.png", "blue", seed=4),
            photo("q3.png", seed=5),
        ]
    )
    return session


def test_every_query_becomes_a_draft_with_its_origin(service, ready):
    updates = list(run(service, ready, Settings(0.4)))
    assert [u.digest is not None for u in updates].count(True) == 3
    drafts = {d.image_name: d for d in ready.workspace.drafts("red")}
    assert set(drafts) == {"q1.png", "q2.png", "q3.png"}
    assert drafts["q1.png"].mask[100:200, 100:300].mean() > 0.95
    assert not drafts["q2.png"].mask.any()
    origin = drafts["q1.png"].origin
    assert origin.threshold == 0.4
    assert origin.supports == tuple(s.picture.digest for s in ready.supports)
    assert origin.model.startswith("fake ")


def test_stages_stream_in_before_the_result(service, ready):
    first = [u for u in run(service, ready, Settings()) if u.name == "q1.png"]
    assert [len(u.stages) for u in first[:4]] == [0, 1, 2, 3]
    assert first[-1].digest


def test_cancel_keeps_what_is_done_and_run_goes_on_with_the_rest(service, ready):
    for update in run(service, ready, Settings()):
        if update.digest:
            ready.cancel.set()
    assert len(ready.found) == 1
    rest = [u.name for u in run(service, ready, Settings()) if u.digest]
    assert rest == ["q2.png", "q3.png"]
    assert list(run(service, ready, Settings())) == []


def test_other_settings_make_every_result_anew(service, ready):
    list(run(service, ready, Settings()))
    assert len([u for u in run(service, ready, Settings(assume_present=True)) if u.digest]) == 3


def test_a_broken_query_is_told_and_the_rest_goes_on(service, ready, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    ready.add_queries([broken])
    assert len([u for u in run(service, ready, Settings()) if u.digest]) == 3
    assert [name for name, _ in ready.failures] == ["broken.png"]


def test_running_again_tells_how_far_each_mask_moved(service, ready):
    list(run(service, ready, Settings()))
    again = [u.overlap for u in run(service, ready, Settings(0.95)) if u.digest]
    assert again[0] is not None
    assert again[0] <= 1.0


def test_what_is_missing_is_told_in_a_sentence(service, session, photo):
    with pytest.raises(LabelError, match="Type a label"):
        prepare(service, session)
    session.label = "red"
    with pytest.raises(SupportError, match="support"):
        prepare(service, session)
    session.add_supports([photo("a.png")])
    with pytest.raises(InputError, match="picture"):
        list(run(service, session, Settings()))


def test_an_unknown_word_is_found_through_marks(service, session, photo):
    session.label = "wombat"
    session.add_supports([photo("s.png", seed=1)])
    session.add_queries([photo("q.png", seed=2, box=(30, 40, 200, 250))])
    with pytest.raises(SupportError, match="does not know the word"):
        list(run(service, session, Settings()))
    known = np.zeros((240, 320), np.int8)
    known[60:180, 80:220] = 1
    session.mark(0, known, "mask")
    list(run(service, session, Settings(assume_present=True)))
    (draft,) = session.workspace.drafts("wombat")
    assert draft.mask[60:180, 80:220].mean() > 0.8


def test_a_run_without_drafts_leaves_the_workspace_empty(service, ready):
    list(run(service, ready, Settings(), keep_drafts=False))
    assert ready.workspace.stats().pictures == 0
    assert len(ready.found) == 3
