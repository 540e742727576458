"""The comparison of the methods' cost runs, counts parameters and prints; times are the machine's affair."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from train import bench_methods


def test_every_method_is_counted_and_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(bench_methods, "forward_pass", lambda name: lambda: sum(range(1000)))
    out = tmp_path / "cost.json"
    given = ["--preset", "tests.fakes:preset", "--threads", "1", "--repeat", "2", "--out", str(out)]
    assert bench_methods.main(given) == 0
    report = json.loads(out.read_text())
    rows = report["rows"]
    assert rows["lfss, fixed rule"]["parameters"] == 0
    assert rows["tlg, as described"]["parameters"] > 10 * rows["tlg, as trained here"]["parameters"] > 0
    for row in rows.values():
        assert row["query"] > 0
        assert row["query, in passes of resnet50"] > 0
    assert report["command"].startswith("python -m train.bench_methods --preset tests.fakes:preset")
    assert "tlg, as described" in capsys.readouterr().out
