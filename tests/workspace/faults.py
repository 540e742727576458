"""What tests of faults share: other processes, and messages in plain words."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]  # the folder of all tests
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
}
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork processes")


def python(*arguments: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *arguments], env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, **options
    )


def in_plain_words(error: pytest.ExceptionInfo) -> str:
    """The message of an error, which names no class, code or line of this program."""
    text = str(error.value)
    assert not re.search(r"Traceback|sqlite3\.|Error:|errno", text), text
    assert text.endswith(".")
    return text
