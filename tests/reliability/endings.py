"""Five situations from beginning to end, each with programs that are really started.

A class file that names a function, a list as PowerShell writes it, a list through a pipe, the largest picture
from eight visitors at once, and the official client of the Model Context Protocol.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import PIL.Image

from lfss.commands import OK, REFUSED
from lfss.images import read_image
from lfss.labels import parse_label
from lfss.predictor import Predictor
from lfss.support import Support
from tests.fakes import scene
from tests.reliability.visitors import ROOT, largest_picture, started, visited
from tests.test_class_file import changed, put

VISITORS = 8
PRESET = ["--preset", "tests.fakes:preset", "--device", "cpu"]
LINE = ["segment", "--label", "red", "--support", "a.png", *PRESET]
PLANTED = "from pathlib import Path\n\n\ndef run():\n    Path('ran').touch()\n"


def measure(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What was tried in each situation, how much of it ended as it should, and what was said."""
    for seed, name in enumerate(("a.png", "b.png", "ä c.png")):
        PIL.Image.fromarray(scene(seed=seed)).save(folder / name)
    found: dict[str, Any] = {"class file": _class_files(folder)}
    found["PowerShell list"] = _list(folder, "\r\n".join(("b.png", "ä c.png", "")).encode("utf-16"))
    found["pipe"] = _pipe(folder)
    yield {"endings": found}
    found["largest picture"] = _largest(folder)
    found["MCP client"] = _assistant(folder)
    yield {"endings": found}


def _lfss(folder: Path, *line: str) -> tuple[int, str]:
    """Exit code and all that is printed of the command, as a person starts it in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "lfss", *line], cwd=folder, env=_environment(), capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def _counted(ends: list[tuple[bool, str]]) -> dict[str, Any]:
    said = [text.strip()[-300:] for _, text in ends]
    return {"tried": len(ends), "well": sum(well for well, _ in ends), "said": said}


def _class_files(folder: Path) -> dict[str, Any]:
    predictor = Predictor.load("tests.fakes:preset", device="cpu")
    prepared = predictor.prepare(parse_label("red"), [Support(read_image(folder / "a.png"))])
    good = prepared.save(folder / "good.safetensors")
    (folder / "planted.py").write_text(PLANTED)
    ends, line = [], ["segment", "--class", "bad.safetensors", "--query", "b.png", "--out", "bad"]
    for preset in ("planted:run", "os:abort", "http.server:test"):
        changed(good, folder / "bad.safetensors", put("preset", preset))
        code, said = _lfss(folder, *line)
        ran = (folder / "ran").exists() or (folder / "bad").exists()
        ends.append((code == REFUSED and not ran and "Traceback" not in said, said))
    return _counted(ends)


def _list(folder: Path, content: bytes) -> dict[str, Any]:
    (folder / "list.txt").write_bytes(content)
    code, said = _lfss(folder, *LINE, "--list", "list.txt", "--out", "listed")
    return _counted([(code == OK and len(list((folder / "listed").glob("*.mask.png"))) == 2, said)])


def _pipe(folder: Path) -> dict[str, Any]:
    command = f"{sys.executable} -m lfss {' '.join(LINE)} --list <(ls *.png) --out piped"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=_environment(), capture_output=True, text=True
    )
    masks = len(list((folder / "piped").glob("*.mask.png")))
    return _counted([(done.returncode == OK and masks == 3, done.stdout + done.stderr)])


def _largest(folder: Path) -> dict[str, Any]:
    bomb = largest_picture(folder)
    with started("mini") as app:
        seen = visited(app, VISITORS, folder / "a.png", bomb)
    well = seen["answered"] or sum("Use a smaller copy" in said for said in seen["told"]) * seen["refused"]
    return {"tried": VISITORS, "well": well, "peak_mb": seen["peak_mb"], "said": seen["told"]}


def _assistant(folder: Path) -> dict[str, Any]:
    with started("tests.fakes:preset", "--mcp") as app:
        return anyio.run(_tools, f"{app.url}gradio_api/mcp/", folder)


async def _tools(address: str, folder: Path) -> dict[str, Any]:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    support, query = (base64.b64encode((folder / n).read_bytes()).decode() for n in ("a.png", "b.png"))
    ends = []
    async with streamablehttp_client(address) as (read, write, _), ClientSession(read, write) as client:
        await client.initialize()
        names = sorted(tool.name for tool in (await client.list_tools()).tools)
        ends.append((names == ["export", "prepare_class", "segment"], " ".join(names)))
        made = await client.call_tool("prepare_class", {"label": "red", "supports": [support]})
        ends.append((not made.isError, _text(made)))
        known = {"class_id": json.loads(_text(made))["class_id"]}
        for tool, more in (("segment", {"image": query}), ("export", {"images": [query], "format": "coco"})):
            result = await client.call_tool(tool, more | known)
            ends.append((not result.isError, _text(result)))
        wrong = await client.call_tool("segment", {"image": "?", **known})
        ends.append((wrong.isError and "base64" in _text(wrong), _text(wrong)))
    return _counted(ends)


def _text(result: Any) -> str:
    return " ".join(part.text for part in result.content if part.type == "text")
