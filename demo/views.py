"""From masks to what the page shows. Pure functions."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lfss.atomic import write_atomic
from lfss.figures import Pixels, overlay
from lfss.palette import LABEL_COLOURS, rgb

from .words import buttons

CANVAS_SIDE = 1024  # pixels; the longer side of a picture that is drawn on
OBJECT_BRUSH, OTHER_BRUSH = "#0072B2", "#E69F00"  # blue and orange: apart in every kind of colour vision
DRAFT_COLOUR = LABEL_COLOURS[0]  # of a mask that has no label with another one
MAX_FILES, COPIED_AFTER = (
    100,
    60.0,
)  # pictures that a session shows; seconds until Gradio has surely copied one

Mask = npt.NDArray[np.bool_]


def shrunk(pixels: Pixels, longest: int = CANVAS_SIDE) -> Pixels:
    """The picture (H, W, 3), or a smaller copy whose longest side has ``longest`` pixels."""
    height, width = pixels.shape[:2]
    scale = min(1.0, longest / max(height, width))
    if scale == 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def resized(mask: Mask, size: tuple[int, int]) -> Mask:
    """A (h, w) mask at another size (H, W), its border kept where it is."""
    if mask.shape == tuple(size):
        return mask
    form = cv2.INTER_AREA if size[0] < mask.shape[0] else cv2.INTER_LINEAR
    grey = cv2.resize(mask.astype(np.uint8) * 255, (size[1], size[0]), interpolation=form)
    return np.asarray(grey >= 128)


def shown_mask(pixels: Pixels, mask: Mask, *, opacity: float = 0.45, colour: str = DRAFT_COLOUR) -> Pixels:
    """The picture (h, w, 3) with a (H, W) mask over it; with no opacity, its outline alone."""
    return overlay(pixels, resized(mask, (pixels.shape[0], pixels.shape[1])), rgb(colour), opacity)


def shown_marks(pixels: Pixels, known: npt.NDArray[np.int8]) -> Pixels:
    """A support (h, w, 3) with its (H, W) marks: blue is object, orange is not, the rest is the model's."""
    size = (pixels.shape[0], pixels.shape[1])
    drawn = overlay(pixels, resized(known == 1, size), rgb(OBJECT_BRUSH), 0.35)
    beside = resized(known == 0, size)
    # A box leaves most of the picture known as background: dimmed, not painted over.
    if beside.mean() > 0.3:
        return np.where(beside[..., None], (drawn * 0.45).astype(np.uint8), drawn)
    return overlay(drawn, beside, rgb(OTHER_BRUSH), 0.35)


def data_url(pixels: Pixels) -> str:
    """A picture (H, W, 3) as text that a page can show."""
    return "data:image/jpeg;base64," + base64.b64encode(_jpeg(pixels)).decode("ascii")


def write_jpeg(path: Path, pixels: Pixels) -> None:
    """Write a picture (H, W, 3) that is only looked at, atomically."""
    write_atomic(path, _jpeg(pixels), sync=False)


def jpeg_file(folder: Path, pixels: Pixels) -> Path:
    """A file of a picture that is only looked at, in a folder that keeps the latest ``MAX_FILES``.

    A component that is given arrays makes Gradio write its file anew each time, also while a browser is
    reading the very same one. These files are named after their pixels and written once.
    """
    shape = repr(pixels.shape).encode()
    name = hashlib.blake2b(np.ascontiguousarray(pixels).tobytes() + shape, digest_size=16).hexdigest()
    path = folder / f"{name}.jpg"
    folder.mkdir(exist_ok=True)
    if path.exists():
        os.utime(path)  # it is among the latest again
        return path
    write_jpeg(path, pixels)
    files = sorted((file.stat().st_mtime, file) for file in folder.glob("*.jpg"))
    for seen, file in files[:-MAX_FILES]:
        if time.time() - seen > COPIED_AFTER:
            file.unlink(missing_ok=True)
    return path


def _jpeg(pixels: Pixels) -> bytes:
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data.tobytes()


def progress(done: int, total: int, *, text: str, seconds_left: float | None = None) -> str:
    """A progress bar with its numbers, as HTML.

    Args:
        done, total: how many.
        text: what is done.
        seconds_left: if it is known.
    """
    share = 100 * done / total if total else 0
    left = "" if seconds_left is None else f" · {duration(seconds_left)} left"
    return (
        f'<div class="lfss-progress" role="progressbar" aria-valuemin="0" aria-valuemax="{total}" '
        f'aria-valuenow="{done}"><div class="lfss-bar"><span style="width:{share:.0f}%"></span></div>'
        f"<p>{done} of {total}{left} · {html.escape(text)}</p></div>"
    )


def notes(lines: Sequence[str], *, kind: str = "note") -> str:
    """Sentences for people, as HTML with every mark of theirs made harmless; see ``words`` for our words."""
    shown = [f"<p>{buttons(html.escape(line))}</p>" for line in lines if line]
    return f'<div class="lfss-{kind}">{"".join(shown)}</div>' if shown else ""


def step(number: int, title: str) -> str:
    """The heading of a step, as HTML."""
    return f'<h3 class="lfss-step"><span>{number}</span>{html.escape(title)}</h3>'


def empty(title: str, lines: Sequence[str]) -> str:
    """What stands where something will be, and what to do to get it, as HTML."""
    told = "".join(f"<p>{html.escape(line)}</p>" for line in lines if line)
    return f'<div class="lfss-empty"><h3>{html.escape(title)}</h3>{told}</div>'


def duration(seconds: float) -> str:
    """``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
