"""``lfss models``, and the help of every command."""

from __future__ import annotations

import json
import subprocess
import sys
import types

import pytest

from lfss.__main__ import COMMANDS, main


def test_models_lists_the_presets_and_whether_their_weights_are_here(tmp_path, monkeypatch, capsys):
    common = {"size": 400, "licence": "Apache-2.0", "summary": "Small and quick."}
    presets = [
        types.SimpleNamespace(name="own", local="own", weights="assets/models/own", **common),
        types.SimpleNamespace(name="big", local=None, weights="Hugging Face hub, on first use", **common),
    ]
    module = types.ModuleType("lfss.presets")
    module.__dict__["PRESETS"] = {p.name: p for p in presets}
    monkeypatch.setitem(sys.modules, "lfss.presets", module)
    monkeypatch.setenv("LFSS_MODELS", str(tmp_path))

    def told() -> list[bool | None]:
        assert main(["models", "--json"]) == 0
        return [model["weights_here"] for model in json.loads(capsys.readouterr().out)["models"]]

    assert told() == [False, None]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "model.safetensors").touch()
    assert told() == [True, None]
    monkeypatch.setattr(sys, "argv", ["lfss", "models"])
    assert main() == 0
    text = capsys.readouterr().out
    assert "weights here:" in text
    assert "weights from the Hugging Face hub" in text


@pytest.mark.parametrize("command", ["", "segment", "workspace", "models"])
def test_help_answers_at_once(command):
    line = [command, "--help"] if command else ["--help"]
    code = f"import sys, lfss.__main__ as cli\ntry: cli.main({line})\nexcept SystemExit: pass\n"
    heavy = {"torch", "matplotlib", "gradio"} | ({"cv2"} if command != "workspace" else set())
    check = f"heavy = {heavy} & set(sys.modules); assert not heavy, heavy"
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wanted = {"segment": ["--box dog1.jpg=40,30,200,180"], "": list(COMMANDS)}.get(command, [command])
    assert all(words in done.stdout for words in wanted)


def test_without_a_command_its_help_is_shown(capsys):
    assert main([]) == 2
    text = " ".join(capsys.readouterr().err.split())  # it is wrapped
    assert all(name in text for name in (*COMMANDS, "'lfss segment --help'"))


def test_the_help_of_an_option_says_what_kind_of_value_it_takes(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    text = capsys.readouterr().out
    assert all(
        flag in text for flag in ("--detail NUMBER", "--min-part NUMBER", "--match FILE", "--prefix TEXT")
    )
