"""The app as a Hugging Face Space starts it: its settings, no network, nothing written elsewhere."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import httpx
import PIL.Image
import pytest
import yaml
from gradio_client import Client, handle_file

from tests.fakes import scene

ROOT = Path(__file__).parents[1]

# Runs before the app: notes every path that is opened for writing, made or moved, and lets nobody out.
WATCH = """
import os, socket, sys
log = os.open(os.environ["WATCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
inside = (os.environ["WATCH_INSIDE"], "/dev/", "/proc/")

def note(text):
    os.write(log, (text + "\\n").encode())

def watch(event, args):
    if event == "open":
        path, mode, flags = args
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        paths = [path] if writes and not isinstance(path, int) else []
    elif event == "os.remove":  # a name may be relative to an open folder
        folder = os.readlink(f"/proc/self/fd/{args[1]}") if args[1] >= 0 else ""
        paths = [os.path.join(folder, os.fsdecode(args[0]))]
    elif event in ("os.mkdir", "os.rename", "os.link", "os.symlink", "sqlite3.connect"):
        paths = [path for path in args[: 2 if event in ("os.rename", "os.link") else 1]]
    elif event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in ("127.0.0.1", "::1"):
        note(f"network {args[1]}")
        raise OSError("no network here")
    elif event == "socket.getaddrinfo" and args[0] not in ("127.0.0.1", "0.0.0.0", "localhost", None):
        note(f"network {args[0]}")
        raise socket.gaierror("no network here")
    else:
        return
    for path in paths:
        path = os.path.abspath(os.fsdecode(path))
        if not path.startswith(inside):
            note(f"{event} {path}")

sys.addaudithook(watch)
note("watching")
"""


@pytest.fixture(scope="module")
def front() -> dict:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return yaml.safe_load(text.split("---\n")[1])


def test_the_front_matter_tells_the_space_what_to_run(front):
    pinned = re.search(r"^gradio==(.+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert front["sdk"] == "gradio"
    assert front["sdk_version"] == pinned[1]
    assert (ROOT / front["app_file"]).is_file()
    # ZeroGPU has 3.12.12 and 3.10.13, and no other; the package needs 3.11.
    assert front["python_version"] == "3.12.12"
    needed = re.search(
        r'^requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert int(needed[1]) <= 12
    assert front["suggested_hardware"] == "zero-a10g"  # what a free account may host
    assert front["license"] == "apache-2.0"
    assert len(front["short_description"]) <= 60
    assert {front["colorFrom"], front["colorTo"]} <= {
        "red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray",
    }  # fmt: skip


def test_the_weights_of_the_default_model_come_with_the_repository(front):
    """So nothing has to be preloaded from the hub."""
    assert "preload_from_hub" not in front
    assert (ROOT / "assets/models/mini/model.safetensors").is_file()


def test_system_libraries_are_listed_one_a_line():
    names = (ROOT / "packages.txt").read_text().splitlines()
    assert {"libgl1", "libglib2.0-0"} <= set(names)
    assert all(re.fullmatch(r"[a-z0-9.+-]+", name) for name in names)


@pytest.mark.slow
def test_it_works_without_a_network_writes_to_the_temporary_folder_alone_and_tidies_up(tmp_path):
    for name in ("home", "tmp", "hub", "watch"):
        (tmp_path / name).mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    log, port = tmp_path / "written.txt", str(_free_port())
    address = f"http://127.0.0.1:{port}/"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{tmp_path / 'watch'}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "tmp"),
        "HF_HOME": str(tmp_path / "hub"),
        "WATCH_LOG": str(log),
        "WATCH_INSIDE": str(tmp_path / "tmp"),
        "SYSTEM": "spaces",
        "SPACE_ID": "someone/lfss-studio",
        "SPACE_AUTHOR_NAME": "someone",
        "SPACE_REPO_NAME": "lfss-studio",
        "SPACE_HOST": "someone-lfss-studio.hf.space",
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_SERVER_PORT": port,
        "GRADIO_ALLOW_FLAGGING": "never",
        "OMP_NUM_THREADS": "1",
    }
    PIL.Image.fromarray(scene()).save(tmp_path / "photo.png")
    command = [sys.executable, str(ROOT / "app.py")]
    with (tmp_path / "output.txt").open("w+b") as output:
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=output, stderr=output)
        try:
            page = _first_page(process, address)
            client = Client(
                address,
                verbose=False,
                download_files=str(tmp_path / "got"),
                httpx_kwargs={"timeout": 120},
            )
            photo = handle_file(str(tmp_path / "photo.png"))
            saved = client.predict("dog", "", [photo], api_name="/prepare_class")
            client.predict(photo, handle_file(saved), 0.5, True, api_name="/segment")
            sent = [("files", ("a.png", b"a photo"))]
            httpx.post(f"{address}gradio_api/upload", files=sent).raise_for_status()
            (place,) = (tmp_path / "tmp").glob("lfss-app-*")
            assert place.stat().st_mode & 0o777 == 0o700
            assert [p for p in (tmp_path / "tmp").rglob("a.png") if p.is_relative_to(place)]
            assert not [p for p in (tmp_path / "tmp").rglob("*.png") if not p.is_relative_to(place)]
        finally:
            process.terminate()
            code = process.wait(60)
        output.seek(0)
        said = output.read().decode()
    assert "LFSS Studio" in page, said
    assert Path(saved).stat().st_size > 1000
    # Gradio's hot reloading looks for a package that only a real Space has, and says so on a thread.
    assert said.count("Traceback") == said.count("is required to run hot-reloading in Spaces")
    assert set(log.read_text().splitlines()) == {"watching"}
    assert code == 0
    assert not list((tmp_path / "tmp").glob("lfss-app-*"))  # what visitors sent
    assert not any((tmp_path / "home").iterdir())
    assert not any((tmp_path / "hub").iterdir())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _first_page(process: subprocess.Popen, address: str) -> str:
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return answer.read().decode()
        except OSError:
            time.sleep(0.1)
    return ""
