"""A support: a picture that shows the object, what a person marked in it, and what that says of each cell."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .errors import SupportError
from .images import Image


@dataclass(frozen=True, eq=False)
class Support:
    """A picture that shows the object, and what a person marked in it.

    Attributes:
        image: the picture.
        known: (H, W) int8 at the picture's size: 1 object, 0 not object, -1 unknown. None: nothing is
            marked, the label alone speaks.

    Raises:
        SupportError: the marks do not fit the picture, or mark nothing.
    """

    image: Image
    known: npt.NDArray[np.int8] | None = None

    def __post_init__(self) -> None:
        if self.known is None:
            return
        if self.known.shape != self.image.size:
            raise SupportError(
                f"The marks for '{self.image.name}' are {self.known.shape}, the picture is "
                f"{self.image.size} (rows, columns). Make them at the picture's own size."
            )
        if not (self.known == 1).any() and not ((self.known == 0).any() and (self.known == -1).any()):
            raise SupportError(
                f"The marks for '{self.image.name}' show no object. Mark some of it, or give the label only."
            )

    @classmethod
    def from_mask(cls, image: Image, mask: npt.NDArray[np.bool_]) -> Support:
        """Every pixel is known. ``mask`` (H, W) bool."""
        return cls(image, np.asarray(mask, bool).astype(np.int8))

    @classmethod
    def from_box(cls, image: Image, box: tuple[float, float, float, float]) -> Support:
        """The object lies inside ``(x0, y0, x1, y1)``, in pixels; outside is not object.

        Raises:
            SupportError: the box has no area inside the picture.
        """
        height, width = image.size
        x0, x1 = (round(min(max(v, 0), width)) for v in (min(box[0], box[2]), max(box[0], box[2])))
        y0, y1 = (round(min(max(v, 0), height)) for v in (min(box[1], box[3]), max(box[1], box[3])))
        if x0 >= x1 or y0 >= y1:
            raise SupportError(
                f"The box {tuple(box)} has no area inside '{image.name}' ({width} x {height} pixels). "
                "Give x0,y0,x1,y1 in pixels."
            )
        known = np.zeros(image.size, np.int8)
        known[y0:y1, x0:x1] = -1
        if not (known == 0).any():  # a box around everything says nothing about the background
            return cls(image)
        return cls(image, known)

    @classmethod
    def from_scribbles(
        cls, image: Image, object: npt.NDArray[np.bool_], background: npt.NDArray[np.bool_] | None = None
    ) -> Support:
        """Strokes on the object and, optionally, on the background; the rest is unknown. (H, W) bool."""
        known = np.where(np.asarray(object, bool), 1, -1).astype(np.int8)
        if background is not None:
            known[np.asarray(background, bool)] = 0
        return cls(image, known)


def shares_of_cells(
    known: npt.NDArray[np.int8] | None, cells: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Share of each cell that is known to be object, and share that is not known.

    Args:
        known: (H, W) int8 as in ``Support``, or None.
        cells: rows and columns of the result.

    Returns:
        Two (h, w) float32 in [0, 1]; what is left to 1 is known background.
    """
    if known is None:
        return np.zeros(cells, np.float32), np.ones(cells, np.float32)
    size = (cells[1], cells[0])
    shares = [
        cv2.resize((known == value).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        for value in (1, 0)
    ]
    if not (known == -1).any():
        return shares[0], np.zeros(cells, np.float32)
    # A stroke is thinner than a cell: a cell it crosses is known by what the stroke says.
    total = shares[0] + shares[1]
    touched = total > 0.05
    obj = np.where(touched, shares[0] / np.maximum(total, 1e-6), 0.0).astype(np.float32)
    box_like = (known == 1).sum() == 0
    if box_like:  # a border cell of a box is partly unknown, not background
        unknown = np.where(total > 0.5, 0.0, 1.0).astype(np.float32)
        return np.zeros(cells, np.float32), unknown
    return obj, (~touched).astype(np.float32)
