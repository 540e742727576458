"""What people decide about drafts: states, masks, objects, thresholds; and undo."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..drafts import STATUSES, Draft, Status
from ..errors import UnknownName
from ..objects import carry, numbered
from ..packing import pack_mask, pack_objects, unpack_mask, unpack_objects
from ..scoremap import ScoreMap
from ..storage import categories, history, listing, pictures, thresholds
from ..storage.history import Change, Content
from ._drafts import StoredDrafts


class Decisions(StoredDrafts):
    """What can be changed about drafts, and taken back."""

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
        """Replace a mask by one (H, W) that a person drew; starts a draft where there is none.

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

    def _step(self, digest: str, label: str, *, back: bool) -> Draft | None:
        with self._database.writing() as connection:
            moved = history.step(connection, self._draft_id(connection, digest, label), back=back)
        return self._known_draft(digest, label) if moved else None


def _decide(
    connection: sqlite3.Connection, image_id: int, label_id: int, status: Status, mask: bytes | None
) -> bool:
    """Make a person's change; keeps what is known of the origin. Without a draft, it begins one."""
    now = history.state(connection, history.find(connection, image_id, label_id))
    content = now.content if now else Content(b"", status)
    after = replace(content, status=status, mask=mask or content.mask)
    if content.objects and after.mask != content.mask:
        kept = carry(unpack_objects(content.objects), unpack_mask(after.mask))
        after = replace(after, objects=None if kept is None else pack_objects(kept))
    if now and now.content == after:
        return False
    draft_id = now.draft_id if now else history.begin(connection, image_id, label_id)
    history.record(connection, draft_id, status, after)
    return True
