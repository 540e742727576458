"""A workspace: pictures, labels, supports and drafts in one folder, where nothing is lost.

What a method has returned from is on the disk: killing the program, or a power cut, takes at most
the one change under way. Two programs may use a workspace at once; the later change of a draft wins
and the earlier one stays in its history. All methods may be called from any thread.

    workspace = Workspace.open(folder)
    workspace.put_draft(draft, prediction.score)
    workspace.set_status(draft.image_digest, "dog", "accepted")
    coco.write(workspace.drafts(status="accepted"), out)
"""

from __future__ import annotations

import os
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from .drafts import STATUSES, Draft, Status
from .errors import UnknownName, WorkspaceError
from .images import Image, read_image
from .labels import Label, label_key
from .objects import carry, numbered
from .packing import pack_mask, pack_objects, unpack_mask, unpack_objects
from .scoremap import ScoreMap
from .storage import (
    categories,
    failures,
    history,
    integrity,
    listing,
    packed,
    pictures,
    supports,
    thresholds,
)
from .storage.categories import CLASSES, Category
from .storage.database import BUSY_SECONDS, Database
from .storage.history import Change, Content
from .storage.listing import Drafts, Order, Row, Stats
from .storage.packed import PackedDraft, pack_draft
from .storage.pictures import Picture, Stamp
from .storage.supports import KeptSupport

DATABASE_NAME = "workspace.sqlite"
_PAGE = 256  # pictures that are listed in one transaction


