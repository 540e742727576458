"""Empty workspaces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lfss.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "ws") as opened:
        yield opened


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Workspace]:
    """One that waits a fifth of a second for a lock."""
    with Workspace.open(tmp_path / "ws", busy_seconds=0.2) as opened:
        yield opened
