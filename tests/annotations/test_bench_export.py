"""The benchmark of exports runs, and says of every format how long it took."""

from __future__ import annotations

import pytest

from train import bench_export


def test_every_format_has_a_line_beside_the_plain_loop(capsys: pytest.CaptureFixture[str]) -> None:
    bench_export.main(["--drafts", "2", "--side", "64"])
    lines = capsys.readouterr().out.splitlines()
    for name in ("plain loop", *bench_export.OPTIONS, "bundle"):
        assert any(line.startswith(name) and "x plain" in line for line in lines), name
    assert sum("may take" in line for line in lines) == len(bench_export.LIMITS)


def test_a_format_that_takes_too_long_fails_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    few = ["--drafts", "1", "--side", "64", "--only", "png"]
    monkeypatch.setattr(bench_export, "LIMITS", {"png": 1e9})
    assert bench_export.main(few) == 0
    monkeypatch.setattr(bench_export, "LIMITS", {"png": 1e-9})
    assert bench_export.main(few) == 1
