"""A run in a thread of its own: it goes on when its page is closed, and a page that opens finds it."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .run import Update
    from .session import Session


class Job:
    """A run of a session; it begins at once.

    Attributes:
        session: whose run it is.
        latest: what the run said last.
        masks: how many it has made.
        error: what ended it, if that was an error.
        message: what became of it, as HTML, once somebody has said so.
    """

    def __init__(self, session: Session, updates: Iterator[Update]):
        self.session, self._updates = session, updates
        self.latest: Update | None = None
        self.masks, self.message = 0, ""
        self.error: Exception | None = None
        self._began, self._ended = time.monotonic(), 0.0
        self._told = threading.Condition()
        # A lent GPU is charged to the visitor whose request this is: the thread keeps that in mind.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._work,), daemon=True, name="lfss-run")
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return not self._ended

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return (self._ended or time.monotonic()) - self._began

    def wait(self, seen: int, seconds: float) -> None:
        """Wait for so long, or until it is over; of somebody who has seen no mask, until the first one."""
        with self._told:
            self._told.wait_for(lambda: self._ended > 0 or (seen == 0 and self.masks > 0), seconds)

    def stop(self, seconds: float = 60.0) -> None:
        """End it at its next step, and wait for that."""
        self.session.cancel.set()
        self._thread.join(seconds)

    def _work(self) -> None:
        try:
            for update in self._updates:
                self._take(update)
        except Exception as error:  # whoever follows the run tells it
            self.error = error
        finally:
            with self._told:
                self._ended = time.monotonic()
                self._told.notify_all()

    def _take(self, update: Update) -> None:
        session = self.session
        if update.digest:
            session.view_found(update.item, update.digest)
        with self._told:
            self.latest = update
            if update.digest:
                self.masks += 1
                self._told.notify_all()
