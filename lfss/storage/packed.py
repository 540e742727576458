"""A draft as the file holds it, made where the processor time is and stored where the file is."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..drafts import Draft
from ..packing import pack_mask, pack_objects, unpack_mask, unpack_objects
from ..scoremap import keep_scores
from . import categories, failures, history, pictures
from .history import Content
from .pictures import Stamp


@dataclass(frozen=True)
class PackedDraft:
    """A draft in a few kilobytes, which another process may make.

    Attributes:
        digest, name: of the picture.
        size: (H, W) in pixels.
        label: its name.
        area: share of the picture that the mask covers, in [0, 1].
        content: what the draft shows, masks packed.
        path: the picture's file.
        stamp: what that file looked like when it was read.
    """

    digest: str
    name: str
    size: tuple[int, int]
    label: str
    area: float
    content: Content
    path: Path | None = None
    stamp: Stamp | None = None

    def unpack(self) -> Draft:
        """The draft that was packed."""
        content = self.content
        return Draft(
            image_name=self.name,
            image_digest=self.digest,
            label=self.label,
            mask=unpack_mask(content.mask),
            status=content.status,
            score=content.score,
            presence=content.presence,
            doubt=content.doubt,
            lost=content.lost,
            image_path=self.path,
            origin=content.origin,
            objects=None if content.objects is None else unpack_objects(content.objects),
        )


def pack_draft(
    draft: Draft, scores: npt.NDArray[np.floating] | None = None, *, stamp: Stamp | None = None
) -> PackedDraft:
    """Pack a draft and the (h, w) score map it was cut from; see ``Workspace.put_draft``."""
    path, doubt, run = draft.image_path, draft.doubt, None
    if doubt is None and draft.score is not None:
        doubt = 1 - draft.score
    if scores is not None:
        threshold = draft.origin.threshold
        run = keep_scores(draft.mask, scores, threshold=threshold, score=draft.score, doubt=doubt)
    mask = run.mask if run else pack_mask(draft.mask)
    objects = None if draft.objects is None else pack_objects(draft.objects)
    return PackedDraft(
        digest=draft.image_digest,
        name=draft.image_name,
        size=draft.size,
        label=draft.label,
        area=float(draft.mask.mean()),
        content=Content(
            mask,
            draft.status,
            draft.score,
            draft.presence,
            doubt,
            dict(draft.lost),
            draft.origin,
            run,
            objects,
        ),
        path=path,
        stamp=stamp or (pictures.stamp_of(path) if path else None),
    )


def put(connection: sqlite3.Connection, folder: Path, draft: PackedDraft, *, overwrite: bool) -> bool:
    """Store a draft, its picture, file and label; see ``Workspace.put_draft``.

    Args:
        connection: inside a transaction of the workspace.
        folder: the workspace.
        draft: packed.
        overwrite: False leaves any draft that is there as it is.

    Raises:
        InputError: the mask has another size than the picture.
    """
    image_id = pictures.add(connection, digest=draft.digest, name=draft.name, size=draft.size)
    label_id = categories.number_or_add(connection, draft.label)
    if draft.path and draft.stamp:
        pictures.note_file(connection, folder, image_id, draft.path, draft.stamp)
        failures.clear(connection, folder, label_id, draft.path)
    now = history.state(connection, history.find(connection, image_id, label_id))
    proposed = draft.content.status == "proposed"
    if now and (not overwrite or (proposed and now.content.status != "proposed")):
        return False
    if now and _same(now.content, draft.content):
        return True
    draft_id = now.draft_id if now else history.begin(connection, image_id, label_id)
    history.record(connection, draft_id, draft.content.status, draft.content)
    return True


def _same(kept: Content, new: Content) -> bool:
    """Whether storing anew would only lengthen the history."""
    if new.run is not None and kept.run is None:
        return False
    return replace(kept, run=None) == replace(new, run=None)
