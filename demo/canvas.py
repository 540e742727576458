"""The canvas: a picture and a mask that a person draws on it, in the browser, saved as it is drawn.

``assets/canvas*.js`` draw; this module makes the component, sends it a task, and reads what comes back. A
mask travels as a small grey PNG: 255 is object, 128 is "not the object" (only where supports are marked), 0
says nothing. It has the size of the picture as it is shown, at most 1,024 pixels long, and only what
differs from the mask that was sent is brought to the picture's own size: fine borders elsewhere stay.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import cv2
import gradio as gr
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from lfss.errors import InputError, LfssError
from lfss.shipped import shipped

from .sent import of, text
from .views import CANVAS_SIDE, OTHER_BRUSH, resized

MAX_MASK_BYTES = 4 * CANVAS_SIDE * CANVAS_SIDE  # of a mask that comes back, as text
MAX_POINTS = 400  # in one question; a stroke is many points. canvas_ask.js sends no more
SCRIPTS = (
    "canvas.js",
    "canvas_link.js",
    "canvas_ask.js",
    "canvas_layers.js",
    "canvas_input.js",
)  # one scope, in this order
_PREFIX = "data:image/png;base64,"

# Icons are lines on a 24 x 24 grid. A name, a key and a sentence for each tool.
_TOOLS = (
    ("brush", "Brush (b): paint the object", "M4 20c3 0 5-1 5-4 0-2 1-3 3-3l8-9M12 13l-3-3 9-7 2 1"),
    ("eraser", "Eraser (d): take strokes away", "M8 20h12M4 15 14 5l6 6-9 9H8z"),
    ("polygon", "Polygon (p): click corners, Enter closes", "M5 8 13 4l7 7-4 8-9-1z"),
    (
        "lasso",
        "Lasso (l): draw around an area",
        "M12 4c5 0 8 2 8 5s-3 5-8 5-8-2-8-5 3-5 8-5zM7 13c0 4-1 5-3 6",
    ),
    ("box", "Box (r): drag from corner to corner", "M4 6h16v12H4z"),
    (
        "fill",
        "Fill (f): fill a hole, or take a connected part away",
        "M5 11l7-7 7 7-7 7zM19 17c1 2 1 3 0 4-1-1-1-2 0-4z",
    ),
    (
        "point",
        "Ask (.): click on the object and the model answers",
        "M12 3v5M12 16v5M3 12h5M16 12h5M12 12h.01",
    ),
)
_ACTIONS = (
    (
        ("cut", "Cut (c, or the right button): take away instead of adding", "M6 6l12 12M18 6 6 18"),
        ("smaller", "Smaller brush ( [ )", "M6 12h12"),
        ("larger", "Larger brush ( ] )", "M6 12h12M12 6v12"),
    ),
    (
        ("grow", "Grow by two pixels", "M12 4v16M4 12h16M8 8h8v8H8z"),
        ("shrink", "Shrink by two pixels", "M5 5l5 5M19 5l-5 5M5 19l5-5M19 19l-5-5"),
        ("smooth", "Smooth the border", "M4 16c4-8 6 4 9-2s4-6 7-6"),
        (
            "rest",
            "All the rest is not the object",
            "M4 4h16v16H4zM9 9h6v6H9zM4 4l5 5M20 4l-5 5M4 20l5-5M20 20l-5-5",
        ),
        ("clear", "Clear everything", "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13"),
    ),
    (
        ("undo", "Undo (Ctrl+Z)", "M9 7H4V2M4 7c3-4 9-5 13-1s4 9 0 13"),
        ("redo", "Redo (Ctrl+Shift+Z)", "M15 7h5V2M20 7c-3-4-9-5-13-1s-4 9 0 13"),
        ("fit", "Fit to the window (0)", "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5"),
    ),
)


@dataclass(frozen=True)
class Task:
    """What the canvas is asked to show.

    Attributes:
        session: of the visitor; every call from the browser brings it back.
        key: names the picture and the class, for instance ``"draft:<digest>:<label>"``.
        version: changes whenever the page must load the mask again.
        photo: address of the picture as it is shown.
        width, height: of that picture, in pixels.
        colour: of the object, as ``#rrggbb``.
        mask: data address of the mask, or empty.
        layers: what the picture holds, as ``demo.layers`` lists it; the page shows and hides them.
        beside: colour of "not the object" and of what is cut.
        marks: supports are marked, so "not the object" can be drawn too.
        asks: the model can be asked with points.
        hint: a line under the picture.
    """

    session: str
    key: str
    version: str
    photo: str
    width: int
    height: int
    colour: str
    mask: str = ""
    layers: tuple[dict[str, Any], ...] = ()
    beside: str = OTHER_BRUSH
    marks: bool = False
    asks: bool = False
    hint: str = ""


class Saved(NamedTuple):
    """What the page is told once a mask is kept.

    Attributes:
        version: under which the page now holds it.
        state, note: of the layer that was drawn on, see ``demo.layers``; empty where there is none.
    """

    version: str
    state: str = ""
    note: str = ""


SaveMask = Callable[[str, str, npt.NDArray[np.int8]], Saved]
Recolour = Callable[[str, str, str], str]
AskModel = Callable[[str, str, list[tuple[float, float, bool]], npt.NDArray[np.int8]], npt.NDArray[np.bool_]]


def build_canvas(
    *, save: SaveMask, ask: AskModel | None = None, recolour: Recolour | None = None, elem_id: str
) -> gr.HTML:
    """The component; its value is ``asdict(Task)`` or None.

    Args:
        save: keeps a mask, given session, key, and values at the shown size (see ``decode_mask``). Raises an
            LfssError with a sentence.
        ask: answers points (x and y as shares of the picture, and whether they lie on the object) and the
            mask so far with another mask; None where no model can be asked.
        recolour: gives a label, of a session, another colour, and returns it; None where none has one.
        elem_id: of the component.
    """

    # Gradio hands a function of the component one argument, whatever the page sent.
    def save_mask(sent: Any) -> dict[str, str]:
        def saved() -> dict[str, str]:
            return save(text(sent, "session"), text(sent, "key"), decode_mask(of(sent, "mask")))._asdict()

        return _answer(saved)

    def ask_model(sent: Any) -> dict[str, str]:
        def answered() -> dict[str, str]:
            if ask is None:
                raise InputError("The model cannot be asked here.")
            drawn, points = decode_mask(of(sent, "mask")), checked_points(of(sent, "points"))
            found = ask(text(sent, "session"), text(sent, "key"), points, drawn)
            return {"mask": encode_mask(found.astype(np.int8))}

        return _answer(answered)

    def set_colour(sent: Any) -> dict[str, str]:
        def coloured() -> dict[str, str]:
            if recolour is None:
                raise InputError("Labels have no colour of their own here.")
            return {"colour": recolour(text(sent, "session"), text(sent, "label"), text(sent, "colour"))}

        return _answer(coloured)

    return gr.HTML(
        value=None,
        html_template=_template(),
        css_template=shipped("canvas.css").read_text(encoding="utf-8"),
        js_on_load="\n".join(shipped(name).read_text(encoding="utf-8") for name in SCRIPTS),
        server_functions=[save_mask, ask_model, set_colour],
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes="lfss-canvas",
    )


def _answer(work: Callable[[], dict[str, str]]) -> dict[str, str]:
    """The result, or the sentence of what was wrong under ``error``."""
    try:
        return work()
    except LfssError as error:
        return {"error": str(error)}


def checked_points(points: Any) -> list[tuple[float, float, bool]]:
    """Points from the browser; raises InputError unless there are some, each three numbers within range."""
    if not isinstance(points, list) or len(points) > MAX_POINTS:
        raise InputError(f"Between one and {MAX_POINTS} points can be used. Drop some marks.")
    try:
        checked = [(float(x), float(y), bool(inside)) for x, y, inside in points]
    except (TypeError, ValueError) as error:
        raise InputError("A point needs x, y and whether it lies on the object.") from error
    if not checked or not all(0 <= x <= 1 and 0 <= y <= 1 for x, y, _ in checked):
        raise InputError("Mark the object first; each mark must lie in the picture.")
    return checked


def encode_mask(values: npt.NDArray[np.int8]) -> str:
    """(h, w) values 1 object, 0 not the object, -1 nothing said -> a data address.

    A mask that has no -1 is a plain mask; then its 0 is written as "nothing", which is what the canvas draws.
    """
    grey = np.zeros(values.shape, np.uint8)
    grey[values == 1] = 255
    if (values == -1).any():
        grey[values == 0] = 128
    _, data = cv2.imencode(".png", grey)
    return _PREFIX + base64.b64encode(data.tobytes()).decode("ascii")


def decode_mask(data: Any) -> npt.NDArray[np.int8]:
    """A mask that the browser sent: (h, w) int8, 1 object, 0 not the object, -1 nothing said.

    Raises:
        InputError: it is not such a picture, or larger than the canvas draws.
    """
    if not isinstance(data, str) or not data.startswith(_PREFIX) or len(data) > MAX_MASK_BYTES:
        raise InputError("The mask is not a PNG of the size that the canvas draws. Reload the page.")
    try:
        raw = base64.b64decode(data[len(_PREFIX) :], validate=True)
        with PillowImage.open(io.BytesIO(raw), formats=("PNG",)) as picture:
            fits = max(picture.size) <= CANVAS_SIDE  # known from the header, before anything is decoded
            grey = np.asarray(picture.convert("L")) if fits else None
    except (binascii.Error, UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise InputError("The mask cannot be read. Reload the page and try again.") from error
    if grey is None:
        raise InputError("The mask is larger than the canvas draws. Reload the page.")
    return np.where(grey > 191, 1, np.where(grey > 63, 0, -1)).astype(np.int8)


def merge(mask: npt.NDArray[np.bool_], drawn: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    """A mask at its own size with what a person changed on its small copy.

    Args:
        mask: (H, W) bool.
        drawn: (h, w) values of the canvas.

    Returns:
        (H, W) bool: where the drawing differs from the small copy of ``mask`` it decides, elsewhere nothing
        changes.
    """
    after = drawn == 1
    before = resized(mask, (after.shape[0], after.shape[1]))
    size = (mask.shape[1], mask.shape[0])
    changed = cv2.resize((after != before).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    wanted = cv2.resize(after.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) >= 0.5
    return np.where(changed, wanted, mask)


def version_of(key: str, values: npt.NDArray[np.int8]) -> str:
    """Changes whenever the page would have to load another mask.

    ``values`` are the (h, w) marks.
    """
    return hashlib.sha256(key.encode() + values.tobytes()).hexdigest()[:24]


def task_value(task: Task | None) -> dict[str, Any] | None:
    """What the component's value is set to."""
    return None if task is None else asdict(task)


