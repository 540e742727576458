"""The loop of every run: read a picture, segment it for all labels at once, keep the results, go on.

What has been reported is kept: stopping at any moment costs the picture under way, and the next run goes
on where this one stopped. A picture that fails is reported and the rest goes on. Memory does not grow with
the number of pictures.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from ..errors import ExportError, LfssError, WeightsError, WorkspaceError
from ..images import Image, read_image
from ..stages import Prediction, Stage
from ..storage.pictures import Stamp, stamp_of
from ..text import escaped

logger = logging.getLogger(__name__)

Status = Literal["done", "kept", "failed"]
# All labels of a run on one picture, as ``Predictor.iterate_classes`` yields them: the number of a label and
# one of its stages, and at the end one prediction for each label, in order.
Segment = Callable[[Image], Iterable[tuple[int, Stage | Prediction]]]


class Query(NamedTuple):
    """A picture to segment: its file, and its name for people."""

    path: Path
    name: str


@dataclass(frozen=True)
class Outcome:
    """What became of one label on one picture.

    Attributes:
        image: the name of the picture.
        label: the name of the label.
        status: ``done`` now, ``kept`` from an earlier run, or ``failed``.
        mask: path of the mask, of runs into a folder.
        area: share of the picture that the mask covers, in [0, 1].
        presence: how sure the model is that the object is there, in [0, 1].
        doubt: how doubtful the mask is, in [0, 1].
        lost: the share of its own pixels that this label lost to each other label of the run.
        seconds: time of the model on this label and picture.
        message: why it failed, or what to know of a mask that was made; in a sentence or two.
        copy_of: the name of another file with the same pixels, whose draft serves for this one too.
    """

    image: str
    label: str
    status: Status
    mask: str | None = None
    area: float | None = None
    presence: float | None = None
    doubt: float | None = None
    lost: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    message: str = ""
    copy_of: str = ""


class Step(NamedTuple):
    """A stage of a label, by its number, on the picture under way; no stage: the picture is begun."""

    query: Query
    label: int = 0
    stage: Stage | None = None


class Done(NamedTuple):
    """A picture whose outcomes, one for each label, are kept."""

    query: Query
    outcomes: Sequence[Outcome]


class Answer(NamedTuple):
    """What a worker made of a picture: ``made`` for the sink to keep, or why there is nothing."""

    query: Query
    made: Any = None
    message: str = ""


class Sink(Protocol):
    """Keeps the results of a run, and knows those of earlier runs."""

    def kept(self, query: Query, image: Image | None = None) -> Sequence[Outcome] | None:
        """The outcomes of a picture that needs no work, told by its file or its pixels; None if it does."""
        ...

    @property
    def make(self) -> Callable[[Query, Image, Sequence[Prediction], Stamp | None], Any]:
        """Makes of the predictions what ``keep`` keeps; the costly half, which another machine may do."""
        ...

    def keep(self, query: Query, made: Any) -> Sequence[Outcome]:
        """Keep what was made; when this returns, it is on the disk."""
        ...

    def fail(self, query: Query, message: str) -> Sequence[Outcome]:
        """Note why a picture could not be segmented."""
        ...


Workers = Callable[[Iterator["Query | Done"]], Iterator["Step | Done | Answer"]]


def run(
    queries: Iterable[Query],
    workers: Workers,
    sink: Sink,
    *,
    begin: Callable[[], None] = lambda: None,
) -> Generator[Step | Done]:
    """Segment the pictures whose results the sink lacks.

    Args:
        queries: read one by one, so a list of a million is welcome.
        workers: segment pictures, see ``here``; what is done already passes through them.
        sink: keeps the results.
        begin: called before the first picture.

    Yields:
        ``Done`` for each picture, in the order in which they are done, and the steps of those under way.

    Raises:
        WorkspaceError, ExportError: results cannot be kept, as on a full disk.
        WeightsError: the model cannot be loaded, or does not fit a class.
    """
    begin()
    for event in workers(_work(queries, sink)):
        if isinstance(event, Answer):
            failed = bool(event.message)
            yield Done(
                event.query,
                sink.fail(event.query, event.message) if failed else sink.keep(event.query, event.made),
            )
        else:
            yield event


def finished(events: Iterable[Step | Done]) -> Iterator[Done]:
    """The pictures of a run that are done, without the steps between."""
    return (event for event in events if isinstance(event, Done))


def read_query(query: Query) -> AbstractContextManager[Image | None]:
    """The decoded picture of a query."""
    return nullcontext(read_image(query.path, name=query.name))


def here(
    segment: Segment,
    sink: Sink,
    *,
    read: Callable[[Query], AbstractContextManager[Image | None]] = read_query,
    cancelled: Callable[[], bool] = lambda: False,
) -> Workers:
    """One worker: this process, one picture after the other, until ``cancelled()`` is true.

    Args:
        segment: all labels of the run.
        sink: of the run.
        read: opens a picture for as long as it is worked on; None where waiting for it was cancelled.
        cancelled: asked before every picture and after every stage.
    """

    def work(items: Iterator[Query | Done]) -> Iterator[Step | Done | Answer]:
        for item in items:
            if cancelled():
                return
            if isinstance(item, Done):
                yield item
                continue
            answer = yield from segment_query(
                item, segment, sink.make, kept=sink.kept, read=read, cancelled=cancelled
            )
            if answer is None:
                return
            yield answer

    return work


def segment_query(
    query: Query,
    segment: Segment,
    make: Callable[[Query, Image, Sequence[Prediction], Stamp | None], Any],
    *,
    kept: Callable[[Query, Image], Sequence[Outcome] | None] = lambda query, image: None,
    read: Callable[[Query], AbstractContextManager[Image | None]] = read_query,
    cancelled: Callable[[], bool] = lambda: False,
) -> Generator[Step, None, Answer | Done | None]:
    """Read a picture once and segment it for all labels; None where that was cancelled.

    Args:
        query: the picture.
        segment: all labels of the run.
        make: see ``Sink.make``.
        kept: see ``Sink.kept``; asked with the pixels, since a file may have been copied or moved.
        read, cancelled: see ``here``.

    Raises:
        WorkspaceError, ExportError, WeightsError: the rest of the run would fare no better.
    """
    yield Step(query)
    try:
        stamp = stamp_of(query.path)
        with read(query) as image:
            if image is None:
                return None
            if (outcomes := kept(query, image)) is not None:
                return Done(query, outcomes)
            predictions = []
            for number, item in segment(image):
                if isinstance(item, Prediction):
                    predictions.append(item)
                else:
                    yield Step(query, number, item)
                if cancelled():
                    return None
            return Answer(query, make(query, image, predictions, stamp))
    except (WorkspaceError, ExportError, WeightsError):
        raise
    except Exception as error:  # one picture must not cost the others
        return Answer(query, message=sentence(error, query))


def sentence(error: Exception, query: Query) -> str:
    """Why a picture failed; a fault of the program goes to the log in full."""
    if isinstance(error, LfssError):
        return str(error)
    logger.error("fault while segmenting %s", query.name, exc_info=error)
    kind = type(error).__name__
    return escaped(f"'{query.path.name}' met a fault of this program ({kind}: {error}).")


def _work(queries: Iterable[Query], sink: Sink) -> Iterator[Query | Done]:
    for query in queries:
        outcomes = sink.kept(query)
        yield query if outcomes is None else Done(query, outcomes)
