"""The list of drafts as a strip: each picture with its mask, small; those in sight are made and fetched."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from lfss.errors import LfssError
from lfss.storage.listing import Row

from . import review, strip
from .colours import colour_of
from .session import Session
from .sessions import Sessions


def build_review_strip(sessions: Sessions) -> gr.HTML:
    """The component; its value is what ``tiles`` returns."""

    def pictures(key: str, names: Sequence[str]) -> dict[str, strip.Small | LfssError]:
        session = sessions.get(key)
        labels = {name.partition(":")[2] for name in names}
        rows = {key_of(row): row for label in labels for row in _rows(session, label)}
        return {name: _small(session, rows[name]) for name in names if name in rows}

    return strip.build_strip(pictures, elem_id="review-strip", label="Drafts")


def tiles(session: Session, rows: Sequence[Row], chosen: str | None) -> dict[str, object]:
    """The value of the strip.

    Args:
        session: of the visitor.
        rows: what is listed, in order, of one label.
        chosen: digest of the draft under review.
    """
    colour = colour_of(session, rows[0].label) if rows else ""
    found = [
        strip.Tile(key_of(row), f"{review.version_of(row)} {colour}", review.caption(row)) for row in rows
    ]
    return strip.tiles(found, next((key_of(row) for row in rows if row.digest == chosen), None))


def key_of(row: Row) -> str:
    """The key of a draft's tile."""
    return f"{row.digest}:{row.label}"


def _rows(session: Session, label: str) -> Sequence[Row]:
    known = label in review.labels(session)
    return session.workspace.overview(label) if known else ()


def _small(session: Session, row: Row) -> strip.Small | LfssError:
    try:
        text = review.caption(row, review.objects_in(session, row))
        return strip.Small(review.thumbnail(session, row), text)
    except LfssError as error:  # the picture is not there any more
        return error
