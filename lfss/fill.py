"""Fills a workspace with the drafts of a batch, and goes on where an earlier run stopped.

One picture is one transaction: what has been yielded is stored, and stopping at any moment costs the
picture under way. A picture that fails is noted and the rest goes on; the next run tries it again.
Memory does not grow with the number of pictures.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from . import __version__
from .doubt import confidence, doubt
from .drafts import Draft, Origin
from .errors import LfssError, WeightsError, WorkspaceError
from .images import Image, read_image
from .labels import Label
from .stages import Prediction
from .storage.pictures import stamp_of
from .text import escaped
from .workspace import Workspace

logger = logging.getLogger(__name__)


class Class(Protocol):
    """A class ready to be searched for, such as ``lfss.predictor.Prepared``."""

    @property
    def label(self) -> Label: ...
    @property
    def digests(self) -> Sequence[str]: ...


Predict = Callable[[Any, Image], Prediction]  # such as ``Predictor.predict``: (prepared, query)


@dataclass(frozen=True, eq=False)
class Filled:
    """What became of one file.

    Attributes:
        path: the file.
        outcome: ``drafted`` now, ``kept`` because there is a draft already, or ``failed``.
        draft: the new draft, if there is one.
        message: why it failed, one sentence.
    """

    path: Path
    outcome: Literal["drafted", "kept", "failed"]
    draft: Draft | None = None
    message: str = ""


@dataclass
class Progress:
    """How far a batch is.

    Attributes:
        total: number of files; None while unknown.
        drafted, kept, failed: files so far, by outcome.
        seconds: time since the batch began.
    """

    total: int | None = None
    drafted: int = 0
    kept: int = 0
    failed: int = 0
    seconds: float = 0.0
    _began: float = field(default_factory=time.monotonic, repr=False)

    @property
    def done(self) -> int:
        """Files so far."""
        return self.drafted + self.kept + self.failed

    @property
    def seconds_left(self) -> float | None:
        """Time left, if none of the remaining files is done already; None while unknown."""
        worked = self.drafted + self.failed
        if self.total is None or not worked:
            return None
        return (self.total - self.done) * self.seconds / worked

    def count(self, outcome: Literal["drafted", "kept", "failed"]) -> None:
        """Note one more file."""
        setattr(self, outcome, getattr(self, outcome) + 1)
        self.seconds = time.monotonic() - self._began


def fill(
    workspace: Workspace,
    predict: Predict,
    prepared: Class,
    paths: Iterable[str | os.PathLike[str]],
    *,
    settings: Mapping[str, str] | None = None,
    total: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    again: bool = False,
) -> Iterator[Filled]:
    """Segment the files that have no draft of this label yet, and store each result.

    ::

        predict = partial(predictor.predict, threshold=0.4)
        for filled in fill(workspace, predict, prepared, list_images("photos")):
            print(filled.path, filled.outcome, filled.message)

    Args:
        workspace: where drafts go.
        predict: the class and a picture to a prediction.
        prepared: the class.
        paths: read one by one, so a list of a million is welcome.
        settings: further settings for the origin.
        total: number of files, for the time left; taken from ``paths`` where it has a length.
        on_progress: called after each file.
        again: also those with a draft that nobody has checked; the old one stays in the history.

    Raises:
        WorkspaceError: the workspace cannot be written: locked, or on a full disk.
        WeightsError: the model cannot be loaded, or does not fit the class.
    """
    progress = Progress(len(paths) if total is None and isinstance(paths, Sized) else total)
    drafts = partial(propose, predict, prepared, settings=settings)
    for path in map(Path, paths):
        filled = _fill_one(workspace, prepared.label.text, path, drafts, again=again)
        progress.count(filled.outcome)
        if on_progress:
            on_progress(progress)
        yield filled


def draft_of(
    prediction: Prediction,
    image: Image,
    *,
    supports: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> Draft:
    """The draft that proposes a prediction.

    Args:
        prediction: of that picture.
        image: the picture.
        supports: digests of the supports.
        settings: further settings.
    """
    label = prediction.label
    words = ", ".join(label.phrases)
    if label.distractors:
        words += f" (not: {', '.join(label.distractors)})"
    presence = min(max(prediction.presence, 0.0), 1.0)
    return Draft(
        image_name=image.name,
        image_digest=image.digest,
        label=label.text,
        mask=prediction.mask,
        score=confidence(prediction.score, prediction.mask, presence=presence),
        presence=presence,
        doubt=doubt(prediction),
        lost=dict(prediction.lost),
        image_path=image.path,
        origin=Origin(
            model=f"{prediction.preset} {__version__}",
            label=words,
            threshold=prediction.threshold,
            supports=tuple(supports),
            settings=dict(settings or {}),
            method=prediction.method,
        ),
    )


def propose(
    predict: Predict, prepared: Class, image: Image, *, settings: Mapping[str, str] | None
) -> tuple[Draft, npt.NDArray[np.float32]]:
    """The draft of a class on a picture, and the (H, W) score map that its mask was cut from."""
    prediction = predict(prepared, image)
    if prediction.mask.shape != image.size:
        raise ValueError(f"mask {prediction.mask.shape} for a picture of {image.size}")
    draft = draft_of(prediction, image, supports=prepared.digests, settings=settings)
    return draft, prediction.score


def why(error: Exception, path: Path) -> str:
    """One sentence on why a picture failed; a fault of the program goes to the log in full."""
    if isinstance(error, LfssError):
        return str(error)
    logger.error("fault while segmenting %s", path, exc_info=error)
    return escaped(f"'{path.name}' met a fault of this program ({type(error).__name__}: {error}).")


def _fill_one(
    workspace: Workspace,
    label: str,
    path: Path,
    drafts: Callable[[Image], tuple[Draft, npt.NDArray[np.float32]]],
    *,
    again: bool,
) -> Filled:
    known = workspace.find_image(path)
    if known is not None and _stays(workspace, known.digest, label, again=again):
        return Filled(path, "kept")
    try:
        stamp = stamp_of(path)
        image = read_image(path)
        if _stays(workspace, image.digest, label, again=again):  # a copy, or a file that was moved
            workspace.add_image(image)
            return Filled(path, "kept")
        draft, scores = drafts(image)
        stored = workspace.put_draft(draft, scores, overwrite=again, stamp=stamp)
        return Filled(path, "drafted" if stored else "kept", draft if stored else None)
    except (WorkspaceError, WeightsError):
        raise
    except Exception as error:  # one picture must not cost the others
        message = why(error, path)
        workspace.record_failure(label, path, message)
        return Filled(path, "failed", message=message)


def _stays(workspace: Workspace, digest: str, label: str, *, again: bool) -> bool:
    """Whether a picture has a draft that a run leaves alone."""
    if not again:
        return workspace.has_draft(digest, label)
    draft = workspace.draft(digest, label)
    return draft is not None and draft.status != "proposed"
