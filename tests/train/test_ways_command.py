"""The command that measures PAIA: its file, and a refusal before work starts."""

from __future__ import annotations

import json
from pathlib import Path

from tests.train.tiny_sets import write_animals
from train.ways import main


def test_it_writes_every_number_of_auxiliary_pictures_and_never_over_a_result(tmp_path: Path, capsys):
    root, out = write_animals(tmp_path / "voc", each=10), tmp_path / "result.json"
    typed = [
        *("--data", str(root), "--split", "val", "--auxiliary-split", "train", "--classes", "cat,cow,dog"),
        *("--aux", "0", "2", "--episodes", "2", "--seed", "0", "1", "--ways", "2", "--device", "cpu"),
        *("--preset", "tests.fakes:preset", "--cache", str(tmp_path / "cache"), "--out", str(out)),
    ]
    assert main(typed) == 0
    result = json.loads(out.read_text())
    assert set(result["mean"]) == {"0", "2"}
    assert result["mean"]["2"]["panet"]["paia"]["miou"] > 0.6
    assert "train.ways" in result["command"]
    assert main(typed) == 2
    assert "is there already" in capsys.readouterr().err
