"""What the review tab shows: the list of drafts, and the one under review."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import gradio as gr

from lfss.doubt import warning
from lfss.labels import label_key

from . import background, place, review, review_strip, strip, views
from .bulk_panel import BulkPanel
from .colours import colour_of
from .drawing import draft_task
from .layers import objects
from .review import View
from .session import Session
from .words import word


@dataclass(frozen=True)
class ReviewTab:
    """Components of the tab."""

    tab: gr.Tab
    label: gr.Dropdown
    state: gr.Radio
    order: gr.Dropdown
    find: gr.Textbox
    counts: gr.HTML
    strip: gr.HTML
    canvas: gr.HTML
    facts: gr.HTML
    many: BulkPanel
    activity: gr.HTML
    learns: gr.Checkbox
    begun: gr.State

    @property
    def view(self) -> list[Any]:
        """Inputs that say which drafts are listed."""
        return [self.label, self.state, self.order, self.find]

    @property
    def outputs(self) -> list[Any]:
        """What ``shown`` fills."""
        return [self.label, self.counts, self.strip, self.canvas, self.facts, self.activity]

    @property
    def around(self) -> list[Any]:
        """What ``beside`` fills: everything but the canvas."""
        return [self.counts, self.strip, self.facts, self.activity]

    def beside(self, session: Session, view: View) -> dict[Any, Any]:
        """The list and the line under the canvas, after something was drawn on it."""
        shown = self.shown(session, "", view, canvas=False)
        return {part: shown[part] for part in self.around}

    def moved(self, session: Session, key: str, view: View, step: int) -> dict[Any, Any]:
        """Another draft of the list, so many places on; the list itself is not sent again."""
        rows = review.listed(session, view)
        places = {row.digest: row for row in rows}
        known = session.reviewed in places
        session.reviewed = review.neighbour(rows, session.reviewed, step)
        if not known or session.reviewed is None:
            return self.shown(session, key, view)
        chosen = strip.chosen(review_strip.key_of(places[session.reviewed]))
        return {self.strip: chosen, **self.current(session, key, view)}

    def shown(self, session: Session, key: str, view: View, *, canvas: bool = True) -> dict[Any, Any]:
        """List and current draft as the workspace has them.

        Args:
            session: of the visitor.
            key: of the session.
            view: the list.
            canvas: also what the canvas is sent, which takes longer than all the rest.
        """
        names = review.labels(session)
        if view.label not in names:
            view = view._replace(label=names[0] if names else None)
        rows = review.listed(session, view)
        digests = [row.digest for row in rows]
        chosen = session.reviewed if self.exists(session, view) else None
        if chosen is None and rows:
            chosen = session.reviewed = digests[0]
        return {
            self.label: gr.update(choices=names, value=view.label),
            self.counts: counts(session, view, len(rows)),
            self.strip: review_strip.tiles(session, rows, chosen),
            self.activity: activity(session),
            **self.current(session, key, view, canvas=canvas),
        }

    def current(self, session: Session, key: str, view: View, *, canvas: bool = True) -> dict[Any, Any]:
        """The draft under review alone; arguments as in ``shown``."""
        if not self.exists(session, view):
            return {self.canvas: None, self.facts: views.empty(*nothing(session, view))}
        draft = review.draft_of(session, view)
        here = place.Place("review", draft.label, view.state, view.order, draft.image_digest)
        place.keep(session, here)
        share = float(draft.mask.mean())
        sure = "" if draft.presence is None else word("presence", f"{draft.presence:.0%} sure")
        doubt = "" if draft.doubt is None else f"{word('doubt')} {draft.doubt:.2f}"
        size = f"{draft.size[1]} × {draft.size[0]} pixels"
        parts = [draft.image_name, review.STATUS_NAMES[draft.status], f"covers {share:.1%}", objects(draft)]
        parts += [sure, doubt, size]
        line = " · ".join(part for part in parts if part)
        apart = warning(share, draft.label) if draft.status == "proposed" else ""
        told = {self.facts: views.notes([line, apart], kind="facts")}
        return {self.canvas: draft_task(session, key, draft), **told} if canvas else told

    def resumed(self, session: Session) -> dict[Any, Any]:
        """The menus and the switch as the visitor left them."""
        names, left = review.labels(session), session.place
        return {
            self.label: gr.update(choices=names, value=left.label if left.label in names else None),
            self.state: left.state if left.state in review.STATES else "To do",
            self.order: left.order if left.order in review.ORDERS else "Most doubtful first",
            self.find: "",
            self.learns: background.wanted(session),
        }

    @staticmethod
    def exists(session: Session, view: View) -> bool:
        """Whether a draft is under review."""
        digest = session.reviewed
        return bool(view.label and digest and session.workspace.has_draft(digest, view.label))


def nothing(session: Session, view: View) -> tuple[str, list[str]]:
    """Why no draft is shown, and what to do next."""
    if session.example:
        own = (
            "Put in your own label and pictures and press Run; drafts will be here, the most doubtful first."
        )
        return "The worked example makes no drafts", [own]
    drafts = session.workspace.stats().drafts.get(view.label or "", {})
    if not sum(drafts.values()):
        return "There are no drafts yet", ["Press Run; they will be here, the most doubtful first."]
    if view.find.strip():
        return "Nothing is found", [f"No draft of this list fits '{view.find.strip()}'. Clear the field."]
    if view.state == "To do":
        return f"Every draft of '{view.label}' is checked", ["Go on to Export, or show all of them."]
    return "No draft is in this list", ["Show another one."]


def activity(session: Session) -> str:
    """What has been done, the latest first, as HTML."""
    if not session.activity:
        return views.notes(["Nothing yet. What you do is listed here; Undo (z) takes back the latest."])
    return views.notes(list(reversed(session.activity)))


def counts(session: Session, view: View, total: int) -> str:
    """How far each label is, as bars, and how long the list is, as HTML.

    Args:
        session: of the visitor.
        view: the list.
        total: how many the list has.
    """
    if view.label is None:
        return ""
    bars = []
    for name, found in session.workspace.stats().drafts.items():
        checked, every = sum(n for state, n in found.items() if state != "proposed"), sum(found.values())
        if every:
            chosen = " lfss-chosen" if label_key(name) == label_key(view.label) else ""
            bars.append(
                f'<div class="lfss-label{chosen}"><p><b>{html.escape(name)}</b> {checked} of {every} checked'
                f'</p><div class="lfss-bar"><span style="width:{100 * checked / every:.0f}%;'
                f'background:{colour_of(session, name)}"></span></div></div>'
            )
    listed = "" if total < 2 else f"{total} in this list"
    return "".join(bars) + views.notes([listed])
