"""A strip: hundreds of small pictures in a grid, of which the page fetches those in sight.

``assets/strip.js`` draws it; this module makes the component, says which tiles there are, and answers with
their pictures. A tile is a button: ``select`` of the component tells which, ``delete`` which one to take out.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from lfss.errors import InputError, LfssError
from lfss.shipped import shipped

from . import sent

AT_ONCE = 24  # pictures in one answer; strip.js asks for fewer


@dataclass(frozen=True)
class Tile:
    """One picture of a strip.

    Attributes:
        key: names it among the others.
        version: changes whenever its picture does.
        text: under the picture, until more is known.
        state: ``done`` gets a tick.
    """

    key: str
    version: str
    text: str
    state: str = ""


class Small(NamedTuple):
    """A JPEG of a tile, and what stands under it if that is more than the tile says."""

    path: Path
    text: str = ""


# Given a session's key and keys of tiles: the picture of each, or why there is none.
Pictures = Callable[[str, Sequence[str]], dict[str, Small | LfssError]]


def build_strip(
    pictures: Pictures, *, elem_id: str, label: str, removable: bool = False, elem_classes: str = ""
) -> gr.HTML:
    """The component; its value is what ``tiles`` or ``chosen`` returns.

    Args:
        pictures: where small pictures come from.
        elem_id, elem_classes: of the component.
        label: what it holds, for those who hear the page.
        removable: tiles can be taken out.
    """

    def answer(asked: Any) -> dict[str, dict[str, str]]:
        keys = sent.of(asked, "keys")
        if not isinstance(keys, list) or len(keys) > AT_ONCE:
            return {}
        try:
            key, names = sent.text(asked, "session"), [sent.checked(name) for name in keys]
            return {name: _sendable(found) for name, found in pictures(key, names).items()}
        except InputError:  # the page was idle for too long; its next click says so
            return {}

    answer.__name__ = "pictures"  # as the page calls it
    attribute = " data-removable" if removable else ""
    return gr.HTML(
        value=None,
        html_template=f'<ul class="ls-list" aria-label="{html.escape(label)}"{attribute}></ul>',
        css_template=shipped("strip.css").read_text(encoding="utf-8"),
        js_on_load=shipped("strip.js").read_text(encoding="utf-8"),
        server_functions=[answer],
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=["lfss-strip", elem_classes],
    )


def tiles(found: Sequence[Tile], chosen: str | None = None) -> dict[str, Any]:
    """The value of a strip with these tiles."""
    return {"tiles": [asdict(tile) for tile in found], "chosen": chosen}


def chosen(key: str | None) -> dict[str, Any]:
    """The value of a strip whose tiles stay and of which another one is chosen."""
    return {"chosen": key}


def _sendable(found: Small | LfssError) -> dict[str, str]:
    if isinstance(found, LfssError):
        return {"error": str(found)}
    data = base64.b64encode(found.path.read_bytes()).decode("ascii")
    return {"picture": f"data:image/jpeg;base64,{data}", "text": found.text}
