"""What may be typed after ``python app.py``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
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


def started(tmp: Path) -> tuple[subprocess.Popen[str], str]:
    """The app as a program of its own with its own folder for temporary files, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-u", "app.py", "--preset", "tests.fakes:preset", "--device", "cpu"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "TMPDIR": str(tmp)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://[0-9.]+:[0-9]+", line):
            return process, found[0]
    raise AssertionError("the app did not start")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs the signals of Unix")
def test_what_visitors_sent_goes_with_the_app_however_it_ends(tmp_path):
    process, url = started(tmp_path)
    httpx.post(f"{url}/gradio_api/upload", files=[("files", ("a.png", b"a photo"))]).raise_for_status()
    (root,) = tmp_path.glob("lfss-app-*")
    assert root.stat().st_mode & 0o777 == 0o700
    assert [p.read_bytes() for p in root.rglob("*.png")] == [b"a photo"]
    assert not [p for p in tmp_path.rglob("*.png") if not p.is_relative_to(root)]
    process.kill()
    process.wait()
    assert root.exists()  # nobody could tidy up
    process, _ = started(tmp_path)
    assert not root.exists()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert not list(tmp_path.glob("lfss-*"))
