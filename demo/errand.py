"""A change of many drafts that is worked out in a thread of its own, so that it outlives its page."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bulk import Proposal

PAUSE = 0.3  # seconds between two looks at it


class Errand:
    """Works out a proposal; it begins at once.

    Attributes:
        name: of the panel that asked for it.
        latest: the bar that it showed last, or what it proposes.
        error: what ended it, if that was an error.
    """

    def __init__(self, name: str, steps: Iterable[str | Proposal]):
        self.name, self._steps = name, steps
        self.latest: str | Proposal | None = None
        self.error: Exception | None = None
        context = contextvars.copy_context()  # a lent GPU is charged to whoever asked
        self._thread = threading.Thread(target=context.run, args=(self._work,), daemon=True, name="lfss-many")
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive()

    def follow(self) -> Iterator[str | Proposal]:
        """Bars while it goes on, and last what it proposes.

        Raises:
            Exception: what ended it.
        """
        shown: str | Proposal | None = None
        while True:
            self._thread.join(PAUSE)
            over, latest = not self.running, self.latest
            if latest is not None and latest is not shown:
                shown = latest
                yield latest
            if over:
                break
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        try:
            for step in self._steps:
                self.latest = step
        except Exception as error:  # whoever follows tells it
            self.error = error
