"""Going on with what a workspace has: labels, their words and supports, and the settings of the last run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from lfss.errors import WorkspaceError
from lfss.settings import Settings
from lfss.storage.categories import Category
from lfss.storage.listing import Row
from lfss.storage.supports import KeptSupport

from . import place, waiting
from .classes import MAX_CLASSES, MAX_SUPPORTS, ClassItem
from .items import SupportItem
from .session import Session
from .uploads import Upload


def go_on(session: Session) -> list[str]:
    """Fill an empty session with what its workspace has: classes, pictures, their results, and the place.

    Pictures that were dropped and not run are among them.

    Labels that nothing shows come only where there are no others.

    Returns:
        A sentence for each picture that is not there any more, and if there are too many classes.
    """
    messages: list[str] = []
    stored = _stored(session)
    for category, supports, class_file in stored[:MAX_CLASSES]:
        item = session.classes.add()
        item.label = ", ".join(category.label.phrases)
        item.not_words = ", ".join(category.label.distractors)
        item.class_file = class_file
        messages += _add_supports(session, item, supports[:MAX_SUPPORTS])
    if len(stored) > MAX_CLASSES:
        messages.append(f"The workspace has {len(stored)} labels; the first {MAX_CLASSES} are here.")
    if stored:
        session.settings = Settings.read(stored[0][0].settings)
        session.classes.choose(next(iter(session.classes)))
        messages += _add_pictures(session)
    waiting.come_back(session)
    return messages


def used(session: Session) -> bool:
    """Whether the workspace of a session has anything in it."""
    return bool(session.workspace.labels()) or next(session.workspace.images(), None) is not None


def signature(items: Iterable[ClassItem], settings: Settings) -> str:
    """Changes whenever classes or settings do, also in a session that has no model."""
    classes = [
        (i.label, i.not_words, str(i.class_file), [(s.picture.digest, str(s.known)) for s in i.supports])
        for i in items
    ]
    return repr((classes, asdict(settings)))


def _stored(session: Session) -> list[tuple[Category, list[KeptSupport], Path | None]]:
    """The labels to go on with, their supports and saved classes."""
    found = [
        (c, session.workspace.supports(c.name), session.workspace.class_file(c.name))
        for c in session.workspace.labels()
    ]
    return [one for one in found if one[1] or one[2]] or found


def _add_pictures(session: Session) -> list[str]:
    """The pictures with drafts as queries, and their results; returns a sentence for each that is gone."""
    rows: dict[str, list[tuple[ClassItem, Row]]] = {}
    for item in session.classes:
        for row in session.workspace.overview(item.name, order="added"):
            rows.setdefault(row.digest, []).append((item, row))
    gone, made = [], dict[Path, str]()
    for known in session.workspace.images():
        drafts = rows.get(known.digest)
        if not drafts:
            continue
        try:
            picture = session.picture(known.digest)
        except WorkspaceError as error:
            gone.append(str(error))
            continue
        session.queries.append(Upload(picture.path, picture.name))
        for item, row in drafts:
            if row.presence is not None:  # the model has looked at it
                item.found[known.digest] = row.status != "absent"
        session.only_new = True
        if len(drafts) == len(session.classes):
            made[picture.path] = known.digest
    session.resumed = (signature(session.classes, session.settings), made)
    session.place = place.read(session)
    if any(session.place.reviewed in item.found for item in session.classes):
        session.current = session.place.reviewed
    session.reviewed = session.place.reviewed or None
    session.view(session.classes.viewed)
    more = [f"{len(gone) - 3} more pictures are not there any more."] if len(gone) > 3 else []
    return [*gone[:3], *more]


def _add_supports(session: Session, item: ClassItem, supports: list[KeptSupport]) -> list[str]:
    messages = []
    for kept in supports:
        try:
            item.supports.append(SupportItem(session.picture(kept.picture.digest)))
        except WorkspaceError as error:
            messages.append(str(error))
            continue
        if (kept.known != -1).any():
            session.mark(len(item.supports) - 1, kept.known, "marked", item)
    return messages
