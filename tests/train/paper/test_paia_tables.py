"""A miniature of PAIA's tables: generated pictures, the fake network, from data to the table."""

from __future__ import annotations

import json

import pytest

from tests.train.tiny_sets import write_animals
from train.paper.paia import TABLES
from train.reproduce import main


@pytest.mark.parametrize("number", sorted(TABLES))
def test_a_table_has_its_columns_goes_on_and_stands_beside_the_papers_figures(tmp_path, capsys, number):
    root, out = write_animals(tmp_path / "voc", each=11), tmp_path / "out"
    typed = [
        *(
            "paia",
            "--table",
            str(number),
            "--data",
            str(root),
            "--split",
            "val",
            "--auxiliary-split",
            "train",
        ),
        *("--classes", "cat,cow,dog", "--presets", "tests.fakes:preset", "--episodes", "2", "--seed", "0"),
        *("--device", "cpu", "--cache", str(tmp_path / "cache"), "--out", str(out)),
    ]
    assert main(typed) == 0
    text = capsys.readouterr().out
    assert "no official result" in text
    assert "paper, VGG-16 trained: PAIA" in text
    table = json.loads((out / f"paia-table{number}.json").read_text())["mean"]["tests.fakes:preset"]
    assert list(table) == list(TABLES[number])
    assert all(column["native"]["paia"]["miou"] > 0.3 for column in table.values())
    kept = sorted(out.glob("*-table*-*.json"))
    told = json.loads(kept[0].read_text())
    told["mean"]["native"]["paia"]["miou"] = 0.125
    kept[0].write_text(json.dumps(told))
    assert main(typed) == 0
    assert "12.5" in capsys.readouterr().out  # the finished column is not made again
