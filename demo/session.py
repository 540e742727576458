"""What one tab of a browser works on: classes, pictures, results. The page itself holds an id only."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lfss.errors import InputError, LfssError
from lfss.settings import Settings

from . import results
from .classes import MAX_SUPPORTS, Classes, ClassItem, OfClass
from .colours import colour_of
from .items import PictureFile, ScreenPicture, SupportItem
from .job import Job
from .last_export import Choice
from .place import Place
from .session_pictures import SessionPictures
from .uploads import Upload

if TYPE_CHECKING:  # torch takes seconds to import
    from lfss.refine_folder import Lesson

    from .background import Background
    from .bulk import Proposal
    from .errand import Errand

__all__ = ["MAX_SUPPORTS", "PictureFile", "ScreenPicture", "Session", "Settings", "Step", "SupportItem"]

Step = tuple[tuple[str, str], ...]  # digest and label of each draft that was changed together


@dataclass
class Session(SessionPictures):
    """One visitor's work.

    Attributes:
        classes: what is looked for; the label, supports and so on of the one that is edited are also the
            session's own, and so are the results of the one that is looked at.
        queries: in the order in which they were added.
        failures: name and reason of queries, and of classes, that could not be segmented.
        example: the worked example is still what is shown.
        typed_over: somebody has typed into the label of the example, if only to write the same word.
        settings: of the last run.
        only_new: a run leaves pictures alone that have drafts of all its labels.
        passed_over: how many of them the latest run has left alone.
        cancel: set to stop a run at its next step.
        turn: held for one step through the drafts, since quick presses of keys come side by side.
        progress: how many masks of how many the run has made.
        job: the latest run of the Segment tab.
        current: digest of the picture that is looked at.
        follows: a run shows its results as it makes them; not once a person has chosen one meanwhile.
        reviewed, edited: digest of the draft that is under review, and of the one in the editor.
        place: where on the page the visitor is.
        resumed: the classes and settings that the drafts of a workspace were made with, and the digest of
            each file that has them all; see ``resume``.
        lesson: what the folder has taught, until it is applied or left.
        background: lets the rest learn from what is accepted, or did so last.
        learns: whether that is wanted, as far as it was asked; see ``background.wanted``.
        passed: the steps of folder passes, as in ``trail``.
        proposal: a change of many drafts that waits for the visitor's word.
        errand: works such a change out, or did so last.
        trail, undone: the steps that changed drafts, and those that were taken back, in order: digest and
            label of each draft of a step.
        exported: what was exported last.
        activity: what has been done to drafts, for people, the latest last.
        object_counts: how many objects each version of a draft shows, as far as it was counted.
    """

    classes: Classes = field(default_factory=Classes)
    queries: list[Upload] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    example: bool = False
    typed_over: bool = False
    settings: Settings = field(default_factory=Settings)
    only_new: bool = False
    passed_over: int = 0
    cancel: threading.Event = field(default_factory=threading.Event)
    turn: threading.Lock = field(default_factory=threading.Lock)
    progress: tuple[int, int] = (0, 0)
    job: Job | None = None
    current: str | None = None
    follows: bool = True
    reviewed: str | None = None
    edited: str | None = None
    place: Place = field(default_factory=Place)
    resumed: tuple[str, dict[Path, str]] = ("", {})
    lesson: Lesson | None = None
    proposal: Proposal | None = None
    errand: Errand | None = None
    background: Background | None = None
    learns: bool | None = None
    passed: list[Step] = field(default_factory=list)
    trail: list[Step] = field(default_factory=list)
    undone: list[Step] = field(default_factory=list)
    exported: Choice | None = None
    activity: list[str] = field(default_factory=list)
    object_counts: dict[str, int] = field(default_factory=dict)
    touched: float = field(default_factory=time.monotonic)
    _result: tuple[str, int, results.Result] | None = None

    label = OfClass[str]("chosen")
    not_words = OfClass[str]("chosen")
    supports = OfClass[list[SupportItem]]("chosen")
    class_file = OfClass[Path | None]("chosen")
    class_pictures = OfClass[dict[str, ScreenPicture]]("chosen")
    readings = OfClass[tuple[npt.NDArray[np.bool_], ...]]("chosen")
    agreements = OfClass[tuple[float, ...]]("chosen")
    found = OfClass[dict[str, bool]]("viewed")
    made = OfClass[dict[Path, tuple[str, str]]]("viewed")

    def add_supports(self, files: Iterable[str | Path]) -> list[str]:
        """Copy and read supports; returns a sentence for each file that was refused."""
        files, refused = list(files), []
        if len(files) > MAX_SUPPORTS:  # also of the same one: each would be decoded
            refused.append(f"At most {MAX_SUPPORTS} supports: {len(files) - MAX_SUPPORTS} were left out.")
        for item in self._taken(files[:MAX_SUPPORTS]):
            if isinstance(item, LfssError):
                refused.append(str(item))
                continue
            if len(self.supports) >= MAX_SUPPORTS:
                refused.append(f"At most {MAX_SUPPORTS} supports: '{item.name}' was left out.")
                continue
            try:
                picture = self.register(item)
            except LfssError as error:
                refused.append(str(error))
                continue
            if picture.digest in {s.picture.digest for s in self.supports}:
                refused.append(f"'{picture.name}' is among the supports already.")
                continue
            self.supports.append(SupportItem(picture))
        self.readings = self.agreements = ()
        return refused

    def add_queries(self, files: Iterable[str | Path]) -> list[str]:
        """Copy queries, and those inside zips; returns a sentence for each file that was refused."""
        refused = []
        for item in self._taken(files):
            if isinstance(item, LfssError):
                refused.append(str(item))
            else:
                self.queries.append(item)
        return refused

    def shown_supports(self, digests: Sequence[str]) -> list[ScreenPicture]:
        """Supports for the page, by digest; those that are not here any more are left out at the end."""
        found = []
        for digest in digests:
            if digest in self.pictures:
                found.append(ScreenPicture(self.shown(digest), self.pictures[digest].size))
            elif digest in self.class_pictures:
                found.append(self.class_pictures[digest])
            else:
                break
        return found

    def mark(
        self, index: int, known: npt.NDArray[np.int8] | None, note: str, item: ClassItem | None = None
    ) -> None:
        """Replace what is known of a support.

        Args:
            index: which one, from 0.
            known: (H, W) int8 at its picture's size; None: nothing.
            note: how it was marked, for people.
            item: the class whose support it is; the one that is edited by default.
        """
        item = item or self.classes.chosen
        old, path = item.supports[index], None
        if known is not None:
            path = self.folder / f"known-{secrets.token_hex(8)}.npz"
            np.savez_compressed(path, known=known.astype(np.int8))
        item.supports[index] = SupportItem(old.picture, path, note)
        if old.known:
            old.known.unlink(missing_ok=True)
        item.readings = item.agreements = ()

    def keep_result(self, digest: str, result: results.Result, item: ClassItem | None = None) -> None:
        """Write a result of a class, by default the one that is looked at, to the session's folder."""
        item = item or self.classes.viewed
        path = self.result_path(digest, item)
        path.parent.mkdir(exist_ok=True)
        results.save(result, path)
        item.found[digest] = result.present
        self._result = (digest, item.number, result)

    def view(self, item: ClassItem | None) -> None:
        """Look at the results of a class, if it is still there."""
        self.classes.view(item)
        if self.found and self.current not in self.found:
            self.current = next(reversed(self.found))

    def view_found(self, item: ClassItem, digest: str) -> None:
        """Look at a result that a run has just made, if the visitor follows it.

        An empty mask takes no mask out of sight, and the example is looked at on its first picture.
        """
        if not self.follows or (self.found.get(self.current or "") and not item.found.get(digest)):
            return
        self.classes.view(item)
        if not (self.example and self.current):
            self.current = digest

    def look_at(self, digest: str) -> None:
        """Look at a result that a person has chosen; a run that goes on does not take it out of sight."""
        self.current, self.follows = digest, False

    def result(self, digest: str | None) -> results.Result | None:
        """The result of a picture in the class that is looked at; None if there is none."""
        item = self.classes.viewed
        if digest is None or digest not in item.found:
            return None
        if self._result is None or self._result[:2] != (digest, item.number):
            if not self._restored(digest, item):
                return None
            self._result = (digest, item.number, results.load(self.result_path(digest, item)))
        return self._result[2]

    def _restored(self, digest: str, item: ClassItem) -> bool:
        """Whether there is a result; that of an earlier session is made from its draft, without stages."""
        if self.result_path(digest, item).exists():
            return True
        draft = self.workspace.draft(digest, item.name)
        kept = self.workspace.score_map(digest, item.name) if draft else None
        if draft is None or kept is None:
            return False
        result = results.of_draft(draft, kept)
        self.result_path(digest, item).parent.mkdir(exist_ok=True)
        results.save(result, self.result_path(digest, item))
        item.found[digest] = result.present
        return True

    def result_thumbnail(self, digest: str) -> Path:
        """A small picture of a result of the class that is looked at."""
        if not self._restored(digest, self.classes.viewed):  # a person has drawn the mask
            return self._thumbnails() / f"{digest}.png"
        colour = colour_of(self, self.classes.viewed.name)
        stamp = f"{self.classes.viewed.number} {self.result_path(digest).stat().st_mtime_ns} {colour}"
        path = self.thumbnail_path(digest, stamp)
        result = None if path.exists() else self.result(digest)
        mask = None if result is None else result.prediction.mask
        return path if mask is None else self.thumbnail(digest, mask, stamp, colour=colour)

    def result_path(self, digest: str, item: ClassItem | None = None) -> Path:
        """The npz file of a result of a class, by default the one that is looked at."""
        return self.folder / "results" / f"{digest}-{(item or self.classes.viewed).number}.npz"

    def clear(self) -> None:
        """Forget classes, queries and results; drafts stay."""
        self.classes.clear()
        self.queries, self.failures = [], []
        self.example = self.typed_over = False
        self.resumed = ("", {})
        self.forget_results()
        self.release()

    def forget_results(self) -> None:
        """Forget what was segmented; drafts stay."""
        for item in self.classes:
            item.forget_results()
        self.current = self._result = None

    def release(self) -> None:
        """Free what is kept in memory only to be quick."""
        self._shown.clear()
        self._result = None

    def check_index(self, index: int | None) -> int:
        """A support's number; raises InputError if there is no such support."""
        if index is None or not 0 <= index < len(self.supports):
            raise InputError("Choose a support first: click its picture.")
        return index
