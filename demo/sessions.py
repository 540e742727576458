"""All sessions: who has which, where their files lie, and when they are removed."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gradio.utils import get_upload_folder

from lfss.atomic import owner_mark, sweep
from lfss.errors import InputError
from lfss.files import make_private
from lfss.workspace import Workspace

from .room import Room
from .session import Session

IDLE_SECONDS = 6 * 3600.0
CALL = "call-"  # folders for single calls of programs


class Sessions:
    """All sessions, by an id that only its own tab knows.

    Args:
        workspace: a folder that all sessions share and that outlives the program; None gives each
            session a workspace of its own in its temporary folder.
        root: where temporary folders are made.
        idle_seconds: after this long without a request a session is removed with its files.
        zip_encoding: of names in zips that do not tell; see ``zip_names``.
    """

    def __init__(
        self,
        workspace: Path | None = None,
        *,
        root: Path | None = None,
        idle_seconds: float = IDLE_SECONDS,
        zip_encoding: str = "",
    ):
        place = root or Path(tempfile.gettempdir())
        sweep(place, "lfss-app-*")  # photos of visitors of an app that was killed
        self.root = Path(tempfile.mkdtemp(prefix=f"lfss-app-{owner_mark()}", dir=place))
        self.room = Room(self.root)
        self._shared = Workspace.open(workspace) if workspace else None
        self._zip_encoding = zip_encoding
        self._idle, self._lock = idle_seconds, threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._pages: dict[str, str] = {}

    @property
    def uploads(self) -> Path:
        """Where the server keeps what visitors send until a session has taken it."""
        return make_private(self.root / "uploads")

    @property
    def served(self) -> Path:
        """The folder from which the server hands out files."""
        return Path(get_upload_folder())

    @property
    def shared(self) -> bool:
        """Whether drafts go to one workspace that outlives the program."""
        return self._shared is not None

    def open(self, session_id: str | None, *, page: str | None = None, last: str = "") -> tuple[str, Session]:
        """The session of an id, or a new one where the id is unknown or malformed.

        Args:
            session_id: what the tab sent.
            page: Gradio's name of the open page, so that ``leave`` finds the session.
            last: id of the session that the browser had last; a page goes on with it if its tab was closed.
        """
        with self._lock:
            self._sweep()
            if not session_id or not re.fullmatch(r"[0-9a-f]{32}", session_id):
                session_id = secrets.token_hex(16)
            if session_id not in self._sessions and page:
                left = self._left(last)
                if left is not None:
                    self._sessions[session_id] = left
            if session_id not in self._sessions:
                folder = Path(tempfile.mkdtemp(prefix="session-", dir=self.root))
                workspace = self._shared or Workspace.open(folder / "workspace")
                self._sessions[session_id] = Session(folder, workspace, zip_encoding=self._zip_encoding)
            session = self._sessions[session_id]
            session.touched = time.monotonic()
            if page:
                self._pages[page] = session_id
        return session_id, session

    @contextmanager
    def call(self) -> Iterator[Session]:
        """A session for one call of a program, with a workspace of its own; both are gone when it ends.

        Raises:
            InputError: the folder for files of visitors is full.
        """
        with self._lock:
            self._sweep()
        self.room.check()
        folder = Path(tempfile.mkdtemp(prefix=CALL, dir=self.root))
        workspace = Workspace.open(folder / "workspace")
        try:
            yield Session(folder, workspace, zip_encoding=self._zip_encoding)
        finally:
            workspace.close()
            shutil.rmtree(folder, ignore_errors=True)

    def get(self, session_id: str) -> Session:
        """The session of an id.

        Raises:
            InputError: it is unknown or was removed after a long pause.
        """
        with self._lock:
            session = self._sessions.get(session_id)
        if session is None:
            raise InputError("This page has been idle for too long. Reload it to begin again.")
        session.touched = time.monotonic()
        return session

    def leave(self, page: str) -> None:
        """A page was closed or reloaded: free its memory; its run goes on, its files wait for a return.

        Nothing happens while the session is open in another page: a duplicate of the tab, or the reloaded
        page, of which the server may hear first.
        """
        with self._lock:
            key = self._pages.pop(page, "")
            session = self._sessions.get(key)
            if session is None or self._is_open(session):
                return
        if session.example:  # nobody waits for it
            session.cancel.set()
        session.release()

    def _is_open(self, session: Session) -> bool:
        return any(self._sessions.get(key) is session for key in self._pages.values())

    def _left(self, last: str) -> Session | None:
        """The session of a closed tab to go on with: the browser's, or the latest of a shared workspace."""
        closed = {key: s for key, s in self._sessions.items() if not self._is_open(s)}
        latest = max(closed.values(), key=lambda s: s.touched, default=None) if self.shared else None
        return closed.get(last, latest)

    def close(self) -> None:
        """Remove all sessions and their files; the shared workspace stays."""
        with self._lock:
            jobs = [s.job for s in self._sessions.values() if s.job is not None]
            self._sessions.clear()
            for job in jobs:  # drafts are whole before the workspace is closed
                job.stop(10)
            if self._shared:
                self._shared.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def _sweep(self) -> None:
        now = time.monotonic()
        idle = [
            key
            for key, s in self._sessions.items()
            if now - s.touched > self._idle and not (s.job is not None and s.job.running)
        ]
        for key in idle:
            session = self._sessions.pop(key)
            if any(other is session for other in self._sessions.values()):  # another id of it
                continue
            session.cancel.set()
            if session.workspace is not self._shared:
                session.workspace.close()
            shutil.rmtree(session.folder, ignore_errors=True)
