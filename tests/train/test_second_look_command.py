"""What a second look brings is counted rightly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.train.tiny_sets import Rectangle, write_rectangles
from train.second_look import Pair, by_size, gain_of, main


def pair(share: float, once: float, twice: float, *, looked: bool = True) -> Pair:
    return Pair("q", "cat", share, once, twice, looked, (0.5, 1.0))


def test_gains_are_counted_by_hand() -> None:
    pairs = [pair(0.01, 0.5, 0.9), pair(0.01, 0.7, 0.6), pair(0.5, 0.9, 0.9, looked=False)]
    gain = gain_of(pairs)
    assert (gain.queries, gain.looked, gain.better, gain.worse) == (3, 2, 1, 1)
    assert gain.once == pytest.approx(0.7)
    assert gain.twice == pytest.approx(0.8)
    assert gain.usable_once == pytest.approx(1 / 3)
    assert gain.usable_twice == pytest.approx(2 / 3)
    assert gain.time == 2
    assert gain.low < gain.twice - gain.once < gain.high


def test_sizes_are_told_apart() -> None:
    found = by_size([pair(0.01, 0, 1), pair(0.06, 0, 1), pair(1.0, 0, 1)])
    assert {name: gain.queries for name, gain in found.items()} == {
        "all": 3,
        "0% to 2%": 1,
        "6% to 15%": 1,
        "15% to 100%": 1,
    }


def test_the_command_writes_every_query(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boxes = [(43, 43, 43 + 30 * (1 + i), 83) for i in range(4)]
    root = write_rectangles(tmp_path / "reds", [Rectangle("red", 1, box) for box in boxes])
    out = tmp_path / "out.json"
    given = ["--data", str(root), "--layout", "folder", "--preset", "tests.fakes:preset", "--device", "cpu"]
    more = ["--classes", "red", "--episodes", "4", "--cache", str(tmp_path / "c"), "--out", str(out)]
    assert main([*given, *more]) == 0
    assert "| all | 4 |" in capsys.readouterr().out
    content = json.loads(out.read_text())
    assert content["command"].startswith("python -m train.second_look --data")
    assert len(content["pairs"]) == 4
    assert content["sizes"]["all"]["looked"] > 0
