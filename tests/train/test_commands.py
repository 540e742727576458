"""What every command of ``train`` does alike: help, refusals and Ctrl-C."""

from __future__ import annotations

import argparse
import importlib
import runpy
from pathlib import Path

import pytest

from lfss.errors import InputError, WeightsUnavailable
from train import cli

TRAIN = Path(cli.__file__).parent
COMMANDS = sorted(p.stem for p in TRAIN.glob("*.py") if '__name__ == "__main__"' in p.read_text())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"train.{name}", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ")


def test_at_the_top_of_train_lie_commands_alone():
    others = {p.stem for p in TRAIN.glob("*.py")} - set(COMMANDS)
    assert others == {"__init__", "cli", "teachers"}, "parts belong into a folder below"


@pytest.mark.parametrize(
    ("fault", "code", "sentence"),
    [
        (InputError("No such class."), 2, "No such class.\n"),
        (PermissionError(13, "Permission denied", "maps"), 2, "[Errno 13] Permission denied: 'maps'\n"),
        (WeightsUnavailable("The file is not here."), 3, "The file is not here.\n"),
        (KeyboardInterrupt(), 130, "\nStopped. Half is kept.\n"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_a_code(fault, code, sentence, capsys):
    def work(options: argparse.Namespace) -> None:
        raise fault

    assert cli.run(work, argparse.Namespace(), stopped="Half is kept.") == code
    said = capsys.readouterr()
    assert said.err == sentence
    assert not said.out


def test_the_code_of_the_work_is_the_code_of_the_command():
    assert cli.run(lambda options: 1, argparse.Namespace()) == 1
    assert cli.run(lambda options: None, argparse.Namespace()) == 0


@pytest.mark.parametrize("name", ["ablate", "annotate", "doubt", "edges", "evaluate"])
def test_a_folder_without_a_data_set_is_told_in_one_sentence(name, tmp_path, capsys):
    main = importlib.import_module(f"train.{name}").main
    given = ["--data", tmp_path / "none", "--classes", "cat,dog", "--cache", tmp_path / "cache"]
    given += ["--out", tmp_path / "out.json"]
    if name == "edges":
        del given[2:4], given[-2:]
    assert main([str(part) for part in given]) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / "none") in said
    assert "Traceback" not in said
    assert not (tmp_path / "out.json").exists()


def test_names_of_classes_may_have_spaces_around_them():
    parser = argparse.ArgumentParser()
    cli.add_classes(parser)
    assert parser.parse_args(["--classes", "cat, cow ,traffic light"]).classes == (
        "cat",
        "cow",
        "traffic light",
    )
