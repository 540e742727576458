"""Going on with what a workspace has: labels, their words and supports, and the settings of the last run."""

from __future__ import annotations

from lfss.batch.settings import Settings
from lfss.errors import WorkspaceError
from lfss.storage.supports import KeptSupport

from .classes import MAX_CLASSES, MAX_SUPPORTS, ClassItem
from .items import SupportItem
from .session import Session


def go_on(session: Session) -> list[str]:
    """Fill an empty session with the classes of its workspace that have supports or a saved class.

    Returns:
        A sentence for each support whose picture is not there any more, and if there are too many classes.
    """
    messages: list[str] = []
    stored = []
    for category in session.workspace.labels():
        supports = session.workspace.supports(category.name)
        class_file = session.workspace.class_file(category.name)
        if supports or class_file:
            stored.append((category, supports, class_file))
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
    return messages


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
