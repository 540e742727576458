"""Tools for AI assistants: a small MCP server beside the page (``python app.py --mcp``).

Why not Gradio's: its schema of a list of files refers to ``#/$defs/FileData`` from inside the property
that defines it, which no client can resolve, so every call with a file fails before it is sent
(Gradio 6.31, seen with mcp 1.21 and 1.30). Here pictures are text that every client can send, in base64,
and a class is a short id instead of a file of megabytes.

The protocol is the Model Context Protocol over Streamable HTTP without sessions: each POST is one JSON-RPC
message with one JSON answer. Nothing is fetched from an address that a caller names.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

import lfss
from lfss.errors import InputError, LfssError, UnknownName

from . import calls
from .service import Service
from .session import MAX_SUPPORTS, Session
from .sessions import Sessions

PATHS = ("/gradio_api/mcp/", "/gradio_api/mcp")
VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
MAX_BODY = 128 * 2**20  # bytes of one message, with its pictures
MAX_CLASSES = 100  # that are kept, over all callers; the longest unused goes first
EMBEDDED = 4 * 2**20  # bytes of a bundle that is sent within the answer
AT_ONCE = 8  # calls that work at the same time; others wait

_ENDINGS = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"RI": ".webp", b"GI": ".gif", b"II": ".tif",
            b"MM": ".tif", b"BM": ".bmp", b"PK": ".zip"}  # fmt: skip
_PICTURE = {
    "type": "string",
    "description": "A picture file (JPEG, PNG, WebP, TIFF, BMP, GIF) in base64, or as a data: address.",
}
_SETTINGS: dict[str, Any] = {
    "class_id": {"type": "string", "description": "From prepare_class."},
    "threshold": {
        "type": "number", "default": 0.5, "exclusiveMinimum": 0, "exclusiveMaximum": 1,
        "description": "Score from which a pixel belongs to the mask.",
    },
    "assume_present": {
        "type": "boolean", "default": False,
        "description": "The pictures are known to show the object; the check whether they do is skipped.",
    },
}  # fmt: skip

logger = logging.getLogger(__name__)
Content = list[dict[str, Any]]


def _tool(name: str, description: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"name": name, "description": description, "inputSchema": schema}


TOOLS = (
    _tool(
        "prepare_class",
        "Teach a class from a label and one to five photos that show it. Returns its class_id.",
        {
            "label": {"type": "string", "description": 'What to find, such as "dog"; synonyms after commas.'},
            "supports": {"type": "array", "items": _PICTURE, "minItems": 1, "maxItems": MAX_SUPPORTS,
                         "description": "Photos that show it; no masks are needed."},
            "not_words": {"type": "string", "default": "",
                          "description": "What is easily mistaken for it, separated by commas."},
        },
        ["label", "supports"],
    ),
    _tool(
        "segment",
        "Find the object of a class in one picture. Returns its mask, a PNG, and facts.",
        {"image": _PICTURE, **_SETTINGS},
        ["image", "class_id"],
    ),
    _tool(
        "export",
        "Segment many pictures and return one zip with the masks in the format of an annotation tool.",
        {
            "images": {"type": "array", "items": _PICTURE, "minItems": 1, "description": "Or zips."},
            "format": {"type": "string", "enum": list(calls.WRITABLE), "default": "coco",
                       "description": "Of which annotation tool."},
            **_SETTINGS,
        },
        ["images", "class_id"],
    ),
)  # fmt: skip


class McpServer:
    """Answers the messages of assistants.

    Args:
        service: the model.
        sessions: makes a session for each call.
    """

    def __init__(self, service: Service, sessions: Sessions):
        self.service, self.sessions = service, sessions
        self._classes: OrderedDict[str, Path] = OrderedDict()
        self._places = anyio.CapacityLimiter(AT_ONCE)
        self._tools: dict[str, Callable[[Session, Mapping[str, Any], str], Content]] = {
            "prepare_class": self._prepare_class, "segment": self._segment, "export": self._export,
        }  # fmt: skip

    def routes(self) -> tuple[BaseRoute, ...]:
        """The addresses to serve."""
        return tuple(Route(path, self.answer_request, methods=["POST", "GET", "DELETE"]) for path in PATHS)

    async def answer_request(self, request: Request) -> Response:
        """One HTTP request to one HTTP answer."""
        if request.method != "POST":  # there is no stream to listen to, and no session to end
            return Response(status_code=405, headers={"Allow": "POST"})
        origin = request.headers.get("origin")
        if origin and urlsplit(origin).netloc != request.headers.get("host"):
            return _fault(None, -32600, "Pages of other sites may not call this server.", 403)
        if not request.headers.get("content-type", "").startswith("application/json"):
            return _fault(None, -32600, "Send the message as application/json.", 415)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return _fault(None, -32600, f"A message has at most {MAX_BODY >> 20} MB. Send less.", 413)
        try:
            message = json.loads(bytes(body).decode())
        except (ValueError, RecursionError):
            return _fault(None, -32700, "The message is not JSON.", 400)
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            return _fault(None, -32600, "A message is one JSON-RPC request.", 400)
        if "id" not in message:  # a notification wants no answer
            return Response(status_code=202)
        base = str(request.base_url)
        return await anyio.to_thread.run_sync(self._answered, message, base, limiter=self._places)

    def _answered(self, message: dict[str, Any], base: str) -> Response:
        number, parameters = message["id"], message.get("params")
        parameters = parameters if isinstance(parameters, dict) else {}
        match message["method"]:
            case "initialize":
                return _result(number, _greeting(parameters))
            case "ping":
                return _result(number, {})
            case "tools/list":
                return _result(number, {"tools": list(TOOLS)})
            case "tools/call" if parameters.get("name") in self._tools:
                return _result(number, self._call(parameters, base))
            case "tools/call":
                return _fault(number, -32602, f"There is no tool '{parameters.get('name')}'.")
        return _fault(number, -32601, f"There is no method '{message['method']}'.")

    def _call(self, parameters: dict[str, Any], base: str) -> dict[str, Any]:
        """The result of a tool; whatever goes wrong is told in a sentence that the assistant reads."""
        try:
            given = _checked(parameters["name"], parameters.get("arguments"))
            with self.sessions.call() as session:
                return {"content": self._tools[parameters["name"]](session, given, base), "isError": False}
        except LfssError as error:
            message = str(error)
        except Exception as error:
            logger.error("fault of the app", exc_info=error)
            message = "Something went wrong in the app. Try again."
        return {"content": [{"type": "text", "text": message}], "isError": True}

    def _prepare_class(self, session: Session, given: Mapping[str, Any], base: str) -> Content:
        supports = _files(session, given["supports"])
        made = calls.prepare_class(self.service, session, given["label"], given["not_words"], supports)
        key = secrets.token_hex(16)
        folder = self.sessions.root / "classes"
        folder.mkdir(exist_ok=True)
        self._classes[key] = made.rename(folder / f"{key}.safetensors")
        while len(self._classes) > MAX_CLASSES:
            self._classes.popitem(last=False)[1].unlink(missing_ok=True)
        return [_text({"class_id": key, "label": given["label"], "supports": len(supports)})]

    def _segment(self, session: Session, given: Mapping[str, Any], base: str) -> Content:
        (image,) = _files(session, [given["image"]])
        settings = _settings(given)
        path, facts = calls.segment(self.service, session, image, self._class(given), settings)
        mask = base64.b64encode(path.read_bytes()).decode()
        return [{"type": "image", "data": mask, "mimeType": "image/png"}, _text(facts)]

    def _export(self, session: Session, given: Mapping[str, Any], base: str) -> Content:
        images, settings = _files(session, given["images"]), _settings(given)
        steps = calls.export(self.service, session, images, self._class(given), given["format"], settings)
        (bundle,) = (step for step in steps if step is not None)
        failed = [reason for _, reason in session.failures]
        data = bundle.read_bytes() if bundle.stat().st_size <= EMBEDDED else None
        kept = calls.handed_over(bundle, self.sessions.served)
        where = {"uri": f"{base}gradio_api/file={kept.as_posix()}", "mimeType": "application/zip"}
        content: Content = [{"type": "resource_link", "name": kept.name, **where}]
        if data is not None:
            content.append(
                {"type": "resource", "resource": {**where, "blob": base64.b64encode(data).decode()}}
            )
        return [_text({"pictures": len(session.queries), "failed": failed}), *content]

    def _class(self, given: Mapping[str, Any]) -> Path:
        try:
            self._classes.move_to_end(given["class_id"])
            return self._classes[given["class_id"]]
        except KeyError as error:
            raise InputError("There is no class of this id any more. Make one with prepare_class.") from error


def _checked(tool: str, arguments: object) -> dict[str, Any]:
    """Arguments with their defaults, of the kinds that the tool's schema names."""
    schema = next(t["inputSchema"] for t in TOOLS if t["name"] == tool)
    properties = schema["properties"]
    given = arguments if isinstance(arguments, dict) else {}
    kinds: dict[str, Any] = {"string": str, "boolean": bool, "number": (int, float), "array": list}
    for name, value in given.items():
        if name not in properties:
            raise InputError(f"{tool} knows no '{name}'. It takes {', '.join(properties)}.")
        if not isinstance(value, kinds[properties[name]["type"]]):
            raise InputError(f"'{name}' of {tool} must be of the type {properties[name]['type']}.")
        if value not in properties[name].get("enum", [value]):
            raise UnknownName(name, str(value), properties[name]["enum"])
    for name in schema["required"]:
        if name not in given:
            raise InputError(f"{tool} needs '{name}': {properties[name].get('description', 'a list')}")
    return {n: given.get(n, p.get("default")) for n, p in properties.items()}


