"""A draft: one mask of one label on one picture, on its way from model to export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from .errors import InputError

Status = Literal["proposed", "edited", "accepted", "rejected", "absent"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class Origin:
    """Who made a draft, so that an export can say so.

    Attributes:
        model: preset and version, for instance ``"mini 0.1.0"``; ``"person"`` for a mask drawn by hand.
        label: the prompt as typed, with synonyms and "not" words.
        threshold: the score from which a pixel belongs to the mask.
        supports: digests of the support pictures, in order.
        settings: further settings that shape the mask, as text.
        method: name of the method, such as ``"lfss"``; empty for masks that no method made.
    """

    model: str = "person"
    label: str = ""
    threshold: float = 0.5
    supports: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    method: str = ""


@dataclass(frozen=True, eq=False)
class Draft:
    """One mask of one label on one picture.

    Attributes:
        image_name: original file name, for people and exports; may repeat between folders.
        image_digest: sha256 of the picture (see ``lfss.images``).
        label: the name the mask goes under in an export.
        mask: (H, W) bool at the picture's upright size. Empty when the object is absent.
        status: ``proposed`` by a model, ``edited`` or ``accepted`` by a person, ``rejected``,
            or ``absent`` (a person says the object is not in the picture).
        score: how sure the model is of this mask, in [0, 1]; None for masks drawn by hand.
        presence: how sure the model is that the object is in the picture, in [0, 1].
        doubt: how doubtful the mask is, in [0, 1]; the order of review. None for masks drawn by hand.
        lost: the share of its own pixels that this label lost to each other label of the run, by name.
        image_path: where the picture lies, for exports that copy or name it.
        origin: who made it.
        objects: (H, W) uint16 numbers from 1 of the objects in the mask, where a person or another tool has
            said which is which; None: each connected part is one (see ``lfss.objects``).

    Raises:
        InputError: the mask is not a two-dimensional bool array, or a field is out of range.
    """

    image_name: str
    image_digest: str
    label: str
    mask: npt.NDArray[np.bool_]
    status: Status = "proposed"
    score: float | None = None
    presence: float | None = None
    doubt: float | None = None
    lost: Mapping[str, float] = field(default_factory=dict)
    image_path: Path | None = None
    origin: Origin = Origin()
    objects: npt.NDArray[np.uint16] | None = None

    def __post_init__(self) -> None:
        mask = np.asarray(self.mask)
        if mask.ndim != 2 or mask.dtype != np.bool_:
            raise InputError(
                f"A draft's mask is a (rows, columns) array of true and false; "
                f"'{self.image_name}' came with {mask.dtype} {mask.shape}."
            )
        if self.objects is not None and self.objects.shape != mask.shape:
            raise InputError(
                f"The numbers of a draft's objects are as large as its mask, {mask.shape}; "
                f"'{self.image_name}' came with {self.objects.shape}."
            )
        if self.status not in STATUSES:
            raise InputError(f"'{self.status}' is no state of a draft. Known: {', '.join(STATUSES)}.")
        for name in ("score", "presence", "doubt"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"A draft's {name} lies between 0 and 1; '{self.image_name}' has {value}.")

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.mask.shape[0], self.mask.shape[1]

    @property
    def empty(self) -> bool:
        """True where an export writes no mask: the object is absent, rejected or unmarked."""
        return self.status in ("absent", "rejected") or not self.mask.any()
