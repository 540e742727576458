"""The worked example of the first screen: photos that come with Gradio, read where they lie."""

from __future__ import annotations

from pathlib import Path

import gradio
import numpy as np

from lfss.errors import LfssError

from .session import Session

LABEL = "cheetah"
_ROOT = Path(gradio.__file__).parent
# The box holds the animal: the example must work whether or not a preset knows the word.
_SUPPORTS = (
    (_ROOT / "media_assets" / "images" / "cheetah1.jpg", (22, 20, 246, 256)),
    (_ROOT / "test_data" / "cheetah2.jpg", (36, 70, 740, 787)),
)
_QUERIES = (_ROOT / "media_assets" / "images" / "cheetah.jpg",)


def install(session: Session) -> bool:
    """Fill an empty session with the example; False where its photos are missing."""
    supports = [(path, box) for path, box in _SUPPORTS if path.is_file()]
    queries = [path for path in _QUERIES if path.is_file()]
    if not supports or not queries:
        return False
    try:
        session.add_supports(path for path, _ in supports)
        session.add_queries(queries)
        for index, (_, (left, top, right, bottom)) in enumerate(supports):
            known = np.zeros(session.supports[index].picture.size, np.int8)
            known[top:bottom, left:right] = -1
            session.mark(index, known, "box")
    except (LfssError, IndexError):
        session.clear()
        return False
    session.label, session.example = LABEL, True
    return True


def outgrown(session: Session) -> bool:
    """Whether the example is shown and somebody has typed a label over its own; it may be the same word."""
    return session.example and _is_own(session) and bool(session.label.strip())


def leave(session: Session) -> None:
    """Put all of the example away: none of it is used for anything else. A label typed over it stays."""
    label, not_words, own = session.label, session.not_words, _is_own(session)
    session.cancel.set()
    session.clear()
    if own:
        session.label, session.not_words = label, not_words


def _is_own(session: Session) -> bool:
    """Whether somebody has typed into the label."""
    return session.typed_over or session.label != LABEL
