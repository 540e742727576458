"""A run of the page: every query of a session through the model for all its labels at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from lfss.batch.drafts import pack_predictions
from lfss.batch.loop import Done, Outcome, Query, Step, here
from lfss.batch.loop import run as run_queries
from lfss.errors import InputError, LabelError, LfssError, NoForeground
from lfss.images import Image
from lfss.labels import Label, label_key, parse_label
from lfss.settings import Settings
from lfss.stages import Prediction, Stage
from lfss.storage.packed import PackedDraft
from lfss.storage.pictures import Stamp

from . import waiting
from .classes import ClassItem
from .items import MarkedPicture
from .memory import opened, room_for
from .results import Result, compact
from .resume import signature
from .service import Service, class_key
from .session import Session
from .uploads import Upload

if TYPE_CHECKING:
    from lfss.prepared import Prepared
    from lfss.support import Support


@dataclass(frozen=True, eq=False)
class Update:
    """What a run says as it goes.

    Attributes:
        done, total: masks, one for each query and class.
        name: of the query at work, or just done.
        item: the class at work.
        stages: of the class and query at work, so far.
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
    supports = [MarkedPicture(s.picture, s.marks()) for s in item.supports]
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
    only_new: bool = False,
    drafts_of: ClassItem | None = None,
    held: list[PackedDraft] | None = None,
) -> Iterator[Update]:
    """Segment queries one by one until done or until the session's ``cancel`` is set.

    A query that fails is noted in ``session.failures`` and the rest goes on; so is, of several classes,
    one that cannot be searched for. Queries that these very classes have segmented before, with the same
    settings, are not done again.

    Args:
        items: the classes, which compete for pixels; the one that is edited by default.
        queries: all of the session's queries by default.
        keep_drafts: put each mask into the workspace.
        only_new: leave pictures alone that have drafts of all these classes, also those of another file with
            the same pixels.
        drafts_of: begin drafts of this class alone; those of the others follow where they are, since what one
            class gets the others lose.
        held: takes the drafts in place of the workspace, so that they can be looked at first.

    Raises:
        NoForeground: no support shows the object.
        LfssError: a class has no name of its own, or the only one cannot be prepared.
    """
    session.cancel.clear()
    session.failures, session.settings, session.progress = [], settings, (0, 0)
    session.passed_over = 0
    wanted = session.queries if queries is None else queries
    classes = _RunClasses(service, session, settings, list(items or [session.classes.chosen]))
    if not wanted:
        raise InputError("Add at least one picture to search in, under step 3.")
    if keep_drafts:
        for item in classes.items:
            _keep_class(service, session, item, settings)
    kept = [item for item in classes.items if keep_drafts and drafts_of in (None, item)]
    sink = _IntoSession(
        session, classes, kept, settings, is_present=service.is_present, held=held, only_new=only_new
    )
    todo = [u for u in wanted if not classes.made(u) and sink.kept(Query(u.path, u.name)) is None]
    workers = here(classes.segment, sink, read=classes.read, cancelled=classes.stopped)
    events = run_queries((Query(u.path, u.name) for u in todo), workers, sink)
    yield from _updates(events, session, classes, sink, len(todo))
    if classes.error is not None:
        raise classes.error


def _updates(
    events: Iterator[Step | Done], session: Session, classes: _RunClasses, sink: _IntoSession, pictures: int
) -> Iterator[Update]:
    """The events of a run as the page shows them."""
    start, before, stages = time.monotonic(), 0, tuple[Stage, ...]()
    done = 0
    for event in events:
        total = before + (pictures - done) * len(classes.items)
        session.progress = (before, total)
        if isinstance(event, Step):
            item = classes.items[event.label if event.stage else 0]
            stages = (*stages, event.stage) if event.stage else ()
            yield Update(before, total, event.query.name, item, stages)
            continue
        done += 1
        left = (time.monotonic() - start) / done * (pictures - done)
        if sink.latest is None:  # it failed
            continue
        for item, result, overlap in sink.latest.results:
            before += 1
            session.progress = (before, total)
            yield Update(
                before,
                total,
                event.query.name,
                item,
                result.prediction.stages,
                sink.latest.digest,
                overlap,
                left,
            )


class _RunClasses:
    """The classes of a run, prepared; one that turns out to be unusable is left out, unless it is alone."""

    def __init__(self, service: Service, session: Session, settings: Settings, items: list[ClassItem]):
        check_names(items)
        self._service, self._session, self._settings = service, session, settings
        self.items: list[ClassItem] = []
        self.prepared: list[Prepared] = []
        self.error: LfssError | None = None
        for item in items:
            try:
                self.prepared.append(prepare(service, item))
                self.items.append(item)
            except LfssError as error:
                if len(items) == 1:
                    raise
                self._note(item, error)
        self.key = f"{[key_of(service, item) for item in self.items]} {settings}"
        seen, made = session.resumed
        self._resumed = made if seen == signature(items, settings) else {}

    def made(self, upload: Upload) -> bool:
        """Whether these classes have segmented a picture together before, with the same settings."""
        return upload.path in self._resumed or all(
            item.made.get(upload.path, ("", ""))[0] == self.key for item in self.items
        )

    def read(self, query: Query) -> AbstractContextManager[Image | None]:
        """The picture, once there is memory for it and for what the classes make of it."""
        return opened(query.path, query.name, labels=len(self.items), cancelled=self.stopped)

    def stopped(self) -> bool:
        """Whether the run is to end: it was cancelled, or no class can be searched for."""
        return self._session.cancel.is_set() or self.error is not None

    def segment(self, image: Image) -> Iterator[tuple[int, Stage | Prediction]]:
        """All classes on one picture; see ``lfss.batch.loop.Segment``."""
        while True:
            try:
                yield from self._service.segment_classes(
                    self.prepared, image, self._settings, cancelled=self._session.cancel.is_set
                )
                return
            except NoForeground as error:
                number = self._number_of(error.label)
                if number is None or len(self.items) == 1:
                    self.error = error
                    raise
                self._note(self.items.pop(number), error)
                del self.prepared[number]

    def _number_of(self, label: str) -> int | None:
        keys = [label_key(prepared.label.text) for prepared in self.prepared]
        return keys.index(label_key(label)) if label_key(label) in keys else None

    def _note(self, item: ClassItem, error: LfssError) -> None:
        self._session.failures.append((item.name, f"'{item.name}': {error}"))


