"""What a folder pass would change, small enough to show: a count, and the biggest changes."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from .refine_folder import Change

SHOWN, GLIMPSE_SIDE = 10, 512


class Glimpse(NamedTuple):
    """A change to look at: masks before and after, (h, w) bool and at most 512 cells long."""

    digest: str
    name: str
    label: str
    before: npt.NDArray[np.bool_]
    after: npt.NDArray[np.bool_]
    overlap: float


@dataclass(frozen=True, eq=False)
class Preview:
    """What a pass would do: how many drafts it changes, and the changes with the least overlap."""

    changed: int
    biggest: tuple[Glimpse, ...]


class Previewing:
    """Counts changes as they come and keeps a glimpse of the ten biggest."""

    def __init__(self) -> None:
        self._biggest: list[tuple[float, int, Glimpse]] = []
        self._changed = 0

    def add(self, found: Iterable[Change]) -> None:
        """The changes of a picture."""
        for change in found:
            self._changed += 1
            item = (1 - change.overlap, -self._changed, _glimpse(change))
            (heapq.heappush if len(self._biggest) < SHOWN else heapq.heappushpop)(self._biggest, item)

    def preview(self) -> Preview:
        """Of all that were added."""
        return Preview(self._changed, tuple(glimpse for _, _, glimpse in sorted(self._biggest, reverse=True)))


def preview(found: Iterable[Sequence[Change]]) -> Preview:
    """Count the changes and keep a glimpse of the ten biggest."""
    made = Previewing()
    for of_picture in found:
        made.add(of_picture)
    return made.preview()


def _glimpse(change: Change) -> Glimpse:
    height, width = change.before.shape
    scale = min(1.0, GLIMPSE_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    before, after = (
        cv2.resize(mask.view(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(np.bool_)
        for mask in (change.before, change.draft.mask)
    )
    draft = change.draft
    return Glimpse(draft.image_digest, draft.image_name, draft.label, before, after, change.overlap)
