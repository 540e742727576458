"""A batch: every query of a session through the model, results and drafts kept one by one."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lfss.drafts import Draft
from lfss.errors import ImageError, InputError, LabelError, LfssError
from lfss.fill import draft_of
from lfss.images import Image
from lfss.labels import Label, label_key, parse_label
from lfss.stages import Prediction, Stage

from .classes import ClassItem
from .items import Marked
from .memory import opened, room_for
from .results import compact
from .service import Service, class_key
from .session import Session, Settings
from .uploads import Upload

if TYPE_CHECKING:
    from lfss.prepared import Prepared
    from lfss.support import Support

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Update:
    """What a run says as it goes.

    Attributes:
        done, total: masks, one for each query and class.
        name: of the query at work, or just done.
        item: the class that is searched for.
        stages: of the query at work, so far.
        digest: of the query that was just done.
        overlap: IoU of its mask with the draft that it replaced; None without one.
        seconds_left: at the pace so far.
    """

    done: int
    total: int
    name: str
    item: ClassItem
    stages: tuple[Stage, ...] = ()
    digest: str | None = None
    overlap: float | None = None
    seconds_left: float | None = None


def supports_of(item: Session | ClassItem) -> list[Support]:
    """Supports with their pictures decoded."""
    from lfss.support import Support

    return [Support(s.picture.read(), s.marks()) for s in item.supports]


def prepare(service: Service, item: Session | ClassItem) -> Prepared:
    """A class, or the one that a session edits, ready to be searched for.

    Raises:
        LabelError, SupportError, InputError: what is missing, in a sentence.
    """
    if item.class_file:
        return service.load_class(item.class_file)
    label = label_of(item)
    with room_for([(s.picture.path, s.picture.name, s.picture.size) for s in item.supports]):
        return service.prepare(label, supports_of(item))


def key_of(service: Service, item: ClassItem) -> str:
    """Changes whenever the class does; raises LabelError, and LfssError where there is no model."""
    if item.class_file:
        return item.class_file.name
    supports = [Marked(s.picture, s.marks()) for s in item.supports]
    return class_key(service.predictor().preset.name, label_of(item), supports)


def label_of(item: Session | ClassItem) -> Label:
    """The label as typed; raises LabelError."""
    return parse_label(item.label, not_words=item.not_words)


def check_names(items: Sequence[ClassItem]) -> None:
    """Raise a LabelError unless every class has a name that can be used, and no two have the same."""
    seen: set[str] = set()
    for place, item in enumerate(items, start=1):
        if len(items) > 1 and not item.name:
            raise LabelError(f"Label {place} has no name yet. Type one, or remove it.")
        name = label_key(item.name if item.class_file else label_of(item).text)
        if name in seen:
            raise LabelError(f"Two labels are called '{item.name}'. Rename or remove one of them.")
        seen.add(name)


def run(
    service: Service,
    session: Session,
    settings: Settings,
    *,
    items: Iterable[ClassItem] | None = None,
    queries: Sequence[Upload] | None = None,
    keep_drafts: bool = True,
) -> Iterator[Update]:
    """Segment queries one by one until done or until the session's ``cancel`` is set.

    A query that fails is noted in ``session.failures`` and the rest goes on; so is, of several classes,
    one that cannot be searched for. Queries that this very class has segmented before, with the same
    settings, are not done again.

    Args:
        items: one class after the other; the one that is edited by default.
        queries: all of the session's queries by default.
        keep_drafts: put each mask into the workspace.

    Raises:
        NoForeground: no support shows the object.
        LfssError: a class has no name of its own, or the only one cannot be prepared.
    """
    session.cancel.clear()
    session.failures, session.settings, session.progress = [], settings, (0, 0)
    classes = list(items or [session.classes.chosen])
    check_names(classes)
    first = prepare(service, classes[0]) if len(classes) == 1 else None  # what it lacks is told at once
    wanted = session.queries if queries is None else queries
    if not wanted:
        raise InputError("Add at least one picture to search in, under step 3.")
    plan = []
    for item in classes:
        key = f"{key_of(service, item)} {settings}"
        todo = [q for q in wanted if item.made.get(q.path, ("", ""))[0] != key]
        plan += [(item, key, todo)] if todo else []
    total, before, start, left = sum(len(todo) for _, _, todo in plan), 0, time.monotonic(), None
    for item, key, todo in plan:
        done = 0
        try:
            prepared = first or prepare(service, item)
            for update in _search(service, session, item, prepared, todo, key=key, keep_drafts=keep_drafts):
                done = update.done
                count = before + done
                if not update.stages:
                    left = (time.monotonic() - start) / count * (total - count) if count else None
                session.progress = (count, total)
                yield replace(update, done=count, total=total, seconds_left=left)
        except LfssError as error:
            if len(classes) == 1:
                raise
            session.failures.append((item.name, f"'{item.name}': {error}"))
            total -= len(todo) - done
        if session.cancel.is_set():
            return
        before += done


def _search(
    service: Service,
    session: Session,
    item: ClassItem,
    prepared: Prepared,
    todo: Sequence[Upload],
    *,
    key: str,
    keep_drafts: bool,
) -> Iterator[Update]:
    """One class through all queries that are to be done."""
    for number, upload in enumerate(todo):
        if session.cancel.is_set():
            return
        now = Update(number, len(todo), upload.name, item)
        yield now
        try:
            with opened(upload.path, upload.name, cancelled=session.cancel.is_set) as image:
                if image is None:  # cancelled while others had the memory
                    return
                yield from _search_one(
                    service, session, item, prepared, upload, image, now, key=key, keep_drafts=keep_drafts
                )
        except ImageError as error:
            if (upload.name, str(error)) not in session.failures:
                session.failures.append((upload.name, str(error)))


def _search_one(
    service: Service,
    session: Session,
    item: ClassItem,
    prepared: Prepared,
    upload: Upload,
    image: Image,
    now: Update,
    *,
    key: str,
    keep_drafts: bool,
) -> Iterator[Update]:
    """One class through one query; nothing is kept where it is cancelled half way."""
    settings, prediction = session.settings, None
    for step in service.segment(
        prepared,
        image,
        threshold=settings.threshold,
        assume_present=settings.assume_present,
        cancelled=session.cancel.is_set,
    ):
        if isinstance(step, Prediction):
            prediction = step
        else:
            now = replace(now, stages=(*now.stages, step))
            yield now
    if prediction is None:
        return
    picture = session.register(upload, image)
    present = settings.assume_present or service.is_present(prediction)
    result = compact(prediction, present=present, supports=prepared.digests)
    session.keep_result(picture.digest, result, item)
    item.made[upload.path] = (key, picture.digest)
    overlap = None
    if keep_drafts:
        draft = draft_of(
            prediction,
            image,
            supports=prepared.digests,
            settings={"assume present": "yes"} if settings.assume_present else {},
        )
        draft = replace(draft, image_name=upload.name, image_path=upload.path)
        overlap = _put(session, draft, prediction)
    yield replace(now, done=now.done + 1, stages=prediction.stages, digest=picture.digest, overlap=overlap)


def _put(session: Session, draft: Draft, prediction: Prediction) -> float | None:
    """Store a draft; returns the IoU with the one before, None if it is the first."""
    known = session.workspace.has_draft(draft.image_digest, draft.label)
    before = session.workspace.draft(draft.image_digest, draft.label) if known else None
    session.workspace.put_draft(draft, prediction.score)
    if before is None:
        return None
    either = int((before.mask | draft.mask).sum())
    return int((before.mask & draft.mask).sum()) / either if either else 1.0
