"""Means over seeds, where a class was not asked for by all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from train.measure.metrics import ClassIoU
from train.measure.report import draw, summarise


def test_a_class_that_one_seed_never_asked_for_is_left_out_of_the_figures_by_class():
    scores = ClassIoU(["cat", "cow"], "native").compute()
    runs = [
        {"a": replace(scores, iou={"cat": 0.5, "cow": 0.1}, miou=0.3)},
        {"a": replace(scores, iou={"cat": 0.7}, miou=0.7)},
    ]
    row = summarise(runs)["a"]
    assert row["iou"] == {"cat": pytest.approx(0.6)}
    assert row["miou"] == pytest.approx(0.5)


def test_bars_stand_around_the_place_of_their_class_and_scores_reach_from_0_to_1(tmp_path, monkeypatch):
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: drawn.append(self))
    table = {name: {"iou": {"cat": 0.5}, "miou": 0.5} for name in ("a", "b", "c")}
    draw(table, dict.fromkeys(table, (0.5, 0.6)), tmp_path / "a.png")
    bars, lines = drawn[0].axes
    middles = sorted(bar.get_x() + bar.get_width() / 2 for bar in bars.patches)
    assert (middles[1], middles[4]) == pytest.approx((0, 1))
    assert lines.get_ylim() == (0, 1)
