"""What the model answers to marks on a draft: the mask as it would have it, for a person to keep or drop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lfss.errors import InputError, SupportError
from lfss.labels import Label, parse_label

from .classes import ClassItem
from .drawing import DRAFT
from .run import key_of, label_of, prepare
from .service import Service
from .sessions import Sessions

if TYPE_CHECKING:
    from lfss.prepared import Prepared

Point = tuple[float, float, bool]


def answer(
    service: Service,
    sessions: Sessions,
    key: str,
    name: str,
    points: Sequence[Point],
    drawn: npt.NDArray[np.int8],
) -> npt.NDArray[np.bool_]:
    """The mask of a draft that the model proposes.

    Args:
        service: owns the model.
        sessions: of all visitors.
        key: of the session.
        name: the key of the canvas's task.
        points: see ``lfss.asking.Marks.from_points``.
        drawn: (h, w) the mask so far at the size that is shown: 1 is object.

    Returns:
        (h, w) bool. Nothing is stored.

    Raises:
        InputError: the draft is gone, or the mask has another size than its picture.
        LfssError: there is no model, or nothing to compare with.
    """
    from lfss.asking import Marks

    kind, _, rest = name.partition(":")
    digest, _, text = rest.partition(":")
    session = sessions.get(key)
    if kind != DRAFT or not session.workspace.has_draft(digest, text):
        raise InputError("What was marked is not there any more. Choose the picture again.")
    image = session.shown(digest)
    if drawn.shape != image.size:
        raise InputError("The mask has another size than its picture. Reload the page.")
    label, prepared = _class_of(service, session.classes.named(text), text)
    return service.ask(label, prepared, image, Marks.from_points(drawn == 1, points))


def _class_of(service: Service, item: ClassItem | None, text: str) -> tuple[Label, Prepared | None]:
    """The label of a draft and its class; None where no support of it is in use, or none can be used."""
    if item is None or not (item.supports or item.class_file):
        return parse_label(text), None
    try:
        prepared = service.remembered(key_of(service, item)) or prepare(service, item)
    except SupportError:  # for instance an unknown word whose supports have no marks
        return label_of(item), None
    return prepared.label, prepared
