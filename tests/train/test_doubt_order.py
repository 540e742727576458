"""The order by doubt is judged rightly: hand-made drafts, a plain AUC, and the command as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lfss.errors import InputError
from tests.train.tiny_sets import Rectangle, write_rectangles
from train.doubt import DOUBT, PLAIN, Judged, compare, main


def drafts(rng: np.random.Generator, count: int = 40) -> list[Judged]:
    """Drafts whose doubt follows their IoU closely, their plain score loosely."""
    ious = rng.random(count)
    return [
        Judged("cat", str(i), iou, {DOUBT: 1 - iou + rng.normal(0, 0.02), PLAIN: 1 - iou + rng.normal(0, 1)})
        for i, iou in enumerate(ious)
    ]


def test_the_auc_is_the_share_of_pairs_in_the_right_order_by_a_plain_loop():
    judged = drafts(np.random.default_rng(0))
    right = pairs = 0
    for a in judged:
        for b in judged:
            if a.iou < 0.8 <= b.iou:
                pairs += 1
                right += a.orders[PLAIN] > b.orders[PLAIN]
    assert compare(judged, limit=0.8, draws=10, seed=0)[PLAIN].auc == pytest.approx(right / pairs)


def test_a_better_order_is_seen_to_be_better():
    found = compare(drafts(np.random.default_rng(1)), limit=0.8, draws=200, seed=0)
    assert found[DOUBT].auc > 0.95
    assert found[DOUBT].gain == pytest.approx(found[DOUBT].auc - found[PLAIN].auc)
    assert found[DOUBT].gain_low > 0
    assert found[DOUBT].low <= found[DOUBT].auc <= found[DOUBT].high
    assert found[DOUBT].first_fifth == 1
    assert (found[PLAIN].gain, found[PLAIN].gain_low, found[PLAIN].gain_high) == (0, 0, 0)


def test_the_same_seed_gives_the_same_interval():
    judged = drafts(np.random.default_rng(2))
    assert compare(judged, limit=0.8, draws=50, seed=3) == compare(judged, limit=0.8, draws=50, seed=3)


def test_drafts_of_one_kind_are_told_in_a_sentence():
    with pytest.raises(InputError, match="needs both kinds"):
        compare(drafts(np.random.default_rng(0)), limit=1.1, draws=5, seed=0)
    with pytest.raises(InputError, match="no draft"):
        compare([], limit=0.8, draws=5, seed=0)


def test_the_command_prints_a_table_and_writes_every_draft(tmp_path: Path, capsys):
    """Every second truth marks only a part of what is red, so those drafts are bad."""
    box, longer = (60, 40, 180, 200), (60, 40, 180, 300)
    root = write_rectangles(
        tmp_path / "reds", [Rectangle("red", 1, longer if i % 2 else box, box) for i in range(6)]
    )
    out = tmp_path / "doubt.json"
    given = ["--data", str(root), "--layout", "folder", "--preset", "tests.fakes:preset", "--device", "cpu"]
    code = main(
        [*given, "--episodes", "6", "--draws", "20", "--cache", str(tmp_path / "c"), "--out", str(out)]
    )
    assert code == 0
    printed = capsys.readouterr().out
    assert "6 drafts" in printed
    assert "| doubt |" in printed
    content = json.loads(out.read_text())
    assert content["bad"] == 3
    assert content["usable"] == {"all": 0.5, "red": 0.5}
    assert content["command"].startswith("python -m train.doubt --data")
    assert len(content["judged"]) == 6
    assert set(content["orders"]) >= {DOUBT, PLAIN, "plain: presence"}


def test_a_missing_folder_is_told_in_a_sentence(tmp_path: Path, capsys):
    assert main(["--data", str(tmp_path / "none"), "--split", "val"]) == 2
    assert "Traceback" not in capsys.readouterr().err
