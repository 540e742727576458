"""What a session is made of: pictures and supports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lfss.images import Image, read_image

from .memory import opened


@dataclass(frozen=True)
class PictureFile:
    """A picture of this session: its file, its name for people, (H, W), and the digest of its pixels."""

    path: Path
    name: str
    size: tuple[int, int]
    digest: str

    def read(self) -> Image:
        """Decode it, where memory for it is held already."""
        return read_image(self.path, name=self.name)

    @contextmanager
    def opened(self) -> Iterator[Image]:
        """The picture, decoded for as long as the block runs."""
        with opened(self.path, self.name) as image:
            assert image is not None
            yield image


class ScreenPicture(NamedTuple):
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


class MarkedPicture(NamedTuple):
    """A support as it names a class: its picture, not decoded, and its marks."""

    image: PictureFile
    known: npt.NDArray[np.int8] | None
