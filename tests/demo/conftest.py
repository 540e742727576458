"""A service on the fake preset, sessions in a folder that is thrown away, and picture files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import PIL.Image
import pytest

from demo.service import Service
from demo.session import Session
from demo.sessions import Sessions
from tests.fakes import scene


@pytest.fixture
def service() -> Service:
    service = Service("tests.fakes:preset", device="cpu")
    service.start()
    return service


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    sessions = Sessions(root=tmp_path)
    yield sessions
    sessions.close()


@pytest.fixture
def session(sessions: Sessions) -> Session:
    return sessions.open(None)[1]


@pytest.fixture
def photo(tmp_path: Path) -> Callable[..., Path]:
    """Write a scene to a file: ``photo("a.png", "red", seed=1)``."""

    def write(name: str, colour: str = "red", **options) -> Path:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(scene(colour, **options)).save(path)
        return path

    return write
