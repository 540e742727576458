"""What may be typed after ``python app.py``."""

from __future__ import annotations

import importlib.util

import pytest

import app


def test_help_names_every_option_and_gives_examples(capsys):
    with pytest.raises(SystemExit) as ended:
        app.arguments(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for option in ("--preset", "--device", "--models", "--workspace", "--host", "--port", "--share", "--mcp"):
        assert option in text
    assert "python app.py --workspace dogs" in text


def test_mcp_needs_a_package_which_is_told_in_one_sentence(capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mcp" else find(name))
    with pytest.raises(SystemExit) as ended:
        app.arguments(["--mcp"])
    assert ended.value.code == 2
    assert "--mcp needs a package that is not installed. Install it: pip install" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "70000", "x"])
def test_a_port_that_is_none_is_refused(port, capsys):
    with pytest.raises(SystemExit) as ended:
        app.arguments(["--port", port])
    assert ended.value.code == 2
    assert "port" in capsys.readouterr().err


def test_a_workspace_that_cannot_be_made_ends_the_app_with_a_sentence(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr(
        "sys.argv", ["app.py", "--preset", "tests.fakes:preset", "--workspace", str(tmp_path / "file")]
    )
    assert app.main() == 2
    assert "cannot be made" in capsys.readouterr().err
