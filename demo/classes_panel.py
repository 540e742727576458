"""Several labels in one run: which one is edited, and buttons to add, remove and share photos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from . import example
from .handlers import LIGHT, MODEL, guarded
from .service import Service
from .session import Session
from .sessions import Sessions

if TYPE_CHECKING:
    from .supports_panel import SupportsPanel


@dataclass(frozen=True)
class ClassesPanel:
    """Components that are seen only where there are several labels."""

    choice: gr.Radio
    remove: gr.Button
    share: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """What ``shown`` fills."""
        return [self.choice, self.remove, self.share]

    def shown(self, session: Session) -> dict[Any, Any]:
        """Everything as the session has it."""
        several = len(session.classes) > 1
        used = {s.picture.digest for s in session.supports}
        more = any(s.picture.digest not in used for item in session.classes for s in item.supports)
        return {
            self.choice: gr.update(
                choices=class_choices(session), value=session.classes.chosen.number, visible=several
            ),
            self.remove: gr.update(visible=several),
            self.share: gr.update(visible=several and more),
        }

    def named(self, session: Session) -> dict[Any, Any]:
        """The choice with the names as they are typed."""
        if len(session.classes) == 1:
            return {}
        return {self.choice: gr.update(choices=class_choices(session))}


def class_choices(session: Session) -> list[tuple[str, int]]:
    """Name and number of each class."""
    return [(item.name or "(no name yet)", item.number) for item in session.classes]


def wire_classes(
    panel: SupportsPanel, add: gr.Button, service: Service, sessions: Sessions, session_id: gr.State,
    looked: Callable[[Session], dict[Any, Any]],
) -> list[Any]:  # fmt: skip
    """Wire the choice and its buttons; returns the events after which another class is edited.

    Args:
        panel: shows the supports of the class.
        add: the button for a new class.
        service, sessions, session_id: as all handlers get them.
        looked: what else is shown of a session.
    """
    classes = panel.classes

    def keep_typed(session: Session, number: int | None, label: str, not_words: str) -> None:
        item = session.classes.numbered(number)
        if item is not None:  # what was typed last may still be on its way
            item.label, item.not_words = label, not_words

    @guarded
    def choose(key: str, number: int) -> dict[Any, Any]:
        session = sessions.get(key)
        item = session.classes.numbered(number)
        if item is not None:
            session.classes.choose(item)
        return panel.shown(service, session)

    @guarded
    def add_one(key: str, number: int | None, label: str, not_words: str) -> dict[Any, Any]:
        session = sessions.get(key)
        keep_typed(session, number, label, not_words)
        if session.example:
            example.leave(session)
        if session.classes.chosen.empty:
            gr.Info("Type a name for this label first.")
        session.classes.add()
        return panel.shown(service, session)

    @guarded
    def remove_one(key: str) -> dict[Any, Any]:
        session = sessions.get(key)
        session.classes.remove()
        return panel.shown(service, session)

    @guarded
    def share_all(key: str, number: int | None, label: str, not_words: str) -> dict[Any, Any]:
        session = sessions.get(key)
        keep_typed(session, number, label, not_words)
        session.classes.share()
        return looked(session)

    inputs = [session_id, *panel.typed]
    classes.share.click(share_all, inputs, panel.outputs, **MODEL, show_progress_on=panel.gallery)
    return [
        classes.choice.input(choose, [session_id, classes.choice], panel.outputs, **LIGHT),
        add.click(add_one, inputs, panel.outputs, **LIGHT),
        classes.remove.click(remove_one, session_id, panel.outputs, **LIGHT),
    ]
