"""The two examples for programs in the README do what they say, as they stand there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import PIL.Image
import pytest
from gradio_client import Client

from tests.fakes import scene
from tests.serving import Served, serving

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("sessions"), mcp=True) as served:
        yield served


@pytest.fixture
def example(tmp_path, monkeypatch, app):
    """The code in which a word stands, for this server and the fake preset's words, beside two photos."""
    for name, seed in (("support.jpg", 1), ("query.jpg", 2)):
        PIL.Image.fromarray(scene(seed=seed)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)

    def code(word: str) -> str:
        blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
        (block,) = (block for block in blocks if word in block)
        assert len(block.splitlines()) == 5
        return block.replace("http://127.0.0.1:7860/", app.url).replace('"dog"', '"red"')

    return code


def test_gradio_client(example):
    found: dict[str, Any] = {}
    exec(compile(example("gradio_client"), "README.md", "exec"), found)
    assert isinstance(found["app"], Client)
    assert PIL.Image.open(found["mask"]).size == (320, 240)
    assert found["facts"]["label"] == "red"
    assert Path(found["bundle"]).suffix == ".zip"


def test_mcp(example, app):
    pytest.importorskip("mcp", reason="needs: pip install -r requirements-dev.txt")
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    program = compile(example("call_tool"), "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def story() -> dict[str, Any]:
        async with (
            streamablehttp_client(f"{app.url}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as client,
        ):
            await client.initialize()
            found: dict[str, Any] = {"client": client}
            await eval(program, found)
            return found

    # In a thread of its own: a browser test that ran before leaves a loop behind in this one.
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(anyio.run, story).result()
    assert found["mask"].type == "image"
    assert '"red"' in found["facts"].text
