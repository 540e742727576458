"""What a person accepts refines the rest in the background, where that person has switched it on.

Each pass is a folder pass (``folder_help``) without a preview. What a person has checked stays, and so does
the draft under review, since somebody looks at it. Each pass is one step of undo.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import kept, views
from .errand import Errand
from .folder_help import learned, store
from .review import drafts_of
from .service import Service
from .session import Session

FILE = "learning.json"


class Background:
    """Pass after pass until nothing new has been accepted; it begins at once.

    Attributes:
        errand: does the work; its last step says what became of it, as HTML.
    """

    def __init__(self, service: Service, session: Session):
        self._service, self._session = service, session
        self._again, self._over = True, False
        self._asked = session.trail[-1] if session.trail else None
        self.errand = Errand("background", self._work())

    def once_more(self) -> bool:
        """Ask for one more pass after this one, with the session's turn held; False where it is over."""
        self._again = not self._over
        return self._again

    def stop(self) -> None:
        """End at the next step; what has been stored stays."""
        self._over = True

    def _work(self) -> Iterator[str]:
        count = 0
        while self._goes_on():
            for step in learned(self._service, self._session):
                if self._over:
                    return
                if isinstance(step, str):
                    yield step
                    continue
                for stored in store(
                    self._service, self._session, step, left=self._left, below=self._asked,
                    what="learned from what was accepted",
                ):  # fmt: skip
                    if isinstance(stored, str):
                        yield stored
                    else:
                        count += stored
        told = [f"{drafts_of(count)} learned from what you accepted."] if count else []
        yield views.notes(told, kind="done")

    def _goes_on(self) -> bool:
        with self._session.turn:
            self._over |= not self._again
            self._again = False
            return not self._over

    def _left(self, digest: str) -> bool:
        return self._over or digest == self._session.reviewed


def wanted(session: Session) -> bool:
    """Whether each accepted draft is to refine the rest; not until a person switches it on."""
    if session.learns is None:
        session.learns = session.outlived and kept.read(session, FILE) is True
    return session.learns


def switch(session: Session, *, on: bool) -> None:
    """Switch that on or off; the workspace remembers it."""
    session.learns = on
    kept.keep(session, FILE, on)
    if not on:
        stop(session)


def stop(session: Session) -> None:
    """End what goes on in the background, at its next step."""
    if session.background is not None:
        session.background.stop()


def accepted(service: Service, session: Session) -> Background | None:
    """A draft was accepted: where that is wanted, let the rest learn from it; call with the turn held.

    Not while a run goes on, nor while a change of many drafts is shown or worked out.

    Returns:
        What works in the background, if it was begun just now.
    """
    if not wanted(session) or service.loading or service.problem:
        return None
    busy = any(work is not None and work.running for work in (session.job, session.errand))
    if busy or session.lesson is not None or session.proposal is not None:
        return None
    if session.background is not None and session.background.once_more():
        return None
    session.background = Background(service, session)
    return session.background
