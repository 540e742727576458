"""From stages to pictures: overlays, maps, points, and one labelled strip per query.

Maps are drawn in viridis, which is even in brightness and readable with every kind of colour vision.
A picture is shrunk before anything is drawn on it, so 24 megapixels cost little more than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from .atomic import write_atomic
from .images import Image
from .palette import LABEL_COLOURS, rgb
from .stages import Prediction, Stage

Pixels = npt.NDArray[np.uint8]
Color = tuple[int, int, int]

OBJECT_COLOR: Color = rgb(LABEL_COLOURS[0])
POINT_COLOR: Color = (255, 214, 0)
MAP_OPACITY = 0.65
_PAPER, _INK, _FAINT, _RULE = (255, 255, 255), (28, 32, 38), (104, 112, 122), (222, 226, 230)
_GAP, _MARGIN, _LINE = 14, 20, 17  # pixels between columns, around the strip, from text line to line


def overlay(
    pixels: Pixels,
    mask: npt.NDArray[np.bool_],
    color: Color = OBJECT_COLOR,
    opacity: float = 0.45,
    *,
    outline: bool = True,
) -> Pixels:
    """The picture with a mask tinted over it.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        mask: (h, w) bool; another size is stretched to the picture.
        color: RGB of the tint.
        opacity: share of the tint under the mask, in [0, 1].
        outline: draw the mask's border, white around the colour.

    Returns:
        (H, W, 3) uint8, a new array.
    """
    inside = (_stretched(mask.astype(np.uint8) * np.uint8(255), pixels.shape) >= 128).astype(np.uint8)
    flat = np.full_like(pixels, np.asarray(color, np.uint8))
    drawn = pixels.copy()
    cv2.copyTo(cv2.addWeighted(pixels, 1 - opacity, flat, opacity, 0), inside, drawn)
    if outline:
        width = max(pixels.shape) // 400  # 0: a thumbnail, where one white pixel stays fine
        border = cv2.subtract(inside, cv2.erode(inside, np.ones((3, 3), np.uint8)))
        drawn[_thickened(border, width)] = 255
        if width:
            drawn[_thickened(border, width // 2)] = color
    return drawn


def colorize(values: npt.NDArray, low: float = 0.0, high: float = 1.0) -> Pixels:
    """A map in colours: dark blue is ``low``, yellow is ``high``, grey is not a number.

    Args:
        values: (h, w).
        low, high: the range of the colour scale; values beyond it take its end.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    values = np.asarray(values, np.float32)
    span = high - low if high > low else 1.0
    known = np.isfinite(values)
    share = np.clip(np.where(known, (values - low) / span, 0), 0, 1)
    colors = _color_table()[np.rint(share * 255).astype(np.uint8)]
    return np.where(known[..., None], colors, np.uint8(128))


def draw(stage: Stage, image: Image, *, support: int | None = None, max_side: int = 1024) -> Pixels:
    """One stage drawn over the picture that it belongs to.

    Args:
        stage: what to draw; only its ``kind`` decides how.
        image: the query, or the support picture.
        support: number of the support from 0; None for the query.
        max_side: longest side of the result in pixels; a larger picture is shrunk first.

    Returns:
        (h, w, 3) uint8. The picture alone where the stage has nothing to show on that side.
    """
    pixels = _shrunk(image.pixels, max_side)
    painted = _painted(stage, support, pixels, image.size)
    return pixels if painted is None else painted


def strip(
    prediction: Prediction,
    query: Image,
    supports: Sequence[Image],
    *,
    thumb: int = 232,
    max_supports: int = 3,
) -> Pixels:
    """Everything about one query in one picture: rows are pictures, columns are stages.

    Args:
        prediction: the result for this query.
        query: its picture.
        supports: the support pictures in upload order; the first few are shown.
        thumb: width of a column in pixels.
        max_supports: rows for supports.

    Returns:
        (height, width, 3) uint8 on white: titles, pictures, colour scales, and how to read each.
    """
    hidden = max(0, len(supports) - max_supports)
    top = _MARGIN + 64
    rows = _rows([*supports[:max_supports], query], thumb, top + 24)
    bottom = rows[-1].top + rows[-1].pixels.shape[0] + 12
    captions = [_wrapped(stage.how_to_read, _font(12), thumb) for stage in prediction.stages]
    height = bottom + 28 + _LINE * max([0, *map(len, captions)]) + 44
    columns = len(prediction.stages) + 1
    sheet = PilImage.new("RGB", (2 * _MARGIN + columns * (thumb + _GAP) - _GAP, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _write_frame(pen, prediction, query.name, hidden=hidden, size=sheet.size)
    for column in range(columns):
        stage = prediction.stages[column - 1] if column else None
        x = _MARGIN + column * (thumb + _GAP)
        _write(pen, (x, top), stage.title if stage else "Picture", _font(14, bold=True), thumb)
        for row in rows:
            _put_cell(sheet, x, thumb, row, stage)
        if stage:
            _write_foot(sheet, (x, bottom), stage, captions[column - 1], thumb)
    return np.asarray(sheet)


def save_png_atomic(path: Path, array: npt.NDArray, *, sync: bool = True) -> None:
    """Write a PNG whole or not at all.

    Args:
        path: the file; its folder must exist.
        array: (H, W, 3) uint8 RGB, (H, W) uint8, or (H, W) bool, which becomes 0 and 255.
        sync: as in ``write_atomically``.

    Raises:
        OSError: the folder cannot be written or the disk is full.
    """
    if array.dtype == np.bool_:
        array = array * np.uint8(255)
    options: tuple[int, ...] = ()
    if array.ndim == 3:
        array, options = array[..., ::-1], (cv2.IMWRITE_PNG_COMPRESSION, 3)  # half of the default's bytes
    _, data = cv2.imencode(".png", np.ascontiguousarray(array), options)
    write_atomic(path, data.tobytes(), sync=sync)


@lru_cache(maxsize=1)
def _color_table() -> Pixels:
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    return cv2.applyColorMap(ramp, cv2.COLORMAP_VIRIDIS)[:, 0, ::-1].astype(np.uint8)


def _shrunk(pixels: Pixels, max_side: int, *, enlarge: bool = False) -> Pixels:
    height, width = pixels.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1 and not enlarge:
        return pixels.copy()
    size = max(1, round(width * scale)), max(1, round(height * scale))
    form = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=form), np.uint8)


