"""Pictures that were dropped and have not been run yet: a workspace keeps them with their places.

They are files beside the drafts, removed as soon as they have been run or taken out of the list.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lfss.errors import ImageError

from . import kept
from .session import Session
from .uploads import Upload, put_copy, shown_name, take

FILE, FOLDER = "waiting.json", "waiting"
MOST, MOST_BYTES = 2_000, 2 * 2**30  # of pictures that a workspace keeps for a page; the first ones
LIST_BYTES = 1_000_000


def keep(session: Session) -> None:
    """Let the workspace keep what waits now, and nothing else."""
    if not session.outlived:
        return
    folder, total = session.workspace.folder / FOLDER, 0
    rows: list[tuple[int, str, str, bool]] = []
    ran = {p.path for digest, p in tuple(session.pictures.items()) if session.workspace.has_image(digest)}
    with suppress(OSError, ImageError):  # a workspace that is read only, or full
        for place, upload in enumerate(() if session.example else session.queries):
            if upload.path in ran or not upload.path.is_relative_to(session.folder):
                continue
            total += upload.path.stat().st_size
            if len(rows) == MOST or total > MOST_BYTES:
                break
            folder.mkdir(exist_ok=True)
            target = folder / upload.path.name
            if not target.exists():
                put_copy(upload.path, target)
            rows.append((place, target.name, upload.name, upload.guessed))
    kept.keep(session, FILE, rows)
    names = {row[1] for row in rows}
    with suppress(OSError):
        for path in folder.glob("*"):
            if path.name not in names:
                path.unlink()


def done(session: Session, path: Path) -> None:
    """A picture has its drafts now: it waits no more, also if the program is stopped now."""
    if session.outlived:
        with suppress(OSError):
            (session.workspace.folder / FOLDER / path.name).unlink(missing_ok=True)


def come_back(session: Session) -> None:
    """Put what the workspace keeps into the session's queries, each where it was."""
    rows = kept.read(session, FILE, most=LIST_BYTES) if session.outlived else None
    for row in rows[:MOST] if isinstance(rows, list) else ():
        try:
            place, name, shown, guessed = row
            path = session.workspace.folder / FOLDER / Path(str(name)).name
            place = min(max(0, int(place)), len(session.queries))
        except (TypeError, ValueError):
            continue
        if not path.is_file() or path.is_symlink():
            continue
        for taken in take([path], session.folder / "pictures"):
            if isinstance(taken, Upload):
                named = replace(taken, name=shown_name(str(shown)), guessed=guessed is True)
                session.queries.insert(place, named)
                with suppress(OSError):  # it is found by the name of the session's own file, see ``keep``
                    path.rename(path.with_name(taken.path.name))
    if rows:
        keep(session)
