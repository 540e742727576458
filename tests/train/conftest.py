"""The real photos, and one index of them for all tests of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_sets import shared_data


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real photos; skips where it is absent."""
    return shared_data()


@pytest.fixture(scope="session")
def real_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where their indexes are kept during one run."""
    return tmp_path_factory.mktemp("real-cache")
