"""Every bad input of ``lfss segment`` is one sentence and an exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fake_model import segment

from lfss.__main__ import main
from lfss.errors import LabelError


@pytest.mark.parametrize("label", ["", "  ,  ", "x" * 10_000, "🐕🐕"])
def test_bad_labels_are_refused(label, place, model, capsys):
    assert segment(label=label) == 2
    assert "label" in capsys.readouterr().err.lower()
    assert not Path("out").exists()


def bad_inputs() -> dict[str, tuple[str, str]]:
    base = "segment --label dog --support s1.png --query photos --out out"
    return {
        "no query there": (base.replace("photos", "nowhere"), "no file or folder 'nowhere'"),
        "no picture in the folder": (base.replace("photos", "void"), "no picture in 'void'"),
        "no support there": (base.replace("s1.png", "s7.png"), "no file or folder 's7.png'"),
        "support folder without pictures": (base.replace("s1.png", "void"), "at least one photo"),
        "support is no picture": (base.replace("s1.png", "void/note.txt"), "not a picture"),
        "out is a file": (base.replace("--out out", "--out s2.png"), "is a file"),
        "no support": (base.replace("--support s1.png", ""), "at least one photo"),
        "no label": (base.replace("--label dog", ""), "belong to a label"),
        "nothing to search for": ("segment --query photos --out out", "Say what to search for"),
        "two labels alike": (f"{base} --label DOG", "Two labels of this run are 'dog'"),
        "'not' words of no label": (f"{base} --label cat --not wolf", "does not say which"),
        "a box of no label": (f"{base} --label cat --box s1.png=1,1,9,9", "does not say which"),
        "a pair of one": (f"{base} --label cat --may-overlap cat", "names two labels"),
        "a pair of one label twice": (f"{base} --label cat --may-overlap cat,CAT", "names two labels"),
        "a pair with another label": (
            f"{base} --label cat --may-overlap cat,cow",
            "names 'cow', which is no label of this run (dog, cat)",
        ),
        "two classes to save": (f"{base} --label cat --save-class c.safetensors", "saves one class"),
        "no target": (base.replace("--out out", ""), "Say where results go"),
        "no query": (base.replace("--query photos", ""), "Say which pictures"),
        "engine without a workspace": (f"{base} --engine ray", "--workspace"),
        "a saved class for the engine": (
            "segment --class c.safetensors --query photos --workspace ws --engine ray",
            "prepares the class on each machine",
        ),
        "a class to save for the engine": (
            base.replace("--out out", "--workspace ws --engine ray --save-class c.safetensors"),
            "prepares the class on each machine",
        ),
        "list of what is not there": (
            base.replace("--query photos", "--list void/note.txt"),
            "no file or folder 'nothing'",
        ),
        "unknown preset": (f"{base} --preset piaa", "no preset 'piaa'. Known: mini, full"),
    }


@pytest.mark.parametrize("case", bad_inputs())
@pytest.mark.parametrize("json_too", [False, True])
def test_bad_inputs_are_one_sentence_and_exit_2(case, json_too, place, model, capsys):
    (place / "void").mkdir()
    (place / "void" / "note.txt").write_text("nothing")
    line, words = bad_inputs()[case]
    assert main([*line.split(), *(["--json"] if json_too else [])]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    if json_too:
        assert json.loads(captured.out) == {"error": captured.err.strip(), "exit_code": 2}


@pytest.mark.parametrize(
    "line",
    [
        "dance",
        "segment --label dog --support s1.png --query photos --out out --workspace ws",
        "segment --label dog --support s1.png --query photos --list photos.txt --out out",
        "segment --label dog --support --query photos --out out",
        "segment --label dog --support s1.png --query photos --out out --threshold 1.5",
        "segment --label dog --support s1.png --query photos --out out --threshold nan",
        "segment --label dog --support s1.png --query photos --out out --threshold x",
        "segment --label dog --support s1.png --query photos --workspace ws --workers 0",
    ],
)
def test_bad_flags_exit_2(line, place, model, capsys):
    with pytest.raises(SystemExit) as caught:
        main(line.split())
    assert caught.value.code == 2


def test_a_value_that_is_far_too_long_is_refused_before_anything_looks_at_it(place, model, capsys):
    assert segment("--preset", "x" * 100_001) == 2
    assert "The value of --preset" in capsys.readouterr().err


def test_missing_weights_exit_3(place, model, capsys):
    assert segment("--preset", "far") == 3
    assert "assets/models" in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_locked_folder_exits_2(place, model, monkeypatch, capsys):
    def deny(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", deny)
    assert segment() == 2
    assert "cannot be read" in capsys.readouterr().err


def test_errors_of_prepare_are_refused(place, model, monkeypatch):
    def refuse(_classes):
        raise LabelError("This model knows no such word.")

    monkeypatch.setattr(model, "prepare_classes", refuse)
    assert segment() == 2


def test_an_unknown_method_lists_the_known_ones(place, model, capsys):
    assert segment("--method", "nonsense") == 2
    assert "method 'nonsense'" in (told := capsys.readouterr().err)
    assert "lfss, other" in told
