"""The cost of the folder pass: what the run has encoded is not encoded again, and the numbers are written."""

from __future__ import annotations

import json

from train.bench_pass import main


def test_the_pass_encodes_nothing_again_and_the_ratio_is_that_of_its_times(tmp_path, capsys):
    out = tmp_path / "pass.json"
    typed = ["--preset", "tests.fakes:preset", "--pictures", "3", "5", "--threads", "1", "--out", str(out)]
    assert main(typed) == 0
    rows = json.loads(out.read_text())["rows"]
    assert set(rows) == {"3", "5"}
    for row in rows.values():
        assert row["encoded again"] == 0
        assert row["ratio"] == row["pass"] / row["run"]
        assert row["memory after the pass"] > 50
    assert "ratio" in capsys.readouterr().out
