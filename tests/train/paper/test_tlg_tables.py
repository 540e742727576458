"""A miniature of TLG's tables: generated pictures, random networks, from data to the table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_sets import block, write_voc

from train.paper import tlg
from train.reproduce import main


def arguments(root: Path, *more: str) -> list[str]:
    return [
        "tlg", "--data", str(root), "--out", str(root / "out"), "--cache", str(root / "cache"),
        "--backbones", "tiny_networks:one", "--device", "cpu", "--folds", "1",
        "--epochs", "1", "--checks", "1",
        "--epoch-episodes", "4", "--batch", "2", "--validate", "2", "--patience", "0", "--episodes", "2",
        "--set", "width=32", "cells=4", "tokens=2", "heads=2", "sinkhorn_steps=3", *more,
    ]  # fmt: skip


def test_a_table_compares_all_rows_on_the_same_episodes_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [{c: block(10 + 3 * i, 12 + 4 * i)} for c in (1, 8, 12) for i in range(4)]
    write_voc(tmp_path / "voc", {"trainaug": entries, "val": entries})
    assert main(arguments(tmp_path, "--table", "1", "--shots", "1", "2")) == 0
    printed = capsys.readouterr().out
    assert "No official result: a subset of PASCAL-5i fold 1" in printed
    assert "TLG, the paper, ResNet-50* | all folds: 75.4, 81.8, 77.4, 74.0, 77.2" in printed
    table = json.loads((tmp_path / "out" / "tlg-table1.json").read_text())
    fold = table["results"]["tiny_networks:one"]["1"]
    for shots in ("1", "2"):
        rows = fold["shots"][shots]
        assert {"full", "alone", "paia", "refined", "final", "prototype, true mask"} <= set(rows)
        assert all(row["episodes"] == rows["refined"]["episodes"] for row in rows.values())
    config = json.loads(next((tmp_path / "out").rglob("alone/tlg/config.json")).read_text())
    assert config["config"]["use_query_mask"] is False
    monkeypatch.setattr(tlg, "TlgLearner", lambda *_, **__: pytest.fail("trained again"))
    assert main(arguments(tmp_path, "--table", "1", "--shots", "1", "2")) == 0
    assert capsys.readouterr().out == printed[printed.index("TLG, Table") :]


def test_the_papers_means_are_those_of_its_folds() -> None:
    for number in (1, 2):
        for figures in tlg.PUBLISHED[number].values():
            for *folds, mean in figures.values():
                assert sum(folds) / 4 == pytest.approx(mean, abs=0.06)


def test_each_part_is_added_to_the_one_before() -> None:
    _, variants = tlg.TABLES[3]
    off = [{k for k, v in tlg.VARIANTS[name].items() if v is False} for name in variants]
    assert off == [{"aggregation", "transport", "text"}, {"transport", "text"}, {"text"}, set()]
