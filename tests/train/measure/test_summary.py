"""Means over seeds, where a class was not asked for by all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from train.measure.metrics import ClassIoU
from train.measure.report import summarise


def test_a_class_that_one_seed_never_asked_for_is_left_out_of_the_figures_by_class():
    scores = ClassIoU(["cat", "cow"], "native").compute()
    runs = [
        {"a": replace(scores, iou={"cat": 0.5, "cow": 0.1}, miou=0.3)},
        {"a": replace(scores, iou={"cat": 0.7}, miou=0.7)},
    ]
    row = summarise(runs)["a"]
    assert row["iou"] == {"cat": pytest.approx(0.6)}
    assert row["miou"] == pytest.approx(0.5)