def _thickened(line: npt.NDArray, radius: int) -> npt.NDArray[np.bool_]:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(line, disc), bool)


def _stretched(values: npt.NDArray, shape: tuple[int, ...], form: int = cv2.INTER_LINEAR) -> npt.NDArray:
    """Resized to the first two sides of ``shape``; what shrinks is averaged unless numbers cannot be."""
    height, width = shape[:2]
    if values.shape == (height, width):
        return values
    if height <= values.shape[0] and width <= values.shape[1] and form != cv2.INTER_NEAREST:
        form = cv2.INTER_AREA
    return np.asarray(cv2.resize(values, (width, height), interpolation=form))


def _painted(stage: Stage, support: int | None, pixels: Pixels, size: tuple[int, int]) -> Pixels | None:
    """Draw on pixels that are a resized copy of a picture of (H, W) = size."""
    if support is None:
        values = stage.query
    else:
        values = stage.supports[support] if support < len(stage.supports) else None
    if values is None:
        return None
    if stage.kind == "mask":
        return overlay(pixels, np.asarray(values, bool))
    if stage.kind == "points":
        return _numbered(pixels, np.asarray(values, np.float32), pixels.shape[0] / size[0])
    if stage.kind == "number":
        return _lettered(pixels, f"{float(values):.2f}")
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    form = cv2.INTER_NEAREST if stage.kind == "regions" else cv2.INTER_LINEAR
    values = _stretched(np.asarray(values, np.float32), pixels.shape, form)
    colors = colorize(values, stage.low, stage.high)
    return np.asarray(cv2.addWeighted(colors, MAP_OPACITY, grey, 1 - MAP_OPACITY, 0), np.uint8)


def _numbered(pixels: Pixels, points: npt.NDArray[np.float32], scale: float) -> Pixels:
    """Discs with numbers from 1; dots without numbers where points lie too close for them."""
    sheet = PilImage.fromarray(pixels)
    pen, centers = ImageDraw.Draw(sheet), (points[:, ::-1] + 0.5) * scale
    radius = max(max(pixels.shape) / 32, 8.0)
    if len(centers) > 1:
        apart = np.linalg.norm(centers[:, None] - centers, axis=2)
        np.fill_diagonal(apart, np.inf)
        radius = min(radius, max(float(np.median(apart.min(axis=1))) * 0.6, max(pixels.shape) / 90, 3.0))
    for number, (x, y) in enumerate(centers.tolist(), start=1):
        box = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse(box, fill=POINT_COLOR, outline=(0, 0, 0), width=max(1, round(radius / 7)))
        if radius >= 6:
            pen.text((x, y), str(number), (0, 0, 0), _font(round(radius * 1.1), bold=True), anchor="mm")
    return np.asarray(sheet)