def _template() -> str:
    """The component's page: it has no variable part, so Gradio never makes it anew."""

    def button(kind: str, name: str, title: str, path: str, classes: str = "") -> str:
        icon = f'<svg viewBox="0 0 24 24" aria-hidden="true"><path d="{path}"/></svg>'
        state = ' aria-pressed="false"' if kind == "tool" or name == "cut" else ""
        return (
            f'<button type="button" class="{classes}" data-{kind}="{name}" title="{title}" '
            f'aria-label="{title}"{state}>{icon}</button>'
        )

    only = {"point": "lc-asks-only", "rest": "lc-marks-only"} | dict.fromkeys(
        ("grow", "shrink", "smooth"), "lc-draft-only"
    )
    tools = "".join(button("tool", *tool, classes=only.get(tool[0], "")) for tool in _TOOLS)
    groups = ["".join(button("do", *a, classes=only.get(a[0], "")) for a in group) for group in _ACTIONS]
    size = '<output class="lc-size" aria-label="Brush radius in pixels">12</output>'
    bars = "".join(
        f'<div class="lc-group">{inner}{size if i == 0 else ""}</div>' for i, inner in enumerate(groups)
    )
    label = "Picture with its mask. The wheel zooms, space moves it, brackets change the size of the brush."
    return (
        f'<div class="lc"><div class="lc-tools" role="toolbar" aria-label="Drawing tools">'
        f'<div class="lc-group">{tools}</div>{bars}</div>'
        f'<div class="lc-stage"><canvas class="lc-view" tabindex="0" aria-label="{label}"></canvas></div>'
        '<ul class="lc-layers" aria-label="What this picture holds"></ul>'
        '<div class="lc-foot"><span class="lc-note" role="status"></span><span class="lc-offer">'
        '<button type="button" data-do="keep">Keep (Enter)</button>'
        '<button type="button" data-do="drop">Drop (Esc)</button></span><label>Mask '
        '<input class="lc-opacity" type="range" min="0" max="1" step="0.05" value="0.45" '
        'aria-label="How opaque the mask is; at 0 its outline alone"></label></div></div>'
    )
