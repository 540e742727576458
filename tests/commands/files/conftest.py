"""A fake model in the place of the real one, and a working directory with photos."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from fake_model import FakePredictor, FakeSupport, save_photo


@pytest.fixture
def model(monkeypatch) -> FakePredictor:
    fake = FakePredictor()
    fakes = {
        "predictor": {"Predictor": fake},
        "prepared": {"Prepared": None},
        "support": {"Support": FakeSupport},
    }
    for name, content in fakes.items():
        module = types.ModuleType(f"lfss.{name}")
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, f"lfss.{name}", module)
    # Imported anew with the fakes, and forgotten afterwards.
    for name in ("lfss.marks", "lfss.commands.classes"):
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]
    return fake


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with two supports and three queries, as working directory."""
    monkeypatch.chdir(tmp_path)
    save_photo(tmp_path / "s1.png")
    save_photo(tmp_path / "s2.png")
    for name, bright in (("photos/2.png", 6), ("photos/10.png", 12), ("photos/sub/2.png", 24)):
        save_photo(tmp_path / name, bright=bright)
    return tmp_path
