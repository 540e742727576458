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
        *("paia", "--table", str(number), "--data", str(root)),
        *("--split", "val", "--auxiliary-split", "train"),
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
    kept = sorted(out.glob("*-way-*.json"))
    told = json.loads(kept[0].read_text())
    told["mean"]["native"]["paia"]["miou"] = 0.125
    kept[0].write_text(json.dumps(told))
    assert main(typed) == 0
    assert "12.5" in capsys.readouterr().out  # the finished column is not made again
    one = list(TABLES[number])[-1]
    assert main([*typed, "--columns", one]) == 0
    table = json.loads((out / f"paia-table{number}.json").read_text())
    assert list(table["mean"]["tests.fakes:preset"]) == [one]
    assert f"--columns '{one}'" in table["command"] or " " not in one
    assert main([*typed, "--columns", "0-way"]) == 2
    assert f"no column '0-way'; it has {', '.join(TABLES[number])}" in capsys.readouterr().err


def test_a_column_of_other_pictures_is_made_anew(tmp_path, capsys):
    given = [
        *("paia", "--table", "5", "--split", "val", "--auxiliary-split", "train", "--classes", "cat,cow,dog"),
        *("--presets", "tests.fakes:preset", "--episodes", "1", "--seed", "0", "--device", "cpu"),
        *("--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")),
    ]
    for each in (11, 12):
        assert main([*given, "--data", str(write_animals(tmp_path / str(each) / "voc", each=each))]) == 0
    kept = json.loads(next((tmp_path / "out").glob("*-way-*.json")).read_text())
    assert "48 pictures" in kept["setting"]