def _lettered(pixels: Pixels, text: str) -> Pixels:
    """A number on a light plate in the upper left corner."""
    sheet = PilImage.fromarray(pixels)
    pen, font = ImageDraw.Draw(sheet), _font(max(12, max(pixels.shape) // 12), bold=True)
    left, top, right, bottom = pen.textbbox((10, 8), text, font)
    pen.rectangle((left - 6, top - 5, right + 6, bottom + 5), fill=_PAPER, outline=_RULE)
    pen.text((10, 8), text, _INK, font)
    return np.asarray(sheet)


class _Row(NamedTuple):
    """One picture of a strip, shrunk once for all of its columns."""

    support: int | None
    title: str
    pixels: Pixels
    size: tuple[int, int]
    top: int


def _rows(images: Sequence[Image], thumb: int, top: int) -> list[_Row]:
    """Supports, then the query; the heading of a row stands in the 20 pixels above its ``top``."""
    rows = []
    for number, image in enumerate(images):
        height, width = image.size
        wide = min(thumb, 1.2 * thumb * width / height)
        pixels = _shrunk(image.pixels, round(wide * max(1, height / width)), enlarge=True)
        last = number == len(images) - 1
        title = f"Query: {image.name}" if last else f"Support {number + 1}: {image.name}"
        rows.append(_Row(None if last else number, title, pixels, image.size, top + 20))
        top += 20 + pixels.shape[0] + 8
    return rows


def _put_cell(sheet: PilImage.Image, x: int, thumb: int, row: _Row, stage: Stage | None) -> None:
    pen, height = ImageDraw.Draw(sheet), row.pixels.shape[0]
    if stage is None:
        _write(pen, (x, row.top - 18), row.title, _font(12), thumb, _FAINT)
        pixels: Pixels | None = row.pixels
    else:
        pixels = _painted(stage, row.support, row.pixels, row.size)
    if pixels is None:
        where, middle = (
            ("supports" if row.support is None else "query"),
            (x + thumb / 2, row.top + height / 2),
        )
        pen.rectangle((x, row.top, x + thumb - 1, row.top + height - 1), outline=_RULE)
        pen.text(middle, f"{where} only", _FAINT, _font(12), anchor="mm")
    else:
        sheet.paste(PilImage.fromarray(pixels), (x + (thumb - pixels.shape[1]) // 2, row.top))


def _write_frame(
    pen: ImageDraw.ImageDraw, prediction: Prediction, name: str, *, hidden: int, size: tuple[int, int]
) -> None:
    """What was searched for above, and how to read the whole below."""
    width = size[0] - 2 * _MARGIN
    label = prediction.label
    words = ", ".join(label.phrases)
    if label.distractors:
        words += f" (not: {', '.join(label.distractors)})"
    _write(pen, (_MARGIN, _MARGIN - 4), words, _font(22, bold=True), width)
    facts = (
        f"{name} · model {prediction.preset} · threshold {prediction.threshold:.2f} · "
        f"{prediction.presence:.0%} sure that the object is there · "
        f"mask {prediction.mask.mean():.1%} of the picture · {prediction.seconds:.2f} s"
    )
    _write(pen, (_MARGIN, _MARGIN + 28), facts, _font(13), width, _FAINT)
    more = f" {hidden} more support pictures took part." if hidden else ""
    note = (
        "How to read: columns follow the method from left to right; pink is a mask; in maps, yellow is "
        f"high and dark blue is low, with the numbers of the scale below.{more}"
    )
    _write(pen, (_MARGIN, size[1] - _MARGIN - 14), note, _font(12), width, _FAINT)


def _write_foot(
    sheet: PilImage.Image, corner: tuple[int, int], stage: Stage, caption: list[str], thumb: int
) -> None:
    """Colour scale with its numbers, and how to read this column."""
    (x, y), pen = corner, ImageDraw.Draw(sheet)
    if stage.kind in ("map", "regions"):
        low, high = f"{stage.low:.3g}", f"{stage.high:.3g}"
        left, right = (round(_font(11).getlength(text)) + 6 for text in (low, high))
        bar = np.repeat(colorize(np.linspace(0, 1, thumb - left - right)[None]), 9, axis=0)
        sheet.paste(PilImage.fromarray(bar), (x + left, y + 3))
        pen.text((x, y + 7), low, _FAINT, _font(11), anchor="lm")
        pen.text((x + thumb, y + 7), high, _FAINT, _font(11), anchor="rm")
    for number, line in enumerate(caption):
        pen.text((x, y + 22 + number * _LINE), line, _INK, _font(12))


def _write(
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    text: str,
    font: ImageFont.FreeTypeFont,
    width: int,
    color: Color = _INK,
) -> None:
    """One line, shortened to its column."""
    text = _readable(text)
    if font.getlength(text) > width:
        while text and font.getlength(text + "…") > width:
            text = text[:-1]
        text += "…"
    pen.text(corner, text, color, font)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines = [""]
    for word in _readable(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@lru_cache(maxsize=32)
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_font_file("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), size)


def _font_file(name: str) -> str:
    """Fonts that come with matplotlib, since Pillow's own holds Latin letters alone."""
    import matplotlib  # here, since it takes long and the first page of the app needs no text

    return str(Path(matplotlib.get_data_path(), "fonts", "ttf", name))


@lru_cache(maxsize=1)
def _known_letters() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(_font_file("DejaVuSans.ttf")).get_charmap())


def _readable(text: str) -> str:
    """The text with a box for every letter that the font lacks."""
    return "".join(c if ord(c) in _known_letters() else "□" for c in " ".join(text.split()))
