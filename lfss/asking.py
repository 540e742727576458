"""A picture asked again, with points and strokes of a person and the mask so far.

The query is made a support of itself: its marks are what the person drew, and the supports of the class
stand beside it. What the method then finds is combined with the mask so far only where the person pointed, so
that an answer never changes a part of the mask that nobody asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .encoding import Encoded
from .errors import InputError
from .images import Image
from .labels import Label
from .predictor import Predictor
from .prepared import Prepared
from .reasoning import SCORE
from .support import Support

RADIUS = 0.015  # of a mark, as a share of the picture's longer side
LEVEL = 0.5  # score from which a pixel belongs to the object, where the marks do not say otherwise
BESIDE = (
    0.2  # how far the level keeps from marks that are on the wrong side of LEVEL; chosen on training pictures
)

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Point = tuple[float, float, bool]


@dataclass(frozen=True, eq=False)
class Marks:
    """What a person says of a query.

    Attributes:
        drawn: (H, W) the mask so far.
        inside, outside: (H, W) what was pointed at as object, and as not object.
    """

    drawn: Mask
    inside: Mask
    outside: Mask

    @classmethod
    def from_points(cls, drawn: Mask, points: Sequence[Point]) -> Marks:
        """Marks around points.

        Args:
            drawn: (H, W) the mask so far.
            points: x and y as shares of width and height in [0, 1], and whether the object is there. Of two
                that contradict each other the later one counts.
        """
        height, width = drawn.shape
        radius = max(1, round(RADIUS * max(height, width)))
        said = np.zeros(drawn.shape, np.uint8)
        for x, y, inside in points:
            at = min(width - 1, int(x * width)), min(height - 1, int(y * height))
            cv2.circle(said, at, radius, 1 if inside else 2, -1)
        return cls(drawn, said == 1, said == 2)

    @property
    def known(self) -> npt.NDArray[np.int8]:
        """(H, W) as ``Support.known``: the marks, and the mask so far unless a mark says that it is wrong."""
        known = np.full(self.drawn.shape, -1, np.int8)
        if not (self.outside & self.drawn).any():
            known[self.drawn] = 1
        known[self.inside], known[self.outside] = 1, 0
        return known


def ask(
    predictor: Predictor, prepared: Prepared | None, label: Label, query: tuple[Image, Encoded], marks: Marks
) -> Mask:
    """The mask that a method proposes after a person has marked something on the query.

    Args:
        predictor: the model.
        prepared: the class with its supports; None where it has none.
        label: of the class.
        query: the picture, of the size of the marks, and its encoding.
        marks: at least one point.

    Returns:
        (H, W) bool, see ``combine``.

    Raises:
        InputError: nothing is marked, or no mark shows the object and the class has no supports.
    """
    image, encoded = query
    known = marks.known
    if not (marks.inside.any() or marks.outside.any()):
        raise InputError("Point at the object first, or at what is not the object.")
    if (known == 1).any():
        kept = {image.digest: encoded}
        own = predictor.prepare_classes([(label, [Support(image, known)])], kept=kept)[0]
        prepared = own if prepared is None else own.joined_with(prepared)
        prepared = predictor.refreshed(prepared)
    if prepared is None:
        raise InputError("Point at the object first: this label has no supports to compare with.")
    stages = predictor.iterate(prepared, query, assume_present=True)
    score = next(stage.query for stage in stages if stage.key == SCORE.key)
    assert score is not None
    return combine(marks, np.asarray(score, np.float32))


def combine(marks: Marks, score: Floats) -> Mask:
    """The mask so far, changed where a person pointed.

    Added are the connected parts of what was found beyond the mask so far that touch a mark on the object;
    taken away are those of the mask so far that were not found and touch a mark beside the object. The marks
    themselves always count.

    Args:
        marks: (H, W) each.
        score: (H, W) in [0, 1].
    """
    found = score >= level_for(marks, score)
    added = touched((found & ~marks.drawn & ~marks.outside) | marks.inside, marks.inside)
    taken = touched(marks.drawn & (~found | marks.outside), marks.outside)
    return ((marks.drawn & ~taken) | added) & ~marks.outside | marks.inside


def level_for(marks: Marks, score: Floats) -> float:
    """The score from which a pixel counts as found: ``LEVEL``, where the marks lie on the right sides of it.

    Elsewhere it lies beside the score of the marks that ``LEVEL`` would miss, so that what resembles them
    changes with them and little else does. Where nothing is marked on a side, the mask so far stands in.
    """
    low = _middle(score, marks.outside if marks.outside.any() else ~marks.drawn, 0.0)
    high = _middle(score, marks.inside if marks.inside.any() else marks.drawn, 1.0)
    if low < LEVEL <= high or low >= high:
        return LEVEL
    return low + BESIDE * (high - low) if low >= LEVEL else high - BESIDE * (high - low)


def _middle(score: Floats, where: Mask, otherwise: float) -> float:
    return float(np.median(score[where])) if where.any() else otherwise


def touched(mask: Mask, marks: Mask) -> Mask:
    """(H, W) the connected parts (8 neighbours) of a mask that some marks, (H, W), touch."""
    _, parts = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    numbers = np.unique(parts[marks & mask])
    return np.isin(parts, numbers[numbers > 0])