class _Made(NamedTuple):
    """What was made of a picture: for each class its result, and its draft where drafts are kept."""

    digest: str
    results: list[tuple[ClassItem, Result]]
    drafts: list[PackedDraft]


class _Kept(NamedTuple):
    """A picture that was just done: for each class its result, and IoU with the draft it replaced."""

    digest: str
    results: list[tuple[ClassItem, Result, float | None]]


@dataclass(eq=False)
class _IntoSession:
    """A sink that keeps results for the page and, of some classes, drafts in the workspace."""

    session: Session
    classes: _RunClasses
    keep_drafts_of: Sequence[ClassItem]
    settings: Settings
    is_present: Callable[[Prediction], bool]
    held: list[PackedDraft] | None = None
    only_new: bool = False
    latest: _Kept | None = field(default=None, init=False)

    def kept(self, query: Query, image: Image | None = None) -> list[Outcome] | None:
        """Where only what is new is wanted, and all classes have drafts of this picture: those are kept."""
        if not self.only_new:
            return None
        known = (d for d, picture in self.session.pictures.items() if picture.path == query.path)
        digest = image.digest if image is not None else next(known, None)
        has = self.session.workspace.has_draft
        if digest is None or not all(has(digest, item.name) for item in self.classes.items):
            return None
        for item in self.classes.items:
            item.found.setdefault(digest, True)
            item.made[query.path] = ("", digest)
        self.session.passed_over += 1
        self.latest = None
        waiting.done(self.session, query.path)
        return [Outcome(query.name, item.name, "kept") for item in self.classes.items]

    @property
    def make(self) -> Callable[[Query, Image, Sequence[Prediction], Stamp | None], _Made]:
        """Results at the size of a screen, and packed drafts."""
        return self._make

    def _make(
        self, query: Query, image: Image, predictions: Sequence[Prediction], stamp: Stamp | None
    ) -> _Made:
        supports = [prepared.digests for prepared in self.classes.prepared]
        drafts: list[PackedDraft] = []
        if self.keep_drafts_of:
            path = self.session.keep_picture(image)
            stamp = stamp if path == query.path else None
            drafts = pack_predictions(
                query,
                replace(image, path=path),
                predictions,
                stamp,
                supports=supports,
                settings=self.settings,
            )
        results = [
            (item, compact(p, present=self._present(p), supports=digests))
            for item, p, digests in zip(self.classes.items, predictions, supports, strict=True)
        ]
        digest = self.session.register(Upload(query.path, query.name), image).digest
        return _Made(digest, results, drafts)

    def keep(self, query: Query, made: _Made) -> list[Outcome]:
        """Store drafts and results."""
        overlaps: list[float | None] = [None] * len(made.results)
        chosen = [
            number
            for number, draft in enumerate(made.drafts)
            if made.results[number][0] in self.keep_drafts_of
            or self.session.workspace.has_draft(draft.digest, draft.label)
        ]
        for number in chosen:
            overlaps[number] = self._overlap(made.drafts[number])
        drafts = [made.drafts[number] for number in chosen]
        if self.held is None:
            self.session.workspace.put_packed(drafts)
            waiting.done(self.session, query.path)
        else:
            self.held += drafts
        for item, result in made.results:
            self.session.keep_result(made.digest, result, item)
            item.made[query.path] = (self.classes.key, made.digest)
        self.latest = _Kept(made.digest, [(*pair, n) for pair, n in zip(made.results, overlaps)])
        return [Outcome(query.name, item.name, "done") for item, _ in made.results]

    def fail(self, query: Query, message: str) -> list[Outcome]:
        """Note why a picture failed, unless it is the class that cannot be used."""
        self.latest = None
        if self.classes.error is None and (query.name, message) not in self.session.failures:
            self.session.failures.append((query.name, message))
        return [Outcome(query.name, item.name, "failed", message=message) for item in self.classes.items]

    def _present(self, prediction: Prediction) -> bool:
        return self.settings.assume_present or self.is_present(prediction)

    def _overlap(self, draft: PackedDraft) -> float | None:
        """IoU with the draft that is there; None if it is the first."""
        if not self.session.workspace.has_draft(draft.digest, draft.label):
            return None
        before = self.session.workspace.draft(draft.digest, draft.label)
        now = draft.unpack().mask
        if before is None:
            return None
        either = int((before.mask | now).sum())
        return int((before.mask & now).sum()) / either if either else 1.0


def _keep_class(service: Service, session: Session, item: ClassItem, settings: Settings) -> None:
    """Keep in the workspace what a class is searched for with, so that anybody can go on with it."""
    marks = {}
    for support in item.supports if item.class_file is None else ():
        if not session.workspace.has_image(support.picture.digest):
            with support.picture.opened() as image:
                session.keep_picture(image)
        marks[support.picture.digest] = support.marks()
    predictor = service.predictor()
    session.workspace.put_class(
        prepare(service, item).label if item.class_file else label_of(item),
        marks,
        method=predictor.method.name,
        preset=service.preset,
        settings=settings.stored(),
        class_file=item.class_file,
    )
