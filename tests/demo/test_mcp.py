"""The tools for AI assistants, called by the official client and by callers that misbehave."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import anyio
import cv2
import httpx
import numpy as np
import PIL.Image
import pytest

from demo import mcp as server
from demo.mcp import TOOLS
from tests.fakes import scene
from tests.serving import Served, serving


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("sessions"), mcp=True) as served:
        yield served


def photo(seed: int, colour: str = "red", **options: Any) -> str:
    return base64.b64encode(cv2.imencode(".png", scene(colour, seed=seed, **options)[..., ::-1])[1]).decode()


def ask(app: Served, method: str, parameters: object = None, **options: Any) -> httpx.Response:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    return httpx.post(f"{app.url}gradio_api/mcp/", **({"json": message, "timeout": 60} | options))


def call(app: Served, tool: str, **arguments: Any) -> dict[str, Any]:
    return ask(app, "tools/call", {"name": tool, "arguments": arguments}).json()["result"]


def test_label_class_masks_and_export_through_the_official_client(app):
    pytest.importorskip(
        "mcp", reason="the official client is not installed: pip install -r requirements-dev.txt"
    )
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def story() -> None:
        async with (
            streamablehttp_client(f"{app.url}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as client,
        ):
            assert (await client.initialize()).serverInfo.name == "LFSS Studio"
            assert {t.name for t in (await client.list_tools()).tools} == {
                "prepare_class",
                "segment",
                "export",
            }
            made = await client.call_tool("prepare_class", {"label": "red", "supports": [photo(1)]})
            assert not made.isError, made.content
            known = json.loads(made.content[0].text)["class_id"]
            query = photo(2, box=(40, 50, 200, 260))
            found = await client.call_tool(
                "segment", {"image": f"data:image/png;base64,{query}", "class_id": known}
            )
            assert not found.isError, found.content
            mask = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(found.content[0].data)))) > 0
            expected = np.zeros((240, 320), bool)
            expected[40:200, 50:260] = True
            assert (mask & expected).sum() / (mask | expected).sum() > 0.95
            assert json.loads(found.content[1].text)["label"] == "red"
            sent = {"images": [query, photo(3), base64.b64encode(b"no picture").decode()], "class_id": known}
            bundle = await client.call_tool("export", sent | {"format": "coco"})
            assert not bundle.isError, bundle.content
            told, link, held = bundle.content
            assert json.loads(told.text)["pictures"] == 3
            assert len(json.loads(told.text)["failed"]) == 1
            data = base64.b64decode(held.resource.blob)
            assert any(n.startswith("coco/") for n in zipfile.ZipFile(io.BytesIO(data)).namelist())
            async with httpx.AsyncClient() as web:
                assert (await web.get(str(link.uri))).content == data
            wrong = await client.call_tool("segment", {"image": query, "class_id": "gone"})
            assert wrong.isError
            assert "Make one with prepare_class" in wrong.content[0].text

    anyio.run(story)


def test_every_schema_stands_alone_so_that_clients_can_send_what_it_says():
    assert "$ref" not in json.dumps(TOOLS)
    for tool in TOOLS:
        schema = tool["inputSchema"]
        assert set(schema["required"]) <= set(schema["properties"])
        assert all("description" in p for p in schema["properties"].values())


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("prepare_class", {}, "needs 'label'"),
        ("prepare_class", {"label": "red"}, "needs 'supports'"),
        ("prepare_class", {"label": "red", "supports": "x"}, "of the type array"),
        ("prepare_class", {"label": "red", "supports": []}, "at least one support"),
        ("prepare_class", {"label": "red", "supports": ["?"]}, "Picture 1 is not base64"),
        ("prepare_class", {"label": "red", "supports": [5]}, "Picture 1 is not base64"),
        ("prepare_class", {"label": "red", "supports": ["L2V0Yy9wYXNzd2Q="]}, "not a picture"),
        ("prepare_class", {"label": "red", "supports": ["http://127.0.0.1:9/a.png"]}, "not base64"),
        ("prepare_class", {"label": "\x1b", "supports": [photo(1)]}, "cannot be shown"),
        ("prepare_class", {"label": "red", "supports": ["AAAA"] * 5000}, "at most 1,000 pictures"),
        ("prepare_class", {"label": "red", "supports": ["AAAA"] * 500}, "at most 20 supports"),
        ("segment", {"image": photo(1), "class_id": "../../etc/passwd"}, "no class of this id"),
        ("segment", {"image": photo(1), "class_id": "x", "threshold": 7}, "between 0 and 1"),
        ("export", {"images": [photo(1)], "class_id": "x", "format": "word"}, "no format 'word'"),
        ("export", {"images": [photo(1)], "class_id": "x", "path": "/etc"}, "knows no 'path'"),
    ],
)  # fmt: skip
def test_a_call_that_cannot_be_answered_says_why(app, tool, arguments, told):
    result = call(app, tool, **arguments)
    assert result["isError"]
    assert told in result["content"][0]["text"]
    assert "\x1b" not in result["content"][0]["text"]


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"json": None, "content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ({"json": []}, 400),
        ({"json": {"method": 5}}, 400),
        ({"json": None, "content": b"{}", "headers": {"content-type": "text/plain"}}, 415),
        ({"headers": {"origin": "http://evil.example"}}, 403),
        ({"json": {"jsonrpc": "2.0", "method": "notifications/initialized"}}, 202),
    ],
)
def test_messages_that_are_none_are_refused_with_a_status(app, options, status):
    assert ask(app, "ping", **options).status_code == status


def test_unknown_methods_and_tools_are_faults_of_the_protocol(app):
    assert ask(app, "resources/list").json()["error"]["code"] == -32601
    assert ask(app, "tools/call", {"name": "shell"}).json()["error"]["code"] == -32602
    assert httpx.get(f"{app.url}gradio_api/mcp/").status_code == 405


def test_a_message_without_end_is_cut(app, monkeypatch):
    monkeypatch.setattr(server, "MAX_BODY", 1000)
    assert ask(app, "ping", {"x": "y" * 5000}).status_code == 413


def test_calls_leave_nothing_behind_but_their_class(app):
    call(app, "prepare_class", label="red", supports=[base64.b64encode(b"no picture").decode()])
    assert not list(app.sessions.root.glob("call-*"))
