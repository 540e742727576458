"""What the review tab shows: the list of drafts, and the one under review."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from lfss.doubt import warning
from lfss.objects import count

from . import place, review, views
from .drawing import draft_task
from .review import View, objects_text
from .session import Session

PAGE = 36  # thumbnails at a time


@dataclass(frozen=True)
class ReviewTab:
    """Components of the tab."""

    tab: gr.Tab
    label: gr.Dropdown
    state: gr.Radio
    order: gr.Dropdown
    counts: gr.HTML
    gallery: gr.Gallery
    canvas: gr.HTML
    facts: gr.HTML

    @property
    def view(self) -> list[Any]:
        """Inputs that say which drafts are listed."""
        return [self.label, self.state, self.order]

    @property
    def outputs(self) -> list[Any]:
        """What ``shown`` fills."""
        return [self.label, self.counts, self.gallery, self.canvas, self.facts]

    @property
    def around(self) -> list[Any]:
        """What ``beside`` fills: everything but the canvas."""
        return [self.counts, self.gallery, self.facts]

    def beside(self, session: Session, view: View) -> dict[Any, Any]:
        """The list and the line under the canvas, after something was drawn on it."""
        shown = self.shown(session, "", view)
        return {part: shown[part] for part in self.around}

    def shown(self, session: Session, key: str, view: View) -> dict[Any, Any]:
        """List and current draft as the workspace has them; ``key`` is the session's."""
        names = review.labels(session)
        if view.label not in names:
            view = view._replace(label=names[0] if names else None)
        rows = review.listed(session, view)
        digests = [row.digest for row in rows]
        chosen = session.reviewed if self.exists(session, view) else None
        if chosen is None and rows:
            chosen = session.reviewed = digests[0]
        place = digests.index(chosen) if chosen in digests else None
        start = (place or 0) // PAGE * PAGE
        page = rows[start : start + PAGE]
        return {
            self.label: gr.update(choices=names, value=view.label),
            self.counts: counts(session, view, start, len(rows)),
            self.gallery: gr.update(
                value=review.thumbnails(session, page),
                selected_index=None if place is None else place - start,
            ),
            **self.current(session, key, view),
        }

    def current(self, session: Session, key: str, view: View) -> dict[Any, Any]:
        """The draft under review alone."""
        if not self.exists(session, view):
            return {self.canvas: None, self.facts: views.notes([nothing(session, view)])}
        draft = review.draft_of(session, view)
        here = place.Place("review", draft.label, view.state, view.order, draft.image_digest)
        place.keep(session, here)
        share = float(draft.mask.mean())
        line = (
            f"{draft.image_name} · {review.STATUS_NAMES[draft.status]} · mask covers {share:.1%}"
            f" · {objects_text(0 if draft.empty else count(draft))[:-1]}"
            f" · {draft.size[1]} × {draft.size[0]} pixels"
        )
        sure = "" if draft.presence is None else f"The model was {draft.presence:.0%} sure that it is there."
        apart = warning(share, draft.label) if draft.status == "proposed" else ""
        return {
            self.canvas: draft_task(session, key, draft),
            self.facts: views.notes([line, sure, apart], kind="facts"),
        }

    def resumed(self, session: Session) -> dict[Any, Any]:
        """The menus where the visitor left them."""
        names, left = review.labels(session), session.place
        return {
            self.label: gr.update(choices=names, value=left.label if left.label in names else None),
            self.state: left.state if left.state in review.STATES else "To do",
            self.order: left.order if left.order in review.ORDERS else "Most doubtful first",
        }

    @staticmethod
    def exists(session: Session, view: View) -> bool:
        """Whether a draft is under review."""
        digest = session.reviewed
        return bool(view.label and digest and session.workspace.has_draft(digest, view.label))


def nothing(session: Session, view: View) -> str:
    """Why no draft is shown, and what to do next."""
    drafts = session.workspace.stats().drafts.get(view.label or "", {})
    if not sum(drafts.values()):
        return "There are no drafts yet. Press Run; they will be here, the most doubtful first."
    if view.state == "To do":
        return f"Every draft of '{view.label}' is checked. Go on to Export, or show all of them."
    return "No draft is in this list. Show another one."


def counts(session: Session, view: View, start: int, total: int) -> str:
    """How many drafts are in which state, and which part of the list is shown.

    Args:
        session: of the visitor.
        view: the list.
        start: number of the first draft on the page.
        total: how many the list has.
    """
    if view.label is None:
        return ""
    found = session.workspace.stats().drafts.get(view.label, {})
    checked = sum(n for status, n in found.items() if status != "proposed")
    lines = [f"{checked} of {sum(found.values())} checked."]
    if total > PAGE:
        lines.append(f"Shown: {start + 1} to {min(start + PAGE, total)} of {total}; next and previous go on.")
    return views.notes(lines)
