"""Who made a draft, as the plain values that files can hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

from ..drafts import Draft, Origin, Status
from ..text import escaped

Value = str | float


def describe(draft: Draft) -> dict[str, Value]:
    """Where a draft comes from, as text and numbers: ``restore`` reads it again."""
    origin = draft.origin
    values: dict[str, Value | None] = {
        "status": draft.status,
        "model": origin.model,
        "method": origin.method or None,
        "prompt": origin.label or None,
        "threshold": origin.threshold if origin.model != "person" else None,
        "score": draft.score,
        "presence": draft.presence,
        "supports": " ".join(origin.supports) or None,
        "settings": json.dumps(origin.settings, ensure_ascii=False) if origin.settings else None,
    }
    return {key: value for key, value in values.items() if value is not None}


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
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= 1 else otherwise  # type: ignore[arg-type, operator]


def _parsed(value: object) -> object:
    try:
        return json.loads(_text(value) or "{}")
    except (ValueError, RecursionError):
        return {}
