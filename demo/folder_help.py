"""A folder pass over the drafts of a session: learning, looking at what would change, and storing it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from lfss.errors import InputError

from . import review, views
from .memory import opened
from .service import Service
from .session import Session, Step

if TYPE_CHECKING:
    from lfss.refine_folder import Lesson

PAUSE = 0.3  # seconds between two updates of the bar


def learn(service: Service, session: Session) -> Iterator[str]:
    """Learn from the folder; yields progress bars. The session keeps the lesson. Raises as ``learned``."""
    for step in learned(service, session):
        if isinstance(step, str):
            yield step
        else:
            session.lesson = step


def learned(service: Service, session: Session) -> Iterator[str | Lesson]:
    """Learn from the folder; progress bars, and last the lesson.

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
    yield lesson_of(found, names)


def preview(service: Service, session: Session) -> Iterator[Any]:
    """Progress bars, and last a ``Preview``."""
    from lfss.refine_preview import Previewing

    made = Previewing()
    for step in _changes(service, session, _kept_lesson(session), "comparing"):
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
    yield from store(service, session, _kept_lesson(session))


def forget_passes(session: Session) -> None:
    """The passes were taken back draft by draft: they are no steps of undo any more."""
    session.trail = [step for step in session.trail if step not in session.passed]
    session.passed.clear()


def store(
    service: Service, session: Session, lesson: Lesson, *, left: Callable[[str], bool] = lambda digest: False,
    below: Step | None = None, what: str = "improved with the whole folder",
) -> Iterator[str | int]:  # fmt: skip
    """Store what a lesson changes, as one step of undo; progress bars, and last how many drafts changed.

    Args:
        service, session: the model, and the visitor's own.
        lesson: of ``learned``.
        left: which pictures, by digest, are to be left alone.
        below: put the step of undo under this one; see ``review.note``.
        what: the step, for people.
    """
    from lfss.refine_folder import keep

    pairs: list[tuple[str, str]] = []
    try:
        for step in _changes(service, session, lesson, "improving"):
            if isinstance(step, str):
                yield step
                continue
            with session.turn:
                chosen = [
                    change.draft
                    for change in step
                    if not left(change.draft.image_digest) and keep(session.workspace, change)
                ]
            pairs += [(draft.image_digest, draft.label) for draft in chosen]
    finally:  # also of a pass that ended early
        if pairs:
            with session.turn:
                review.note(session, pairs, f"{what}: {review.drafts_of(len(pairs))}", below=below)
                session.passed.append(tuple(pairs))
    yield len(pairs)


def _kept_lesson(session: Session) -> Lesson:
    if session.lesson is None:
        raise InputError("Press 'Improve with the whole folder' first, and look at what would change.")
    return session.lesson


def _changes(service: Service, session: Session, lesson: Lesson, text: str) -> Iterator[Any]:
    from lfss.refine_folder import changes, overlapping, pictures

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
