"""A budget of memory for decoded pictures: who comes while it is spent waits, in order, and nobody fails."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import ImageError

_LOOK_SECONDS = 0.5  # between two looks whether who waits has gone


class Budget:
    """Bytes that everybody together may hold.

    Who waits holds nothing, as long as nobody asks for a second share while holding a first one; so no two
    can wait for each other. A large share is not overtaken by small ones that come later.

    Args:
        size: bytes in all.
    """

    def __init__(self, size: int):
        self.size = size
        self._held = 0
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._held

    @contextmanager
    def share(
        self, size: int, what: str = "The picture", *, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[bool]:
        """Hold so many bytes for as long as the block runs; waits until they are free.

        Args:
            size: bytes.
            what: how the message calls it, with a capital.
            cancelled: asked now and then while waiting.

        Yields:
            False if it was cancelled while waiting; then nothing is held.

        Raises:
            ImageError: it is more than the whole budget.
        """
        if size > self.size:
            raise ImageError(
                f"{what} needs {size / 1e6:,.0f} MB of memory, and all pictures at work together may take "
                f"{self.size / 1e6:,.0f} MB here. Use a smaller copy, or start the app with more --memory."
            )
        got = self._wait(size, cancelled)
        try:
            yield got
        finally:
            if got:
                with self._changed:
                    self._held -= size
                    self._changed.notify_all()

    def _wait(self, size: int, cancelled: Callable[[], bool]) -> bool:
        ticket = object()
        with self._changed:
            self._line.append(ticket)
            try:
                while not (self._line[0] is ticket and self._held + size <= self.size):
                    if cancelled():
                        return False
                    self._changed.wait(_LOOK_SECONDS)
                self._held += size
                return True
            finally:
                self._line.remove(ticket)
                self._changed.notify_all()
