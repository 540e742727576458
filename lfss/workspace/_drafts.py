"""The drafts of a workspace: stored, found and listed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..drafts import Draft, Status
from ..errors import WorkspaceError
from ..labels import label_key
from ..storage import categories, history, listing, packed, pictures
from ..storage.listing import Drafts, Order, Row
from ..storage.packed import PackedDraft, pack_draft
from ..storage.pictures import Stamp
from ._pictures import Pictures


class StoredDrafts(Pictures):
    """What can be done with drafts that no person changes meanwhile."""

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
        """The same drafts without their masks, for lists.

        Args:
            label, status: one, several, or None for all.
            order: see ``drafts``.
            limit: how many at most; None: all.
            offset: how many to pass over.
        """
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
