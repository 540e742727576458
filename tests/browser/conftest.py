"""A browser and an app on the fake preset; skipped with a reason where there is no browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.sessions import Sessions
from tests.browser.steps import PATIENCE, write_photos
from tests.serving import Served, serving

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator:
    api = pytest.importorskip("playwright.sync_api", reason="needs: pip install playwright")
    path = os.environ.get("LFSS_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        pytest.skip("needs Chromium: apt-get install chromium, or LFSS_CHROMIUM=/path/to/it")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("sessions")) as served:
        yield served


@pytest.fixture(scope="session")
def sessions(served: Served) -> Sessions:
    return served.sessions


@pytest.fixture
def page(browser, served: Served) -> Iterator:
    """A page that shows the worked example.

    Fails the test if it asks anybody else for anything, or if its console tells an error.
    """
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    strangers: list[str] = []
    errors: list[str] = []
    own = (served.url, "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(own) else strangers.append(r.url))
    page.on("console", lambda m: errors.append(f"{m.text} {m.location}") if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(served.url)
    page.wait_for_selector("#progress .lfss-done")
    yield page
    page.close()
    assert strangers == []
    assert errors == []


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    return write_photos(tmp_path)
