"""A folder pass over the drafts of a session: learning, looking at what would change, and storing it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from lfss.errors import InputError

from . import review, views
from .memory import opened
from .service import Service
from .session import Session

PAUSE = 0.3  # seconds between two updates of the bar


def learn(service: Service, session: Session) -> Iterator[str]:
    """Learn from the folder; yields progress bars. The session keeps the lesson.

    Raises:
        InputError: there are no drafts.
    """
    from lfss.folder_pass import FolderConfig
    from lfss.refine_folder import lesson_of, pictures, samples

    names = _names(session)
    total, found, shown = min(pictures(session.workspace, names), FolderConfig().pictures), [], 0.0
    for sample in samples(session.workspace, service.cells(), names, opened=opened):
        found.append(sample)
        if time.monotonic() - shown > PAUSE:
            shown = time.monotonic()
            yield views.progress(len(found), total, text="learning from the folder")
    session.lesson = lesson_of(found, names)


def preview(service: Service, session: Session) -> Iterator[Any]:
    """Progress bars, and last a ``Preview``."""
    from lfss.refine_preview import Previewing

    made = Previewing()
    for step in _changes(service, session, "comparing"):
        if isinstance(step, str):
            yield step
        else:
            made.add(step)
    yield made.preview()


def carry_out(service: Service, session: Session) -> Iterator[str | int]:
    """Store what the kept lesson changes; progress bars, and last how many drafts changed.

    Raises:
        InputError: nothing has been learned, or it was left.
    """
    from lfss.refine_folder import keep

    pairs: list[tuple[str, str]] = []
    try:
        for step in _changes(service, session, "improving"):
            if isinstance(step, str):
                yield step
                continue
            with session.turn:
                stored = [change.draft for change in step if keep(session.workspace, change)]
            pairs += [(draft.image_digest, draft.label) for draft in stored]
    finally:  # also of a pass that ended early
        review.note(session, pairs, f"improved with the whole folder: {len(pairs)} drafts")
        session.passed = tuple(pairs)
    yield len(pairs)


def forget_pass(session: Session) -> None:
    """The last pass was taken back draft by draft: it is no step of undo any more."""
    session.trail = [step for step in session.trail if step != session.passed]


def _changes(service: Service, session: Session, text: str) -> Iterator[Any]:
    from lfss.refine_folder import changes, overlapping, pictures

    lesson = session.lesson
    if lesson is None:
        raise InputError("Press 'Improve with the whole folder' first, and look at what would change.")
    total, shown = pictures(session.workspace, lesson.labels), 0.0
    pairs = overlapping(lesson.labels, session.settings.overlaps)
    found = changes(
        session.workspace,
        service.cells(),
        lesson,
        may_overlap=pairs,
        snap=session.settings.snap,
        opened=opened,
    )
    for done, of_picture in enumerate(found, start=1):
        yield of_picture
        if time.monotonic() - shown > PAUSE:
            shown = time.monotonic()
            yield views.progress(done, total, text=text)


def _names(session: Session) -> list[str]:
    """Labels with drafts; raises InputError where there is none."""
    found = [name for name, drafts in session.workspace.stats().drafts.items() if sum(drafts.values())]
    if not found:
        raise InputError("There are no drafts yet. Run first.")
    return found
