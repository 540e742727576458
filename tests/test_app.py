"""What may be typed after ``python app.py``."""

from __future__ import annotations

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


@pytest.mark.parametrize("memory", ["0", "nan", "-3", "x"])
def test_memory_that_cannot_be_is_refused(memory, capsys):
    with pytest.raises(SystemExit) as ended:
        app.arguments(["--memory", memory])
    assert ended.value.code == 2
    assert "--memory" in capsys.readouterr().err


def test_an_encoding_of_zips_is_one_that_python_knows(capsys):
    assert app.arguments(["--zip-encoding", "cp932"]).zip_encoding == "cp932"
    with pytest.raises(SystemExit) as ended:
        app.arguments(["--zip-encoding", "klingon"])
    assert ended.value.code == 2
    assert "gbk" in capsys.readouterr().err


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
