"""The app behind HTTP, and a tab that calls its handlers as a browser does, or as an attacker would."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import httpx

from demo import build
from demo.page import launch_options
from demo.service import Service
from demo.sessions import Sessions


@dataclass(frozen=True)
class Served:
    """A running app: its page, address, model and sessions."""

    page: gr.Blocks
    url: str
    service: Service
    sessions: Sessions


@contextmanager
def serving(
    root: Path, *, method: str = "lfss", mcp: bool = False, workspace: Path | None = None, **options: Any
) -> Iterator[Served]:
    """Launch the app on the fake preset with a method; ``options`` replace those of ``launch``."""
    service = Service("tests.fakes:preset", method=method, device="cpu")
    sessions = Sessions(workspace, root=root)
    page = build(service, sessions, mcp=mcp)
    page.queue(default_concurrency_limit=16)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, **{**launch_options(), **options})
    yield Served(page, url, service, sessions)
    page.close()
    sessions.close()


@dataclass
class Tab:
    """One open page, without a browser."""

    app: Served
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    hash: str = field(default_factory=lambda: secrets.token_hex(6))

    def upload(self, *files: tuple[str, bytes]) -> list[dict[str, Any]]:
        """Send files (name, bytes) as the page does; returns what its components then hold."""
        parts = [("files", (name, content)) for name, content in files]
        answer = httpx.post(f"{self.app.url}gradio_api/upload", files=parts, timeout=60)
        answer.raise_for_status()
        return [file_data(path) for path in answer.json()]

    def handler(self, elem_id: str | None, event: str) -> gr.blocks.BlockFunction:
        """The first handler of an event of a component; of the page itself without an id."""
        page = self.app.page
        for fn in page.fns.values():
            for target, name in fn.targets:
                found = page._id if elem_id is None else None
                if elem_id is not None and target is not None:
                    found = target if getattr(page.blocks.get(target), "elem_id", None) == elem_id else None
                if name == event and target == found:
                    return fn
        raise AssertionError(f"no handler for {event} of {elem_id}")

    def call(self, fn: gr.blocks.BlockFunction, data: list[Any]) -> dict[str, Any]:
        """Run a handler; returns its last message: ``success`` and ``output``."""
        sent = {"data": data, "fn_index": fn._id, "session_hash": self.hash}
        httpx.post(f"{self.app.url}gradio_api/queue/join", json=sent).raise_for_status()
        where = f"{self.app.url}gradio_api/queue/data?session_hash={self.hash}"
        with httpx.stream("GET", where, timeout=60) as answer:
            for line in answer.iter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    return message
        raise AssertionError("the handler did not finish")

    def open(self) -> None:
        """What a page does first."""
        assert self.call(self.handler(None, "load"), [self.id])["success"]


def file_data(path: str | Path) -> dict[str, Any]:
    """A file as a component holds it."""
    return {"path": str(path), "orig_name": Path(path).name, "meta": {"_type": "gradio.FileData"}}
