"""A strip answers with small pictures of a session's own, and with reasons where there is none."""

from __future__ import annotations

import base64
import io

import PIL.Image
import pytest

from demo import query_strip
from demo.sessions import Sessions


@pytest.fixture
def asked(tmp_path, photo):
    """The function that the page calls, a session with two queries, one of them unreadable, and its key."""
    sessions = Sessions(root=tmp_path)
    key, session = sessions.open(None)
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    session.add_queries([photo("q.png", seed=1), tmp_path / "broken.jpg"])
    yield query_strip.build_query_strip(sessions).pictures, session, key
    sessions.close()


def test_tiles_get_small_pictures_or_a_reason_and_strangers_nothing(asked):
    answer, session, key = asked
    whole, broken = (tile["key"] for tile in query_strip.tiles(session, ())["tiles"])
    found = answer({"session": key, "keys": [whole, broken, "../../etc/passwd"]})
    assert set(found) == {whole, broken}
    data = base64.b64decode(found[whole]["picture"].removeprefix("data:image/jpeg;base64,"))
    assert PIL.Image.open(io.BytesIO(data)).size == (256, 192)
    assert "broken.jpg" in found[broken]["error"]
    assert answer({"session": "0" * 32, "keys": [whole]}) == {}


@pytest.mark.parametrize("keys", [None, "x", [3], ["x"] * 25, ["x" * 501]])
def test_what_no_page_sends_gets_nothing(asked, keys):
    answer, _, key = asked
    assert answer({"session": key, "keys": keys}) == {}
    assert answer(keys) == {}


def test_a_picture_is_taken_out_alone(asked):
    _, session, _ = asked
    first, second = session.queries
    query_strip.take_out(session, first.path.stem)
    assert session.queries == [second]
