from __future__ import annotations

import os

import numpy as np
import pytest
from samples import a_dead_process

from demo import results
from demo.sessions import Sessions
from demo.uploads import Upload
from lfss.errors import InputError
from lfss.labels import parse_label
from lfss.support import Support


def test_an_unknown_or_malformed_id_opens_a_new_session(sessions):
    first, _ = sessions.open("../../etc/passwd")
    second, _ = sessions.open(None)
    assert first != second
    assert len(first) == 32


def test_a_returning_tab_finds_its_session(sessions, photo):
    key, session = sessions.open(None, page="p1")
    session.add_supports([photo("a.png")])
    sessions.leave("p1")
    assert sessions.open(key, page="p2")[1].supports[0].picture.name == "a.png"


def test_sessions_do_not_share_supports(sessions, photo):
    (_, a), (_, b) = sessions.open(None), sessions.open(None)
    a.add_supports([photo("a.png")])
    assert not b.supports
    assert a.folder != b.folder


def test_leaving_frees_pictures_and_lets_the_run_go_on(sessions, photo):
    _, session = sessions.open(None, page="p")
    session.add_supports([photo("a.png")])
    session.shown(session.supports[0].picture.digest)
    sessions.leave("p")
    assert not session.cancel.is_set()
    assert not session._shown


def test_a_session_that_is_open_in_another_page_goes_on(sessions, photo):
    key, session = sessions.open(None, page="old")
    session.add_supports([photo("a.png")])
    session.shown(session.supports[0].picture.digest)
    sessions.open(key, page="new")
    sessions.leave("old")
    assert not session.cancel.is_set()
    assert session._shown
    sessions.leave("new")
    assert not session._shown


def test_idle_sessions_are_removed_with_their_files(tmp_path):
    sessions = Sessions(root=tmp_path, idle_seconds=0)
    key, session = sessions.open(None)
    sessions.open(None)
    assert not session.folder.exists()
    with pytest.raises(InputError, match="Reload"):
        sessions.get(key)


def test_what_visitors_sent_to_an_app_that_was_killed_goes_when_the_next_one_starts(tmp_path):
    killed, running = Sessions(root=tmp_path), Sessions(root=tmp_path)
    of_the_dead = killed.root.name.replace(f"-{os.getpid()}-", f"-{a_dead_process()}-")
    left = killed.root.rename(tmp_path / of_the_dead)
    (left / "photo.png").touch()
    Sessions(root=tmp_path).close()
    assert not left.exists()
    assert running.root.exists()


def test_a_named_workspace_is_shared_and_survives(tmp_path):
    sessions = Sessions(tmp_path / "work", root=tmp_path)
    assert sessions.open(None)[1].workspace is sessions.open(None)[1].workspace
    sessions.close()
    assert (tmp_path / "work" / "workspace.sqlite").exists()


def test_unreadable_supports_are_refused_and_the_rest_is_kept(session, photo, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 no picture")
    svg = tmp_path / "drawing.svg"
    svg.write_text("<svg/>")
    refused = session.add_supports([broken, svg, photo("good.png")])
    assert [s.picture.name for s in session.supports] == ["good.png"]
    assert len(refused) == 2
    assert "drawing.svg" in refused[1]


def test_the_same_support_is_taken_once(session, photo):
    refused = session.add_supports([photo("a.png"), photo("b.png")])
    assert len(session.supports) == 1
    assert "already" in refused[0]


def test_marks_come_back_as_they_were(session, photo):
    session.add_supports([photo("a.png")])
    known = np.random.default_rng(0).integers(-1, 2, (240, 320)).astype(np.int8)
    session.mark(0, known, "scribble")
    assert np.array_equal(session.supports[0].marks(), known)
    session.mark(0, None, "label only")
    assert session.supports[0].marks() is None
    assert not list(session.folder.glob("known-*"))


def test_only_the_last_few_pictures_stay_in_memory(session, photo):
    for i in range(12):
        picture = session.register(Upload(photo(f"{i}.png", seed=i), f"{i}.png"))
        session.shown(picture.digest)
    assert len(session._shown) == 8


def test_a_result_comes_back_with_every_stage(session, service, photo):
    session.add_supports([photo("a.png", seed=1)])
    picture = session.register(Upload(photo("q.png", seed=2, box=(30, 40, 200, 250)), "q.png"))
    prepared = service.prepare(parse_label("red"), [Support(s.picture.read()) for s in session.supports])
    prediction = service.predictor().predict(prepared, picture.read())
    session.keep_result(picture.digest, results.compact(prediction, present=True))
    session.release()
    found = session.result(picture.digest)
    assert found is not None
    assert [s.key for s in found.prediction.stages] == [s.key for s in prediction.stages]
    assert np.mean(found.mask(0.5) != prediction.mask) < 0.002
    for new, old in zip(found.prediction.stages, prediction.stages):
        assert len(new.supports) == len(old.supports)
        if old.kind == "mask" and old.key != "prediction":
            assert np.array_equal(new.query, old.query)


def test_large_results_are_kept_small(session, service, photo):
    picture = session.register(Upload(photo("q.png", size=(1500, 2000), box=(300, 400, 900, 1500)), "q.png"))
    prepared = service.prepare(parse_label("red"), [Support(picture.read())])
    prediction = service.predictor().predict(prepared, picture.read())
    result = results.compact(prediction, present=True)
    assert max(result.prediction.score.shape) == 1024
    assert (result.mask(prediction.threshold) == prediction.mask).all()
    assert np.mean(result.mask(0.5) != prediction.mask) < 0.005
    assert not results.compact(prediction, present=False).mask(0.1).any()


def test_a_new_tab_goes_on_with_the_session_of_a_closed_one_and_not_of_an_open_one(sessions):
    first, session = sessions.open("a" * 32, page="p1")
    assert sessions.open("b" * 32, page="p2", last=first)[1] is not session
    sessions.leave("p1")
    assert sessions.open("c" * 32, page="p3", last=first) == ("c" * 32, session)
    assert sessions.get("a" * 32) is session
    assert sessions.open("d" * 32, page="p4", last=first)[1] is not session
    sessions.leave("p3")
    assert sessions.open("e" * 32, page="p5", last="f" * 32)[1] is not session


def test_a_workspace_that_is_shared_hands_its_latest_closed_session_on(tmp_path):
    sessions = Sessions(tmp_path / "work", root=tmp_path)
    _, session = sessions.open("a" * 32, page="p1")
    assert sessions.open("b" * 32, page="p2")[1] is not session
    sessions.leave("p1")
    assert sessions.open("c" * 32, page="p3")[1] is session
    assert sessions.open(None)[1] is not session
    sessions.close()
