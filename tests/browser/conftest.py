"""A browser and an app on the fake preset; skipped with a reason where there is no browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from demo import build
from demo.page import launch_options
from demo.service import Service
from demo.sessions import Sessions

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
def sessions(tmp_path_factory) -> Iterator[Sessions]:
    sessions = Sessions(root=tmp_path_factory.mktemp("sessions"))
    yield sessions
    sessions.close()


@pytest.fixture(scope="session")
def url(sessions: Sessions) -> Iterator[str]:
    page = build(Service("tests.fakes:preset", device="cpu"), sessions)
    page.queue(default_concurrency_limit=16)
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    yield address
    page.close()


@pytest.fixture
def page(browser, url: str) -> Iterator:
    """A page that shows the worked example; fails the test if it asks anybody else for anything."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    strangers: list[str] = []
    own = (url, "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(own) else strangers.append(r.url))
    page.set_default_timeout(30_000)
    page.goto(url)
    page.wait_for_selector("#progress .lfss-done")
    yield page
    page.close()
    assert strangers == []