def _files(session: Session, pictures: list[Any]) -> list[Path]:
    """Pictures in base64 as files of the call."""
    folder = session.folder / "sent"
    folder.mkdir(exist_ok=True)
    if len(pictures) > calls.MAX_PICTURES:
        raise InputError(f"One call takes at most {calls.MAX_PICTURES:,} pictures. Send fewer.")
    return [_file(folder, number, value) for number, value in enumerate(pictures, start=1)]


def _file(folder: Path, number: int, value: object) -> Path:
    data = value if isinstance(value, str) else ""
    if found := re.match(r"data:[^,]{0,100};base64,", data):
        data = data[found.end() :]
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if not content:
        raise InputError(f"Picture {number} is not base64. Send the content of a picture file in base64.")
    path = (
        folder
        / f"picture-{number}{_ENDINGS.get(content[:2], '.heic' if content[4:8] == b'ftyp' else '.png')}"
    )
    path.write_bytes(content)
    return path


def _settings(given: Mapping[str, Any]) -> Any:
    return calls.settings_of(given["threshold"], given["assume_present"])


def _greeting(parameters: Mapping[str, Any]) -> dict[str, Any]:
    wanted = parameters.get("protocolVersion")
    return {
        "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[0],
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": {"name": "LFSS Studio", "version": lfss.__version__},
        "instructions": "First prepare_class with a label and a few photos, then segment or export.",
    }


def _text(value: object) -> dict[str, Any]:
    return {"type": "text", "text": json.dumps(value)}


def _result(number: object, result: dict[str, Any]) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": number, "result": result})


def _fault(number: object, code: int, sentence: str, status: int = 200) -> Response:
    error = {"code": code, "message": sentence}
    return JSONResponse({"jsonrpc": "2.0", "id": number, "error": error}, status_code=status)
