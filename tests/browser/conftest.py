"""A browser and an app on the fake preset; skipped with a reason where there is no browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.session import Session
from demo.sessions import Sessions
from tests.browser.steps import PATIENCE, begin, choose, open_tab, session_of, write_photos
from tests.serving import Served, serving

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WINDOW = {"width": 1280, "height": 900}


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


@contextmanager
def watched_page(browser, served: Served) -> Iterator:
    """A page that shows the worked example.

    Fails at its end if it asked anybody else for anything, or if its console told an error.
    """
    page = browser.new_page(viewport=WINDOW)
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
def page(browser, served: Served) -> Iterator:
    """A page of its own, see ``watched_page``."""
    with watched_page(browser, served) as page:
        yield page


@pytest.fixture(scope="session")
def reviewed_page(browser, served: Served, tmp_path_factory) -> Iterator:
    """A page with the drafts of three photos, on the tab Review, for all tests that begin there."""
    with watched_page(browser, served) as page:
        begin(page, write_photos(tmp_path_factory.mktemp("photos")))
        open_tab(page, "Review")
        page.locator("#review-state").get_by_text("All", exact=True).click()
        session = session_of(page, served.sessions)
        yield page, {d.image_digest: d.mask for d in session.workspace.drafts("red")}


@pytest.fixture
def review_page(reviewed_page, sessions: Sessions) -> tuple[Any, Session]:
    """A page on the first of three drafts, all as the model made them, and its session."""
    page, masks = reviewed_page
    session = session_of(page, sessions)
    for digest, mask in masks.items():
        session.workspace.edit_mask(digest, "red", mask)
        session.workspace.set_objects(digest, "red", None)
    page.set_viewport_size(WINDOW)
    page.locator('#review-canvas [data-tool="brush"]').click()
    choose(page, session, 1)  # so that the canvas shows the first one anew
    choose(page, session, 0)
    return page, session


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    return write_photos(tmp_path)
