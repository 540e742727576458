"""The page as a server: what programs send is tidied and refused in sentences, before Gradio looks at it.

Gradio answers an input of the wrong kind with ``{"error": null}``. Here every refusal of an endpoint says
what was expected. Uploads are refused while the folder for them is full.
"""

from __future__ import annotations

import logging
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from lfss.errors import InputError

from .api import tidied
from .handlers import as_gradio_error
from .room import Room

logger = logging.getLogger(__name__)


class Page(gr.Blocks):
    """Blocks whose endpoints for programs give reasons.

    Attributes:
        room: for uploads; None takes all.
        routes: further addresses to serve.
    """

    room: Room | None = None
    routes: tuple[BaseRoute, ...] = ()

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """As in Gradio, with a sentence for what an endpoint cannot take."""
        if block_fn.api_visibility != "public":
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)
        try:
            return await super().preprocess_data(
                block_fn, tidied(inputs, block_fn.inputs), state, explicit_call
            )
        except (InputError, gr.Error) as error:
            raise as_gradio_error(error, page=False) from error
        except Exception as error:  # Gradio's own checks, most of them about files
            logger.info("an input was refused", exc_info=error)
            raise as_gradio_error(
                InputError(
                    "An input cannot be used: a file that was not sent to this server, or a value of another "
                    "kind. Send files with handle_file(...) of gradio_client, or to /gradio_api/upload; "
                    "/gradio_api/info lists the inputs."
                ),
                page=False,
            ) from error

    def launch(self, *args: Any, **options: Any) -> Any:
        """As in Gradio, with the addresses and limits of this page."""
        extra: dict[str, Any] = {"middleware": [Middleware(_Doors, room=self.room)]}
        if self.routes:
            extra["routes"] = list(self.routes)
        return super().launch(*args, **{"app_kwargs": extra, **options})


class _Doors:
    """Refuses uploads for which there is no room."""

    def __init__(self, app: ASGIApp, room: Room | None):
        self.app, self.room = app, room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith("/upload"):
            try:
                if self.room:
                    self.room.check(_length(scope))
            except InputError as error:
                await JSONResponse({"detail": str(error)}, status_code=507)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _length(scope: Scope) -> int:
    found = dict(scope["headers"]).get(b"content-length", b"0")
    return int(found) if found.isdigit() else 0
