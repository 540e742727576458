"""Where a change of many drafts is shown before it is stored: a preview, Apply and Leave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lfss.errors import InputError

from . import views
from .bulk import Proposal, carry_out
from .errand import Errand
from .handlers import LIGHT, MODEL, guarded
from .review import drafts_of
from .session import Session
from .sessions import Sessions


@dataclass(frozen=True)
class BulkPanel:
    """Components of the panel; ``name`` tells it from the others."""

    name: str
    told: gr.HTML
    apply: gr.Button
    leave: gr.Button

    @property
    def outputs(self) -> list[Any]:
        """What its handlers fill."""
        return [self.told, self.apply, self.leave]

    def asking(self, *, shown: bool) -> dict[Any, Any]:
        """Show or hide the two buttons."""
        return {self.apply: gr.update(visible=shown), self.leave: gr.update(visible=shown)}

    def follow(self, session: Session) -> Iterator[dict[Any, Any]]:
        """What this panel has asked for, as far as it is, until it can be applied; also on a new page."""
        errand = session.errand
        if errand is None or errand.name != self.name:
            return
        for step in errand.follow():
            if isinstance(step, str):
                yield {self.told: step}
            elif session.errand is errand:
                session.proposal = step if step.count else None
                yield {self.told: step.html, **self.asking(shown=step.count > 0)}


def build_bulk(name: str) -> BulkPanel:
    """Lay out the panel; ``name`` begins the ids of its parts."""
    told = gr.HTML(elem_id=f"{name}-told", padding=False)
    with gr.Row():
        apply = gr.Button(
            "Apply", size="sm", elem_id=f"{name}-apply", variant="primary", visible=False, min_width=90
        )
        leave = gr.Button("Leave", size="sm", elem_id=f"{name}-leave", visible=False, min_width=90)
    return BulkPanel(name, told, apply, leave)


def wire_bulk(
    panel: BulkPanel, sessions: Sessions, session_id: gr.State, inputs: list[Any], outputs: list[Any],
    shown: Callable[..., dict[Any, Any]],
) -> Callable[[gr.Button, Callable[..., Iterable[str | Proposal]], list[Any]], None]:  # fmt: skip
    """Connect Apply and Leave.

    Args:
        panel: the panel.
        sessions, session_id: as all handlers get them.
        inputs: what ``shown`` needs beside session and key.
        outputs: what it fills after drafts have changed.
        shown: the page after drafts have changed.

    Returns:
        A function that lets a button propose: the button, what it proposes given the session and its inputs
        (progress bars, and last a proposal), and those inputs.
    """

    @guarded
    def apply(key: str, *more: Any) -> dict[Any, Any]:
        session = sessions.get(key)
        proposal, session.proposal, session.errand = session.proposal, None, None
        if proposal is None:
            raise InputError("There is nothing to apply any more. Press the button before it again.")
        told = [f"{drafts_of(carry_out(session, proposal))} changed. Undo on the Review tab takes it back."]
        done = {panel.told: views.notes(told, kind="done"), **panel.asking(shown=False)}
        return {**done, **shown(session, key, *more)}

    @guarded
    def leave(key: str) -> dict[Any, Any]:
        forget(sessions.get(key))
        return {panel.told: views.notes(["Nothing was changed."]), **panel.asking(shown=False)}

    panel.apply.click(apply, [session_id, *inputs], [*panel.outputs, *outputs], **LIGHT)
    panel.leave.click(leave, session_id, panel.outputs, **LIGHT)

    def proposing(
        button: gr.Button, propose: Callable[..., Iterable[str | Proposal]], given: list[Any]
    ) -> None:
        @guarded
        def look(key: str, *more: Any) -> Iterator[dict[Any, Any]]:
            session = sessions.get(key)
            forget(session)
            yield panel.asking(shown=False)
            session.errand = Errand(panel.name, propose(session, *more))
            yield from panel.follow(session)

        button.click(look, [session_id, *given], panel.outputs, **{**MODEL, **LIGHT})

    return proposing


def forget(session: Session) -> None:
    """Leave what was proposed."""
    if session.errand is not None and session.errand.running:
        raise InputError("Another change of many drafts is being worked out. Wait until it is shown.")
    if session.proposal is not None:
        session.proposal.drop()
    session.proposal = session.errand = None
