"""What changes many drafts at once: shown before it is stored, and taken back in one step of undo."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lfss.drafts import Draft, Status
from lfss.errors import InputError
from lfss.storage.listing import Row

from . import review, views
from .colours import colour_of
from .review import View, drafts_of
from .session import Session

if TYPE_CHECKING:
    from lfss.refine_preview import Glimpse

    from .service import Service

PAUSE = 0.3  # seconds between two updates of the bar
SHOWN = 10  # changes in a preview
SIDE = 360  # pixels of each picture in it


@dataclass(frozen=True, eq=False)
class Proposal:
    """A change of many drafts that waits for a person's word.

    Attributes:
        count: how many drafts it changes.
        html: what it would do, for the page.
        labels: of the drafts.
        store: carries it out.
        drop: puts away what was made for it.
    """

    count: int
    html: str
    labels: tuple[str, ...]
    store: Callable[[], object]
    drop: Callable[[], object] = lambda: None


def threshold(session: Session, label: str, value: float) -> Iterator[str | Proposal]:
    """Cut the drafts of a label that nobody has checked at another threshold.

    Args:
        session: of the visitor.
        label: of the drafts.
        value: the new threshold, in [0, 1].

    Yields:
        Progress bars, and last a proposal.
    """
    from lfss.refine_folder import Change
    from lfss.refine_preview import Previewing

    drafts = session.workspace.drafts(label, "proposed")
    seen, shown = Previewing(), 0.0
    for done, draft in enumerate(drafts, start=1):
        kept = session.workspace.score_map(draft.image_digest, label)
        if kept is not None:
            after = replace(draft, mask=kept.cut(value).mask, objects=None)
            seen.add([c for c in [_change(Change, draft, after)] if c])
        if time.monotonic() - shown > PAUSE:
            shown = time.monotonic()
            yield views.progress(done, len(drafts), text="comparing")
    preview = seen.preview()
    yield Proposal(
        preview.changed,
        cards(session, preview.biggest, f"{drafts_of(preview.changed)} would change at {value:.2f}."),
        (label,),
        lambda: session.workspace.rethreshold(label, value),
    )


def accept(session: Session, view: View) -> Proposal:
    """Accept all drafts of a list that nobody has accepted; the most doubtful ones are shown."""
    rows = [row for row in review.listed(session, view) if row.status in ("proposed", "edited")]
    if not rows:
        raise InputError("This list has no draft that is left to accept.")
    rows.sort(key=lambda row: -1.0 if row.doubt is None else -row.doubt)
    return _decided(
        session, rows, "accepted", f"{drafts_of(len(rows))} would be accepted. The most doubtful of them:"
    )


def absent(session: Session, view: View) -> Proposal:
    """Mark the drafts of a list absent whose mask is empty and that nobody has checked.

    Those are shown in which the model is least sure of that.
    """
    rows = [
        row
        for row in review.listed(session, view)
        if row.status == "proposed" and not review.objects_in(session, row)
    ]
    if not rows:
        raise InputError("This list has no empty mask that nobody has checked.")
    rows.sort(key=lambda row: -1.0 if row.presence is None else -row.presence)
    heading = f"{drafts_of(len(rows))} with an empty mask would be marked absent. The least sure of them:"
    return _decided(session, rows, "absent", heading)


def _decided(session: Session, rows: Sequence[Row], status: Status, heading: str) -> Proposal:
    """Give drafts of one label a state; the first of them are shown."""
    pictures = "".join(
        f'<figure class="lfss-card"><img src="{views.data_url(_seen(session, row))}" alt="">'
        f"<figcaption>{html.escape(review.caption(row))}</figcaption></figure>"
        for row in rows[:SHOWN]
    )
    label, before = rows[0].label, {row.digest: row for row in rows}

    def store() -> None:
        now = session.workspace.overview(label)
        same = [row.digest for row in now if before.get(row.digest) == row]
        session.workspace.set_status(same, label, status)

    shown = f'{views.notes([heading], kind="done")}<div class="lfss-cards">{pictures}</div>'
    return Proposal(len(rows), shown, (label,), store)


def repair(session: Session, view: View, name: str, radius: int) -> Iterator[str | Proposal]:
    """Apply one of ``REPAIRS`` to every draft of a list but accepted, rejected and absent ones.

    A draft that nobody has checked stays one that nobody has checked.

    Yields:
        Progress bars, and last a proposal.
    """
    from lfss.refine_folder import Change
    from lfss.refine_preview import Previewing

    rows = [row for row in review.listed(session, view) if row.status in ("proposed", "edited")]
    if not rows:
        raise InputError("This list has no draft that may be repaired: what is decided stays.")
    label, seen, shown = rows[0].label, Previewing(), 0.0
    digests: list[str] = []
    for done, row in enumerate(rows, start=1):
        draft = session.workspace.draft(row.digest, label)
        change = draft and _change(Change, draft, _repaired(session, draft, name, radius))
        if change:
            digests.append(row.digest)
            seen.add([change])
        if time.monotonic() - shown > PAUSE:
            shown = time.monotonic()
            yield views.progress(done, len(rows), text=name)

    def store() -> None:
        for digest in digests:
            draft = session.workspace.draft(digest, label)
            if draft is None or draft.status not in ("proposed", "edited"):
                continue
            after = _repaired(session, draft, name, radius)
            if draft.status == "proposed":
                session.workspace.put_draft(after)
            else:
                session.workspace.edit_mask(digest, label, after.mask)

    text = f"'{name}' would change {drafts_of(len(digests))}."
    yield Proposal(len(digests), cards(session, seen.preview().biggest, text), (label,), store)


def again(service: Service, session: Session, view: View) -> Iterator[str | Proposal]:
    """Run the drafts of a label that nobody has checked again, without storing them yet.

    Yields:
        Progress bars, and last a proposal.
    """
    from lfss.refine_folder import Change
    from lfss.refine_preview import Previewing

    from .run import run

    if session.job is not None and session.job.running:
        raise InputError("A run goes on. Wait until it is done, or cancel it on the Segment tab.")
    queries = review.unchecked(session, view.label or "")
    if not queries:
        raise InputError("Every draft of this label has been checked; there is nothing to run again.")
    taught = review.class_of(session, view.label or "")
    items = [item for item in session.classes if item.name]  # they compete for pixels with this one
    for item in items:  # also what these very classes have made before
        item.made.clear()
    session.resumed = ("", {})
    held: list[Any] = []
    shown = time.monotonic()
    for update in run(
        service, session, session.settings, items=items, queries=queries, drafts_of=taught, held=held
    ):
        if time.monotonic() - shown > PAUSE:
            shown = time.monotonic()
            yield views.progress(
                update.done, update.total, text=update.name, seconds_left=update.seconds_left
            )
    seen, made = Previewing(), 0
    for packed in held:
        draft = session.workspace.draft(packed.digest, packed.label)
        change = draft and _change(Change, draft, packed.unpack())
        seen.add([change] if change else [])
        made += packed.label == taught.name
    preview = seen.preview()

    def drop() -> None:
        for item in items:
            item.made.clear()

    text = f"{drafts_of(made)} were run again; {drafts_of(preview.changed)} would change."
    labels = tuple(dict.fromkeys(packed.label for packed in held))
    yield Proposal(
        preview.changed, cards(session, preview.biggest, text), labels,
        lambda: session.workspace.put_packed(held), drop,
    )  # fmt: skip


def carry_out(session: Session, proposal: Proposal) -> int:
    """Store a proposal as one step of undo; returns how many drafts changed."""
    with session.turn:
        return as_one_step(session, proposal.labels, proposal.store)


def as_one_step(session: Session, labels: Sequence[str], store: Callable[[], object]) -> int:
    """Let ``store`` change drafts of these labels, and note all of them as one step of undo."""
    before = _rows(session, labels)
    store()
    changed = [pair for pair, row in _rows(session, labels).items() if before.get(pair, row) != row]
    review.note(session, changed, f"{drafts_of(len(changed))} of {', '.join(labels)} changed together")
    return len(changed)


def cards(session: Session, glimpses: Sequence[Glimpse], told: str, more: Sequence[str] = ()) -> str:
    """A count, and the biggest changes before and after, as HTML."""
    shown = "".join(_card(session, glimpse) for glimpse in glimpses)
    told_html = views.notes([told, *more], kind="done")
    if not shown:
        return told_html
    grid = f'<div class="lfss-wide"><div class="lfss-cards">{shown}</div></div>'
    return f"{told_html}<p>The biggest changes:</p>{grid}"


def _card(session: Session, glimpse: Glimpse) -> str:
    small = views.shrunk(session.small(glimpse.digest), SIDE)
    colour = colour_of(session, glimpse.label)
    pictures = "".join(
        f'<div><img src="{views.data_url(views.shown_mask(small, mask, colour=colour))}" alt="{when}">'
        f"<small>{when}</small></div>"
        for when, mask in (("before", glimpse.before), ("after", glimpse.after))
    )
    text = f"{glimpse.label} · {glimpse.name} · overlap {glimpse.overlap:.2f}"
    return (
        f'<figure class="lfss-card"><div class="lfss-pics lfss-two">{pictures}</div>'
        f"<figcaption>{html.escape(text)}</figcaption></figure>"
    )


def _seen(session: Session, row: Any) -> views.Pixels:
    draft = session.workspace.draft(row.digest, row.label)
    small = session.small(row.digest)
    if draft is None:
        return small
    return views.shown_mask(small, draft.mask, colour=colour_of(session, row.label))


def _repaired(session: Session, draft: Draft, name: str, radius: int) -> Draft:
    with session.picture(draft.image_digest).opened() as image:
        mask = review.REPAIRS[name](draft.mask, image.pixels, radius)
    return draft if np.array_equal(mask, draft.mask) else replace(draft, mask=mask, objects=None)


def _change(kind: Any, before: Draft, after: Draft) -> Any:
    """What a preview shows of a draft; None where its mask stays."""
    if np.array_equal(before.mask, after.mask):
        return None
    either = int((before.mask | after.mask).sum())
    overlap = int((before.mask & after.mask).sum()) / either
    return kind(before.mask, after, np.zeros((1, 1), np.float32), overlap)


def _rows(session: Session, labels: Sequence[str]) -> dict[tuple[str, str], Any]:
    return {(row.digest, row.label): row for label in labels for row in session.workspace.overview(label)}
