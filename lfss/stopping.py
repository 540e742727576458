"""Being told to stop: a program that is terminated, or whose terminal closes, tidies up as after Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """Within the block, SIGTERM and SIGHUP raise KeyboardInterrupt.

    Signals that somebody ignores or handles already stay as they are: ``nohup`` means what it says. Other
    threads than the main one cannot handle signals, so there nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    changed = [s for s in _SIGNALS if signal.getsignal(s) is signal.SIG_DFL]
    for one in changed:
        signal.signal(one, _interrupt)
    try:
        yield
    finally:
        for one in changed:
            signal.signal(one, signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