class Workspace:
    """A folder with one database. Make it with ``Workspace.open``."""

    def __init__(self, folder: Path, database: Database):
        self.folder, self._database = folder, database

    @classmethod
    def open(
        cls, folder: str | os.PathLike[str], *, create: bool = True, busy_seconds: float = BUSY_SECONDS
    ) -> Self:
        """Open a workspace; an older one is brought up to date, its content unchanged.

        One that cannot be written, as on a read-only disk, can be read where ``create`` is False.

        Args:
            folder: on a disk of this machine, since network folders cannot be shared safely.
            create: make the folder and the workspace if they are not there.
            busy_seconds: how long a change waits for another program that is writing.

        Raises:
            WorkspaceError: not there, not writable, locked, damaged, of a newer version of this
                program, or not a workspace.
        """
        path = pictures.absolute(Path(folder))
        if create:
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise WorkspaceError(
                    f"The folder '{path}' cannot be made ({error.strerror}). Choose a folder of your own."
                ) from error
        return cls(path, Database(path / DATABASE_NAME, create=create, busy_seconds=busy_seconds))

    def close(self) -> None:
        """Close the file. Nothing depends on it but tidiness; later calls raise WorkspaceError."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Pictures

    def add_image(self, source: Image | str | os.PathLike[str], *, keep: bool = False) -> Picture:
        """Add a picture, or note a further file in which a known one lies.

        Args:
            source: a picture that was read, or the path of one.
            keep: also keep a copy in the workspace, for files that will not stay, such as uploads.

        Raises:
            ImageError: the file is not a readable picture.
            WorkspaceError: the copy cannot be written.
        """
        path = source.path if isinstance(source, Image) else Path(source)
        stamp = pictures.stamp_of(path) if path else None
        image = source if isinstance(source, Image) else read_image(source)
        if keep:
            path = pictures.keep(self.folder, image)
            stamp = pictures.stamp_of(path)
        with self._database.writing() as connection:
            image_id = pictures.add(connection, digest=image.digest, name=image.name, size=image.size)
            if path and stamp:
                pictures.note_file(connection, self.folder, image_id, path, stamp)
        return self.image(image.digest)

    def image(self, digest: str) -> Picture:
        """The picture of a digest; raises WorkspaceError if it is not known."""
        with self._database.reading() as connection:
            return pictures.get(connection, self.folder, digest)

    def has_image(self, digest: str) -> bool:
        """Whether a picture is known."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT 1 FROM images WHERE digest=?", (digest,)).fetchone()
        return row is not None

    def images(self) -> Iterator[Picture]:
        """All pictures in the order in which they were added, read a few at a time."""
        after = 0
        while True:
            with self._database.reading() as connection:
                page = list(pictures.page(connection, self.folder, after=after, count=_PAGE))
            if not page:
                return
            after = page[-1][0]
            yield from (picture for _, picture in page)

    def find_image(self, path: str | os.PathLike[str]) -> Picture | None:
        """The picture that a file holds, told by path, size and time; None if it must be read."""
        with self._database.reading() as connection:
            image_id = pictures.find_by_file(connection, self.folder, Path(path))
            if image_id is None:
                return None
            return next(pictures.page(connection, self.folder, after=image_id - 1, count=1))[1]

    def image_path(self, digest: str) -> Path:
        """A file that holds the picture today.

        Raises:
            WorkspaceError: the picture came without a file, its file has been moved, or the file holds
                another picture now.
        """
        with self._database.reading() as connection:
            name = pictures.get(connection, self.folder, digest).name
            files = pictures.files_of(connection, self.folder, digest)
        path, stamp = pictures.locate(digest, name, files)
        if stamp is not None and not self._database.read_only:
            with self._database.writing() as connection:
                pictures.note_file(connection, self.folder, pictures.number(connection, digest), path, stamp)
        return path

    def check_files(self) -> Iterator[str]:
        """One sentence for each picture whose file has been moved or changed."""
        for picture in self.images():
            if picture.path is not None:
                try:
                    self.image_path(picture.digest)
                except WorkspaceError as error:
                    yield str(error)

    # Labels

    def add_label(
        self, label: Label | str, *, colour: str | None = None, priority: int | None = None
    ) -> Category:
        """Add a label; without a colour or priority it gets a free colour and lies on top.

        Raises:
            WorkspaceError: its name or colour is taken.
            InputError: the colour is not one, or the name is empty.
        """
        with self._database.writing() as connection:
            return categories.add(connection, _label(label), colour=colour, priority=priority)

    def labels(self) -> list[Category]:
        """All labels, the topmost last, which is the order that exports ask for."""
        with self._database.reading() as connection:
            return categories.list_labels(connection)

    def rename_label(self, old: str, new: str) -> None:
        """Rename a label; its drafts and supports follow. Synonyms stay.

        Raises:
            WorkspaceError: another label has that name.
            UnknownName: there is no label of the old name.
        """
        with self._database.writing() as connection:
            found = {label_key(c.name): c.label for c in categories.list_labels(connection)}
            label = found.get(label_key(old), Label(old))
            categories.change(connection, old, label=replace(label, text=new))

    def put_class(
        self,
        label: Label,
        marks: Mapping[str, npt.NDArray[np.int8] | None],
        *,
        method: str,
        preset: str,
        settings: Mapping[str, str] | None = None,
        class_file: str | os.PathLike[str] | None = None,
    ) -> None:
        """Keep all that a label is searched for with, so that anybody can go on with it.

        A label that is there keeps its spelling and colour; its words and supports become these.

        Args:
            label: with its synonyms and "not" words.
            marks: the digest of each support, in order, with what is known of it as in ``add_support``.
            method, preset: what searches for it.
            settings: what else shapes its masks, as text.
            class_file: a saved class that stands in for the supports; the workspace keeps a copy.

        Raises:
            SupportError: marks do not fit their picture.
            WorkspaceError: a support is not in the workspace, or the copy cannot be written.
        """
        packed_marks = {d: supports.pack(known, self.image(d).size) for d, known in marks.items()}
        name = None if class_file is None else pictures.keep_copy(Path(class_file), self.folder / CLASSES)
        with self._database.writing() as connection:
            about = {"method": method, "preset": preset, "settings": settings or {}, "class_file": name}
            label_id = categories.put_class(connection, label, **about)  # type: ignore[arg-type]
            connection.execute("DELETE FROM supports WHERE label_id=?", (label_id,))
            for digest, known in packed_marks.items():
                supports.put(connection, label.text, digest, known)

    def class_file(self, label: str) -> Path | None:
        """The saved class of a label; None if it has none, or is not there."""
        key = label_key(label)
        found = next((c.class_file for c in self.labels() if label_key(c.name) == key), None)
        return None if found is None else self.folder / CLASSES / found

    # Supports

    def add_support(self, label: str, digest: str, known: npt.NDArray[np.int8] | None = None) -> None:
        """Use a picture as a support of a label, or replace what is known of it.

        Args:
            known: (H, W) int8; 1 the object, 0 not the object, -1 unknown. None: nothing is known.

        Raises:
            SupportError: ``known`` does not fit the picture, or holds other values.
            WorkspaceError: the picture is not in the workspace.
        """
        trimap = supports.pack(known, self.image(digest).size)
        with self._database.writing() as connection:
            supports.put(connection, label, digest, trimap)

    def supports(self, label: str) -> list[KeptSupport]:
        """The supports of a label in the order in which they were added."""
        with self._database.reading() as connection:
            return supports.list_supports(connection, self.folder, label)

    # Drafts

    def put_draft(
        self,
        draft: Draft,
        scores: npt.NDArray[np.floating] | None = None,
        *,
        overwrite: bool = True,
        stamp: Stamp | None = None,
    ) -> bool:
        """Store a draft, and with it the picture, the file and the label if they are new.

        A proposal of a model never replaces what a person has made or decided. What is replaced stays
        in the history.

        Args:
            scores: (h, w) in [0, 1], of any size: the map that the mask was cut from. It is kept in
                a few kilobytes, so that a new threshold needs no model.
            overwrite: False leaves any draft that is there as it is.
            stamp: what the file looked like when it was read; as it is now if not given.

        Returns:
            Whether it was stored.

        Raises:
            InputError: the mask has another size than the picture.
        """
        return self.put_packed([pack_draft(draft, scores, stamp=stamp)], overwrite=overwrite)[0]

    def put_packed(self, drafts: Sequence[PackedDraft], *, overwrite: bool = True) -> list[bool]:
        """Store drafts that were packed elsewhere, for instance on another machine; all or none.

        Returns:
            For each whether it was stored, see ``put_draft``.
        """
        with self._database.writing() as connection:
            return [packed.put(connection, self.folder, draft, overwrite=overwrite) for draft in drafts]

    def status(self, digest: str, label: str) -> Status | None:
        """The state of the draft of a label on a picture; None if there is none."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT r.status FROM drafts d JOIN revisions r ON r.id = d.revision_id"
                " JOIN images i ON i.id = d.image_id JOIN labels l ON l.id = d.label_id"
                " WHERE i.digest=? AND l.key=?",
                (digest, label_key(label)),
            ).fetchone()
        return None if row is None else row[0]

    def has_draft(self, digest: str, label: str) -> bool:
        """Whether a picture has a draft of a label, in whatever state."""
        return self.status(digest, label) is not None

    def draft(self, digest: str, label: str) -> Draft | None:
        """The draft of a label on a picture; None if there is none."""
        with self._database.reading() as connection:
            found = listing.ids(connection, label=label, status=None, order="added", digest=digest)
        return Drafts(self._database, self.folder, found)[0] if found else None

    def drafts(
        self,
        label: str | Sequence[str] | None = None,
        status: Status | Sequence[Status] | None = None,
        *,
        order: Order = "added",
    ) -> Drafts:
        """Drafts of one or several labels and states, read one by one as they are asked for.

        Args:
            order: ``added``: pictures as they were added, in each the top label last; ``name``: by file
                name; ``label``: one label after the other, the topmost last; ``doubt``: the most
                doubtful first, and what has no doubt before it.
        """
        with self._database.reading() as connection:
            found = listing.ids(connection, label=label, status=status, order=order)
        return Drafts(self._database, self.folder, found)

    def overview(
        self,
        label: str | Sequence[str] | None = None,
        status: Status | Sequence[Status] | None = None,
        *,
        order: Order = "added",
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Row]:
        """The same drafts without their masks, for lists: from the ``offset``-th, at most ``limit``."""
        with self._database.reading() as connection:
            return listing.rows(
                connection,
                self.folder,
                label=label,
                status=status,
                order=order,
                limit=limit,
                offset=offset,
            )

    def set_status(self, digests: str | Iterable[str], label: str, status: Status) -> int:
        """Accept, reject or otherwise decide drafts; either all change or none.

        ``absent`` says that the object is not in the picture. It empties the mask, which ``undo`` brings
        back, and may be said of a picture that has no draft yet.

        Returns:
            How many drafts changed.

        Raises:
            WorkspaceError: a picture has no draft of this label.
        """
        if status not in STATUSES:
            raise UnknownName("state", status, STATUSES)
        changed = 0
        with self._database.writing() as connection:
            label_id = categories.number(connection, label)
            for digest in [digests] if isinstance(digests, str) else digests:
                picture = pictures.get(connection, self.folder, digest)
                if status != "absent":
                    self._draft_id(connection, digest, label)  # a sentence if there is none
                mask = pack_mask(np.zeros(picture.size, np.bool_)) if status == "absent" else None
                changed += _decide(connection, pictures.number(connection, digest), label_id, status, mask)
        return changed

    def edit_mask(self, digest: str, label: str, mask: npt.NDArray[np.bool_]) -> Draft:
        """Replace a mask by one that a person drew; starts a draft where there is none.

        Raises:
            InputError: the mask is not bool, or has another size than the picture.
        """
        picture = self.image(digest)
        Draft(picture.name, digest, label, mask)  # checks the mask
        drawn = pack_mask(mask)
        with self._database.writing() as connection:
            image_id = pictures.add(connection, digest=digest, name=picture.name, size=mask.shape)
            _decide(connection, image_id, categories.number(connection, label), "edited", drawn)
        return self._known_draft(digest, label)

    def set_objects(self, digest: str, label: str, objects: npt.NDArray[np.uint16] | None) -> Draft:
        """Say which pixels of a draft are which object; the mask stays. A proposal becomes edited.

        Args:
            objects: (H, W) numbers from 1, from ``lfss.objects``; None: each connected part is one.

        Raises:
            InputError: the numbers have another size than the mask.
            WorkspaceError: the picture has no draft of this label.
        """
        draft = self._known_draft(digest, label)
        packed = None
        if objects is not None:
            packed = pack_objects(numbered(replace(draft, objects=objects).mask, objects))
        with self._database.writing() as connection:
            now = history.state(connection, self._draft_id(connection, digest, label))
            assert now is not None
            status = "edited" if now.content.status == "proposed" else now.content.status
            after = replace(now.content, objects=packed, status=status)
            if after != now.content:
                history.record(connection, now.draft_id, "objects", after)
        return self._known_draft(digest, label)

    def rethreshold(
        self,
        label: str,
        threshold: float,
        *,
        presence: float | None = None,
        digests: Iterable[str] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Cut the proposals of a label at another threshold, without the model.

        Only drafts that are still ``proposed`` change, and only those with a score map. At the model's
        own threshold each gets the model's own mask back, bit for bit.

        Args:
            threshold: the score from which a pixel belongs to the mask, in [0, 1].
            presence: how sure the model must be that the object is there; below it the mask is empty.
                None: as the model decided.
            digests: only these pictures.
            on_progress: called with (done, total) after every few drafts.

        Returns:
            How many drafts changed.

        Raises:
            InputError: the threshold is not between 0 and 1.
        """
        with self._database.reading() as connection:
            wanted = [None] if digests is None else digests
            ids = array("q")
            for digest in wanted:
                ids += listing.ids(connection, label=label, status="proposed", order="added", digest=digest)
        return thresholds.change(self._database, ids, threshold, presence=presence, on_progress=on_progress)

    def score_map(self, digest: str, label: str, *, without: str | None = None) -> ScoreMap | None:
        """What the model said of a draft last, as it is kept; None for a mask that no model made.

        Args:
            without: pass over what was said with this setting in its origin.
        """
        with self._database.reading() as connection:
            return thresholds.score_map(connection, self._draft_id(connection, digest, label), without)

    def undo(self, digest: str, label: str) -> Draft | None:
        """Take back the last change of a draft; None if there is nothing to take back."""
        return self._step(digest, label, back=True)

    def redo(self, digest: str, label: str) -> Draft | None:
        """Do again what was taken back; None if there is nothing, or a new change came since."""
        return self._step(digest, label, back=False)

    def history(self, digest: str, label: str) -> list[Change]:
        """The changes of a draft, the oldest first; at most 100, and 4 MB of packed masks."""
        with self._database.reading() as connection:
            return history.changes(connection, self._draft_id(connection, digest, label))

    # Batches

    def record_failure(self, label: str, path: str | os.PathLike[str], message: str) -> None:
        """Note why a file could not be segmented, until a draft of it is stored."""
        with self._database.writing() as connection:
            failures.put(connection, self.folder, label, Path(path), message)

    def failures(self, label: str) -> list[tuple[Path, str]]:
        """Files that could not be segmented, each with the reason."""
        with self._database.reading() as connection:
            return failures.list_failures(connection, self.folder, label)

    # Upkeep

    def stats(self) -> Stats:
        """How much the workspace holds."""
        size = sum(file.stat().st_size for file in self.folder.glob(f"{DATABASE_NAME}*"))
        with self._database.reading() as connection:
            return listing.stats(connection, size=size)

    def check(self) -> list[str]:
        """Read everything and say what is wrong, one sentence each; empty if the workspace is whole."""
        found: list[str] = []
        try:
            for line in integrity.problems(self._database):
                found.append(line)
        except WorkspaceError as error:  # too damaged to read on
            found.append(str(error))
        return found

    def _draft_id(self, connection: sqlite3.Connection, digest: str, label: str) -> int:
        image_id, label_id = pictures.number(connection, digest), categories.number(connection, label)
        draft_id = history.find(connection, image_id, label_id)
        if draft_id is None:
            name = pictures.get(connection, self.folder, digest).name
            raise WorkspaceError(
                f"The picture '{name}' has no draft of '{label}' yet. Segment or draw it first."
            )
        return draft_id

    def _known_draft(self, digest: str, label: str) -> Draft:
        with self._database.reading() as connection:
            return Drafts(self._database, self.folder, [self._draft_id(connection, digest, label)])[0]

    def _step(self, digest: str, label: str, *, back: bool) -> Draft | None:
        with self._database.writing() as connection:
            moved = history.step(connection, self._draft_id(connection, digest, label), back=back)
        return self._known_draft(digest, label) if moved else None


def _decide(
    connection: sqlite3.Connection, image_id: int, label_id: int, status: Status, mask: bytes | None
) -> bool:
    """Make a person's change; keeps what is known of the origin. Without a draft, it begins one."""
    now = history.state(connection, history.find(connection, image_id, label_id))
    content = now.content if now else Content(mask or b"", status)
    after = replace(content, status=status, mask=mask or content.mask)
    if content.objects and after.mask != content.mask:
        kept = carry(unpack_objects(content.objects), unpack_mask(after.mask))
        after = replace(after, objects=None if kept is None else pack_objects(kept))
    if now and now.content == after:
        return False
    draft_id = now.draft_id if now else history.begin(connection, image_id, label_id)
    history.record(connection, draft_id, status, after)
    return True


def _label(label: Label | str) -> Label:
    return Label(label) if isinstance(label, str) else label
