"""The pictures to search in, small, from the moment they are dropped; each can be taken out again."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path

import gradio as gr

from lfss.errors import ImageError, LfssError

from . import strip, views, waiting
from .memory import opened
from .session import Session
from .session_pictures import THUMBNAIL_SIDE
from .sessions import Sessions
from .uploads import Upload


def build_query_strip(sessions: Sessions) -> gr.HTML:
    """The component; its value is ``tiles(session)``."""

    def pictures(key: str, names: Sequence[str]) -> dict[str, strip.Small | LfssError]:
        session = sessions.get(key)
        known = {upload.path.stem: upload for upload in session.queries}
        return {name: _small(session, known[name]) for name in names if name in known}

    return strip.build_strip(pictures, elem_id="query-strip", label="Pictures to search in", removable=True)


def tiles(session: Session, made: Container[Path]) -> dict[str, object]:
    """The value of the strip: a tile for each query, with a tick for those of which ``made`` has the file."""
    found = [
        strip.Tile(query.path.stem, "", query.name, "done" if query.path in made else "")
        for query in session.queries
    ]
    return strip.tiles(found)


def done(session: Session) -> dict[Path, str]:
    """The digest of each query that every label was searched for in, by its file."""
    made = [{path: digest for path, (_, digest) in item.made.items()} for item in session.classes]
    common = set.intersection(*map(set, made)) if made else set()
    return session.resumed[1] | {path: digest for path, digest in made[0].items() if path in common}


def take_out(session: Session, name: str) -> None:
    """Take a picture out of the list, by the key of its tile; its drafts stay."""
    session.queries = [query for query in session.queries if query.path.stem != name]
    waiting.keep(session)


def _small(session: Session, query: Upload) -> strip.Small | LfssError:
    path = session.folder / "thumbnails" / f"{query.path.stem}-query.jpg"
    try:
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            with opened(query.path, query.name) as image:
                assert image is not None
                views.write_jpeg(path, views.shrunk(image.pixels, THUMBNAIL_SIDE))
    except LfssError as error:
        return error
    except OSError:
        return ImageError(f"'{query.name}' is not there any more. Drop it again.")
    return strip.Small(path)
