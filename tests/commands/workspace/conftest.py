"""A working directory with a support and three queries."""

from __future__ import annotations

from pathlib import Path

import pytest
from red_scenes import save_scene


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A support and three queries with a red rectangle, in the working directory."""
    monkeypatch.chdir(tmp_path)
    save_scene(tmp_path / "s.png", 0)
    for seed, name in enumerate(("a", "b", "c"), start=1):
        save_scene(tmp_path / "photos" / f"{name}.png", seed)
    return tmp_path
