"""The benchmark of the workspace runs, and says whether opening keeps its bound."""

from __future__ import annotations

from train import bench_workspace


def test_a_small_benchmark_prints_each_measure_beside_the_plain_files(capsys, tmp_path):
    assert bench_workspace.main(["--images", "20", "--side", "100", "--folder", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:4]] == ["fill", "open, count, list all", "read all masks"]
    assert all("ratio" in line for line in lines[1:5])
    assert lines[-1] == "opening may take 2 s: kept"
    assert list(tmp_path.iterdir()) == []


def test_a_bound_that_is_not_kept_fails_the_benchmark(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_workspace, "OPEN_SECONDS", 0.0)
    assert bench_workspace.main(["--images", "5", "--side", "50", "--folder", str(tmp_path)]) == 1
    assert "NOT KEPT" in capsys.readouterr().out
