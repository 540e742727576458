"""The counting itself: what a killed child had acknowledged, and which ends of commands are failures."""

from __future__ import annotations

import os
import time

import pytest

from tests.reliability.children import Ended, command, killed_after

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")


def test_a_killed_child_has_acknowledged_what_it_had_done():
    def work(tell):
        tell("one")
        time.sleep(60)
        tell("two")

    assert killed_after(0.5, work) == ["one"]
    assert killed_after(30, lambda tell: tell("all")) == ["all", "end"]


def test_a_command_shows_its_exit_code_and_what_it_printed(tmp_path):
    assert command(["workspace", "nowhere"], tmp_path).code == 2
    assert "nowhere" in command(["workspace", "nowhere"], tmp_path).printed
    os.mkfifo(tmp_path / "list")
    line = ["segment", "--label", "a", "--support", "b.png", "--list", "list", "--out", "out"]
    assert command(line, tmp_path, limit=1).code is None


def test_what_counts_as_a_failure():
    from tests.reliability.hostile import _wrong

    assert not _wrong(Ended(2, "There is no file 'x'. Check the path."))
    for bad in (
        Ended(None, ""),
        Ended(99, "Traceback: ..."),
        Ended(2, "\x1b[31m"),
        Ended(2, ""),
        Ended(-9, "x"),
    ):
        assert _wrong(bad)
    assert _wrong(Ended(1, "'a.png' met a fault of this program (KeyError: 1)."))
