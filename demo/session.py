"""What one tab of a browser works on: pictures, supports, results. The page itself holds an id only."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lfss.errors import InputError, LfssError
from lfss.figures import save_png_atomic
from lfss.images import Image, read_image
from lfss.workspace import Workspace

from . import results
from .uploads import Upload, take
from .views import shown_mask, shrunk, write_jpeg

MAX_SUPPORTS = 20
SHOWN_PICTURES = 8  # decoded pictures that a session keeps at the size of a screen
THUMBNAIL_SIDE = 256


@dataclass(frozen=True)
class PictureFile:
    """A picture of this session: its file, its name for people, (H, W), and the digest of its pixels."""

    path: Path
    name: str
    size: tuple[int, int]
    digest: str

    def read(self) -> Image:
        """Decode it."""
        return read_image(self.path, name=self.name)


@dataclass(frozen=True)
class Settings:
    """What a person chooses for a run.

    Attributes:
        threshold: score from which a pixel belongs to the mask, in [0, 1].
        assume_present: every query is known to show the object.
    """

    threshold: float = 0.5
    assume_present: bool = False


class Shown(NamedTuple):
    """A picture at the size of a screen, and (H, W) of the original."""

    image: Image
    size: tuple[int, int]


@dataclass(frozen=True)
class SupportItem:
    """A support as the page lists it.

    Attributes:
        picture: its picture.
        known: file with what a person marked, int8; None for the label alone.
        note: how it was marked, for people.
    """

    picture: PictureFile
    known: Path | None = None
    note: str = "label only"

    def marks(self) -> npt.NDArray[np.int8] | None:
        """(H, W) int8, or None."""
        if self.known is None:
            return None
        with np.load(self.known, allow_pickle=False) as file:
            return np.asarray(file["known"], np.int8)


@dataclass
class Session:
    """One visitor's work.

    Attributes:
        folder: everything that the session writes, but for a workspace that was named.
        workspace: drafts with their history.
        supports, queries: in the order in which they were added.
        pictures: every picture of the session by digest.
        class_pictures: small pictures of the supports of ``class_file``, by digest.
        doubts: how doubtful each result is, by digest, in [0, 1].
        found: whether the model sees the object, by digest.
        made: which class and settings made the result of a file, and its digest.
        failures: file name and reason of queries that could not be segmented.
        class_file: a saved class that stands in for label and supports.
        readings: what each support takes to be its object, (h, w) bool; empty if not known.
        agreements: of each support with the others; empty if not known.
        example: the worked example is still what is shown.
        settings: of the last run.
        cancel: set to stop a run at its next step.
        current: digest of the picture that is looked at.
        reviewed, edited: digest of the draft that is under review, and of the one in the editor.
        trail, undone: digest and label of the drafts that were changed, and whose change was taken back,
            in order.
    """

    folder: Path
    workspace: Workspace
    label: str = ""
    not_words: str = ""
    supports: list[SupportItem] = field(default_factory=list)
    queries: list[Upload] = field(default_factory=list)
    pictures: dict[str, PictureFile] = field(default_factory=dict)
    class_pictures: dict[str, Shown] = field(default_factory=dict)
    doubts: dict[str, float] = field(default_factory=dict)
    found: dict[str, bool] = field(default_factory=dict)
    made: dict[Path, tuple[str, str]] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    class_file: Path | None = None
    readings: tuple[npt.NDArray[np.bool_], ...] = ()
    agreements: tuple[float, ...] = ()
    example: bool = False
    settings: Settings = field(default_factory=Settings)
    cancel: threading.Event = field(default_factory=threading.Event)
    current: str | None = None
    reviewed: str | None = None
    edited: str | None = None
    trail: list[tuple[str, str]] = field(default_factory=list)
    undone: list[tuple[str, str]] = field(default_factory=list)
    touched: float = field(default_factory=time.monotonic)
    _shown: OrderedDict[str, Image] = field(default_factory=OrderedDict)
    _result: tuple[str, results.Result] | None = None

    def add_supports(self, files: Iterable[str | Path]) -> list[str]:
        """Copy and read supports; returns a sentence for each file that was refused."""
        refused = []
        for item in take(files, self.folder / "pictures"):
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
        for item in take(files, self.folder / "pictures"):
            if isinstance(item, LfssError):
                refused.append(str(item))
            else:
                self.queries.append(item)
        return refused

    def register(self, upload: Upload, image: Image | None = None) -> PictureFile:
        """Remember a picture by its digest, with its thumbnail; read it unless ``image`` holds it.

        Raises:
            ImageError: it cannot be read.
        """
        image = image or read_image(upload.path, name=upload.name)
        picture = PictureFile(upload.path, upload.name, image.size, image.digest)
        self.pictures[picture.digest] = picture
        path = self._thumbnails() / f"{picture.digest}.png"
        if not path.exists():
            save_png_atomic(path, shrunk(image.pixels, THUMBNAIL_SIDE))
        return picture

    def picture(self, digest: str) -> PictureFile:
        """The picture of a digest, also one that only the workspace knows.

        Raises:
            WorkspaceError: it is not known, or its file is gone.
        """
        if digest not in self.pictures:
            known = self.workspace.image(digest)
            path = self.workspace.image_path(digest)
            self.pictures[digest] = PictureFile(path, known.name, known.size, digest)
        return self.pictures[digest]

    def shown(self, digest: str) -> Image:
        """The picture at the size of a screen, at most 1024 pixels long; the last few are kept."""
        if digest in self._shown:
            self._shown.move_to_end(digest)
            return self._shown[digest]
        image = self.picture(digest).read()
        small = Image(shrunk(image.pixels).copy(), image.name)
        self._shown[digest] = small
        while len(self._shown) > SHOWN_PICTURES:
            self._shown.popitem(last=False)
        return small

    def shown_supports(self, digests: Sequence[str]) -> list[Shown]:
        """Supports for the page, by digest; those that are not here any more are left out at the end."""
        found = []
        for digest in digests:
            if digest in self.pictures:
                found.append(Shown(self.shown(digest), self.pictures[digest].size))
            elif digest in self.class_pictures:
                found.append(self.class_pictures[digest])
            else:
                break
        return found

    def mark(self, index: int, known: npt.NDArray[np.int8] | None, note: str) -> None:
        """Replace what is known of a support.

        Args:
            index: which one, from 0.
            known: (H, W) int8 at its picture's size; None: nothing.
            note: how it was marked, for people.
        """
        old, path = self.supports[index], None
        if known is not None:
            path = self.folder / f"known-{secrets.token_hex(8)}.npz"
            np.savez_compressed(path, known=known.astype(np.int8))
        self.supports[index] = SupportItem(old.picture, path, note)
        if old.known:
            old.known.unlink(missing_ok=True)
        self.readings = self.agreements = ()

    def keep_result(self, digest: str, result: results.Result, doubt: float) -> None:
        """Write a result to the session's folder."""
        folder = self.folder / "results"
        folder.mkdir(exist_ok=True)
        results.save(result, folder / f"{digest}.npz")
        self.doubts[digest], self.found[digest] = doubt, result.present
        self._result = (digest, result)

    def result(self, digest: str | None) -> results.Result | None:
        """The result of a picture; None if it has not been segmented in this session."""
        if digest is None or digest not in self.doubts:
            return None
        if self._result is None or self._result[0] != digest:
            self._result = (digest, results.load(self.result_path(digest)))
        return self._result[1]

    def small(self, digest: str) -> npt.NDArray[np.uint8]:
        """The picture at the size of a thumbnail, (h, w, 3); decoded in full the first time only."""
        path = self._thumbnails() / f"{digest}.png"
        if not path.exists():
            save_png_atomic(path, shrunk(self.picture(digest).read().pixels, THUMBNAIL_SIDE))
        return read_image(path).pixels

    def thumbnail(self, digest: str, mask: npt.NDArray[np.bool_], version: str) -> Path:
        """A small picture with a mask over it, as a file; written once for each version of the mask."""
        path = self.thumbnail_path(digest, version)
        if not path.exists():
            write_jpeg(path, shown_mask(self.small(digest), mask))
        return path

    def result_thumbnail(self, digest: str) -> Path:
        """A small picture of a result of this session."""
        stamp = str(self.result_path(digest).stat().st_mtime_ns)
        path = self.thumbnail_path(digest, stamp)
        result = None if path.exists() else self.result(digest)
        return path if result is None else self.thumbnail(digest, result.prediction.mask, stamp)

    def thumbnail_path(self, digest: str, version: str) -> Path:
        """Where ``thumbnail`` puts a version; it need not be there yet."""
        key = hashlib.sha256(version.encode()).hexdigest()[:16]
        return self._thumbnails() / f"{digest}-{key}.jpg"

    def _thumbnails(self) -> Path:
        folder = self.folder / "thumbnails"
        folder.mkdir(exist_ok=True)
        return folder

    def result_path(self, digest: str) -> Path:
        """The npz file of a result."""
        return self.folder / "results" / f"{digest}.npz"

    def clear(self) -> None:
        """Forget supports, queries and results; drafts stay."""
        self.supports, self.queries, self.failures = [], [], []
        self.readings = self.agreements = ()
        self.class_file, self.example, self.class_pictures = None, False, {}
        self.label = self.not_words = ""
        self.forget_results()
        self.release()

    def forget_results(self) -> None:
        """Forget what was segmented; drafts stay."""
        self.doubts, self.found, self.made = {}, {}, {}
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
