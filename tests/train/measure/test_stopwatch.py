"""Seconds that are counted once, and the memory of this process where Linux does not tell it."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest
import torch

from train.measure import stopwatch


def test_a_meter_adds_up_and_begins_again_at_nothing():
    ticks = iter(range(100))
    meter = stopwatch.Meter(lambda: next(ticks))
    watched = meter.watch(lambda pixels: pixels + 1)
    for count in (2, 3):
        watched(torch.zeros(count))
    assert (meter.pictures, meter.take()) == (5, 2)
    assert meter.take() == 0


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1024 * 1024)])
def test_memory_is_the_highest_so_far_where_the_system_keeps_no_count_of_it(monkeypatch, platform, unit):
    def gone(_path: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", gone)
    monkeypatch.setattr(sys, "platform", platform)
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert stopwatch.resident() == pytest.approx(highest / unit, rel=0.1)
