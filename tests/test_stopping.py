"""Being told to stop is like Ctrl-C, but for signals that somebody handles already."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from lfss.stopping import stopped_like_ctrl_c

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs the signals of Unix")


@pytest.fixture
def usual():
    """SIGTERM as a program finds it that nobody started under nohup."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def _end_this_program() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)  # until the signal is there


def test_a_signal_to_end_is_ctrl_c_within_the_block_alone(usual):
    with stopped_like_ctrl_c():
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        with pytest.raises(KeyboardInterrupt):
            _end_this_program()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_that_is_ignored_stays_ignored(usual):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with stopped_like_ctrl_c():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_in_another_thread_nothing_changes(usual):
    seen = []

    def work() -> None:
        with stopped_like_ctrl_c():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
