"""Who made a draft, as the plain values that files can hold, and whether it came back as it was."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from ..doubt import warning
from ..drafts import Draft, Origin, Status
from ..objects import numbered, used
from ..text import escaped
from .pieces import How
from .rle import Mask, bounds

Value = str | float
_DIGITS = 16  # of a SHA-256 in a fingerprint


@dataclass(frozen=True)
class Exported:
    """What was written for a label on a picture.

    Attributes:
        label: its name.
        status: the draft's state.
        mask: ``content`` of the draft.
        drawn: fingerprint of the mask as a reader draws it from the file: polygons cost some pixels.
        shapes: how many objects were written; 0 where the format does not tell them apart.
        objects: ``combined`` seals of the objects as a reader draws them; "" where there are fewer than two,
            or where the file was written by a program that did not note it.
    """

    label: str
    status: str
    mask: str
    drawn: str
    shapes: int
    objects: str = ""


def fingerprint(mask: Mask, corner: tuple[int, int] = (0, 0)) -> str:
    """The first 16 hexadecimal digits of a SHA-256 over a (H, W) mask: its box and the pixels in it.

    ``corner``: top and left of the mask in its picture, where it is a window of it.
    """
    top, left, height, width = bounds(mask)
    crop = np.packbits(mask[top : top + height, left : left + width])
    box = (top + corner[0], left + corner[1], height, width)
    return hashlib.sha256(repr(box).encode() + crop.tobytes()).hexdigest()[:_DIGITS]


def combined(fingerprints: Iterable[str]) -> str:
    """One fingerprint of several, whatever their order."""
    return hashlib.sha256(" ".join(sorted(fingerprints)).encode()).hexdigest()[:_DIGITS]


def content(draft: Draft) -> str:
    """The fingerprint of a draft's mask, and of its objects where a person has told them apart."""
    if draft.objects is None:
        return fingerprint(draft.mask)
    numbers = numbered(draft.mask, draft.objects)
    return combined([fingerprint(draft.mask), *(fingerprint(numbers == n) for n in used(numbers))])


def object_seal(shapes: Iterable[Mask | tuple[Mask, tuple[int, int]]]) -> str:
    """The fingerprint of one object, made of those of its shapes.

    Args:
        shapes: (H, W) as readers draw each of them, or a window of that with its top and left.
    """
    return combined(fingerprint(*s) if isinstance(s, tuple) else fingerprint(s) for s in shapes)


def exported(draft: Draft, drawn: Mask, objects: Sequence[str]) -> str:
    """What ``exported_of`` reads again.

    Args:
        draft: as it is written.
        drawn: (H, W) all its shapes as readers draw them; the draft's own mask where every pixel is kept.
        objects: see ``written``.
    """
    shown = fingerprint(draft.mask) if drawn is draft.mask else fingerprint(drawn)
    count = f"{len(objects)}:{combined(objects)}" if len(objects) > 1 else f"{len(objects)}"
    return f"{draft.status} {content(draft)} {shown} {count} {draft.label}"


def exported_of(text: object) -> Exported | None:
    """What was exported, from the text in a file; None where it makes no sense."""
    pattern = r"(\w+) ([0-9a-f]{16}) ([0-9a-f]{16}) (\d{1,9})(?::([0-9a-f]{16}))? (.+)"
    found = re.fullmatch(pattern, text) if isinstance(text, str) else None
    return Exported(found[6], found[1], found[2], found[3], int(found[4]), found[5] or "") if found else None


def corrected(draft: Draft) -> Draft:
    """The draft as one that a person changed: what a model said of its own mask no longer holds."""
    origin = draft.origin
    if origin.model != "person":
        origin = Origin(label=origin.label, settings={"corrected": origin.model})
    return replace(draft, status="edited", score=None, presence=None, doubt=None, lost={}, origin=origin)


def describe(draft: Draft) -> dict[str, Value]:
    """Where a draft comes from, as text and numbers: ``restore`` reads it again."""
    origin = draft.origin
    proposed = draft.status == "proposed"  # what a person has checked needs no warning
    values: dict[str, Value | None] = {
        "status": draft.status,
        "model": origin.model,
        "method": origin.method or None,
        "prompt": origin.label or None,
        "threshold": origin.threshold if origin.model != "person" else None,
        "score": draft.score,
        "presence": draft.presence,
        "supports": " ".join(origin.supports) or None,
        "warning": (proposed and warning(float(draft.mask.mean()), draft.label)) or None,
        "settings": json.dumps(origin.settings, ensure_ascii=False) if origin.settings else None,
    }
    return {key: value for key, value in values.items() if value is not None}


def written(draft: Draft, drawn: Mask, how: How, objects: Sequence[str] = ()) -> dict[str, Value]:
    """What a file says beside the shapes of a draft.

    Args:
        draft: as it is written.
        drawn: (H, W) all its shapes as readers draw them; the draft's own mask where every pixel is kept.
        how: one shape for all objects (``together``), or one for each.
        objects: ``object_seal`` of each that is written; none where the format does not tell objects
            apart. Their order does not matter, as some tools change it.
    """
    attributes = describe(draft) | {"exported": exported(draft, drawn, objects)}
    return attributes | {"objects": how} if how == "together" else attributes


def sentence(draft: Draft) -> str:
    """The same in a few words, for tools that show a note beside a shape."""
    words = [draft.status, f"made by {draft.origin.model}"]
    if draft.score is not None:
        words.append(f"score {draft.score:.2f}")
    return ", ".join(words)


def restore(values: Mapping[str, Any], *, status: Status) -> dict[str, Any]:
    """Fields of a Draft from what a file says; what is missing or makes no sense is left out.

    Args:
        values: from ``describe``, or whatever another program wrote there.
        status: of drafts about which the file says nothing.
    """
    known = get_args(Status)
    settings = _parsed(values.get("settings"))
    origin = Origin(
        model=_text(values.get("model")) or "person",
        label=_text(values.get("prompt")),
        threshold=_share(values.get("threshold"), 0.5),
        supports=tuple(_text(values.get("supports")).split()),
        settings={_text(str(k)): _text(str(v)) for k, v in settings.items()}
        if isinstance(settings, dict)
        else {},
        method=_text(values.get("method")),
    )
    return {
        "status": values["status"] if values.get("status") in known else status,
        "score": _share(values.get("score"), None),
        "presence": _share(values.get("presence"), None),
        "origin": origin,
    }


def _text(value: object) -> str:
    return escaped(value) if isinstance(value, str) else ""


def _share(value: object, otherwise: Any) -> Any:
    if isinstance(value, str):  # in XML every value is text
        try:
            value = float(value)
        except ValueError:
            return otherwise
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= 1 else otherwise  # type: ignore[arg-type, operator]


def _parsed(value: object) -> object:
    try:
        return json.loads(_text(value) or "{}")
    except (ValueError, RecursionError):
        return {}
