"""What a person says of a support in plain text, ``dog.jpg=40,30,200,180``, becomes a Support."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .errors import SupportError
from .images import Image, list_images, read_image, read_mask, read_scribbles
from .support import Support


def read_supports(
    sources: Sequence[Path],
    *,
    boxes: Sequence[str] = (),
    masks: Sequence[str] = (),
    scribbles: Sequence[str] = (),
) -> list[Support]:
    """Read support pictures and what is known of them.

    Each mark is ``IMAGE=VALUE``, where IMAGE is a support's path as given or its file name.

    Args:
        sources: pictures and folders of pictures.
        boxes: values are ``left,top,right,bottom`` in pixels; several boxes of one picture count together.
        masks: values are mask files, see ``images.read_mask``.
        scribbles: values are pictures of strokes, see ``images.read_scribbles``.

    Raises:
        ImageError: a picture cannot be read.
        SupportError: no picture at all, a mark names none of them, or does not fit its picture.
    """
    paths = list_images(sources)
    if not paths:
        places = ", ".join(f"'{source}'" for source in sources)
        raise SupportError(f"There is no picture in {places}. Give at least one photo that shows the object.")
    marks: dict[Path, list[tuple[str, str]]] = {path: [] for path in paths}
    for kind, texts in (("box", boxes), ("mask", masks), ("scribble", scribbles)):
        for text in texts:
            path, value = _split(kind, text, paths)
            marks[path].append((kind, value))
    return [_with_marks(read_image(path), marks[path]) for path in paths]


def _split(kind: str, text: str, paths: Sequence[Path]) -> tuple[Path, str]:
    """The support that a mark names, and the rest; both may hold "=" themselves."""
    for end in reversed([i for i, letter in enumerate(text) if letter == "="]):
        name, value = text[:end], text[end + 1 :]
        if Path(name) in paths:
            return Path(name), value
        found = [path for path in paths if path.name == name]
        if len(found) > 1:
            raise SupportError(
                f"Several supports are called '{name}'. In --{kind}, write the path as given to --support."
            )
        if found:
            return found[0], value
    known = ", ".join(f"'{path.name}'" for path in paths[:5])
    raise SupportError(f"--{kind} '{text}' names no support. Write IMAGE=..., with IMAGE such as {known}.")


def _with_marks(image: Image, marks: Sequence[tuple[str, str]]) -> Support:
    kinds = [kind for kind, _ in marks]
    if len(set(kinds)) > 1 or (len(kinds) > 1 and kinds[0] != "box"):
        raise SupportError(
            f"'{image.name}' has more than one mark ({', '.join(kinds)}). Give it boxes, or one mask, "
            "or one scribble picture."
        )
    if not marks:
        return Support(image)
    kind, value = marks[0]
    if kind == "mask":
        return Support.from_mask(image, read_mask(value, image.size))
    if kind == "scribble":
        return Support.from_scribbles(image, *read_scribbles(value, image.size))
    known = np.zeros(image.size, np.int8)
    for _, value in marks:
        box = Support.from_box(image, _corners(value, image.name)).known
        known = np.minimum(known, -1 if box is None else box)  # unknown (-1) inside any box, else not object
    return Support(image, None if known.all() else known)  # boxes around everything say nothing


def _corners(text: str, name: str) -> tuple[int, int, int, int]:
    try:
        left, top, right, bottom = (round(float(part)) for part in text.split(","))
    except (ValueError, OverflowError) as error:
        raise SupportError(
            f"The box '{text}' of '{name}' is not four numbers. Write left,top,right,bottom in pixels."
        ) from error
    return left, top, right, bottom
