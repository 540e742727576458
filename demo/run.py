"""A batch: every query of a session through the model, results and drafts kept one by one."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lfss.doubt import doubt
from lfss.drafts import Draft
from lfss.errors import ImageError, InputError
from lfss.fill import draft_of
from lfss.images import read_image
from lfss.labels import Label, parse_label
from lfss.stages import Prediction, Stage

from .results import compact
from .service import Service, class_key
from .session import Session, Settings
from .uploads import Upload

if TYPE_CHECKING:
    from lfss.predictor import Prepared, Support

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Update:
    """What a run says as it goes.

    Attributes:
        done, total: queries.
        name: of the query at work, or just done.
        stages: of the query at work, so far.
        digest: of the query that was just done.
        overlap: IoU of its mask with the draft that it replaced; None without one.
        seconds_left: at the pace so far.
    """

    done: int
    total: int
    name: str
    stages: tuple[Stage, ...] = ()
    digest: str | None = None
    overlap: float | None = None
    seconds_left: float | None = None


def supports_of(session: Session) -> list[Support]:
    """The session's supports, their pictures decoded."""
    from lfss.predictor import Support

    return [Support(s.picture.read(), s.marks()) for s in session.supports]


def prepare(service: Service, session: Session) -> tuple[Prepared, str]:
    """The session's class, and a key that changes whenever the class does.

    Raises:
        LabelError, SupportError, InputError: what is missing, in a sentence.
    """
    if session.class_file:
        return service.load_class(session.class_file), session.class_file.name
    label = label_of(session)
    supports = supports_of(session)
    prepared = service.prepare(label, supports)
    return prepared, class_key(prepared.preset, label, supports)


def label_of(session: Session) -> Label:
    """The label as typed; raises LabelError."""
    return parse_label(session.label, not_words=session.not_words)


def run(
    service: Service,
    session: Session,
    settings: Settings,
    *,
    queries: Sequence[Upload] | None = None,
    keep_drafts: bool = True,
) -> Iterator[Update]:
    """Segment queries one by one until done or until the session's ``cancel`` is set.

    A query that fails is noted in ``session.failures`` and the rest goes on. Queries that this very
    class has segmented before, with the same settings, are not done again.

    Args:
        queries: all of the session's queries by default.
        keep_drafts: put each mask into the workspace.

    Raises:
        NoForeground: no support shows the object.
        LfssError: the class cannot be prepared.
    """
    session.cancel.clear()
    prepared, key = prepare(service, session)
    key = f"{key} {settings}"
    wanted = session.queries if queries is None else queries
    if not wanted:
        raise InputError("Add at least one picture to search in, under step 3.")
    todo = [q for q in wanted if session.made.get(q.path, ("", ""))[0] != key]
    session.failures, session.settings = [], settings
    start = time.monotonic()
    for number, upload in enumerate(todo):
        if session.cancel.is_set():
            return
        left = (time.monotonic() - start) / number * (len(todo) - number) if number else None
        now = Update(number, len(todo), upload.name, seconds_left=left)
        yield now
        try:
            image = read_image(upload.path, name=upload.name)
        except ImageError as error:
            session.failures.append((upload.name, str(error)))
            continue
        prediction = None
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
        if prediction is None:  # cancelled half way
            return
        picture = session.register(upload, image)
        present = settings.assume_present or service.is_present(prediction)
        result = compact(prediction, present=present, supports=prepared.digests)
        session.keep_result(picture.digest, result, doubt(prediction))
        session.made[upload.path] = (key, picture.digest)
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
        yield replace(now, done=number + 1, stages=prediction.stages, digest=picture.digest, overlap=overlap)


def _put(session: Session, draft: Draft, prediction: Prediction) -> float | None:
    """Store a draft; returns the IoU with the one before, None if it is the first."""
    known = session.workspace.has_draft(draft.image_digest, draft.label)
    before = session.workspace.draft(draft.image_digest, draft.label) if known else None
    session.workspace.put_draft(draft, prediction.score)
    if before is None:
        return None
    either = int((before.mask | draft.mask).sum())
    return int((before.mask & draft.mask).sum()) / either if either else 1.0
