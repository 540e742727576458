"""The supports of a label: pictures, and what a person has said of their pixels."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import SupportError
from ..packing import pack_marks, unpack_marks
from . import categories, pictures
from .pictures import Picture


@dataclass(frozen=True, eq=False)
class KeptSupport:
    """A support as a workspace keeps it.

    Attributes:
        picture: the picture and the file in which it was seen last.
        known: (H, W) int8; 1 the object, 0 not the object, -1 unknown.
    """

    picture: Picture
    known: npt.NDArray[np.int8]


def pack(known: npt.NDArray[np.int8] | None, size: tuple[int, int]) -> bytes:
    """What is known of a picture, (H, W) int8, checked and packed; None: nothing is known.

    Raises:
        SupportError: it does not fit the picture, or holds other values than -1, 0 and 1.
    """
    known = np.full(size, -1, np.int8) if known is None else known
    if known.shape != size or not np.isin(known, (-1, 0, 1)).all():
        raise SupportError(
            f"What is known of a support is one value of -1, 0, 1 for each of its {size[0]} x {size[1]} "
            f"pixels (rows x columns); this is {known.shape}. Draw it on the picture itself."
        )
    return pack_marks(known)


def put(connection: sqlite3.Connection, label: str, digest: str, packed: bytes) -> None:
    """Add a support as the last one, or replace what is known of it where it stands.

    Args:
        connection: inside a transaction of the workspace.
        label: its name.
        digest: of the picture.
        packed: from ``pack``.
    """
    label_id = categories.number(connection, label)
    connection.execute(
        "INSERT INTO supports (label_id, image_id, position, known) VALUES (?, ?, "
        "(SELECT coalesce(max(position), 0) + 1 FROM supports WHERE label_id=?), ?)"
        " ON CONFLICT (label_id, image_id) DO UPDATE SET known=excluded.known",
        (label_id, pictures.number(connection, digest), label_id, packed),
    )


def list_supports(connection: sqlite3.Connection, folder: Path, label: str) -> list[KeptSupport]:
    """The supports of a label in the order in which they were added."""
    rows = connection.execute(
        "SELECT i.digest, s.known FROM supports s JOIN images i ON i.id = s.image_id"
        " WHERE s.label_id=? ORDER BY s.position",
        (categories.number(connection, label),),
    ).fetchall()
    return [KeptSupport(pictures.get(connection, folder, d), unpack_marks(known)) for d, known in rows]


def remove(connection: sqlite3.Connection, label: str, digest: str) -> None:
    """Stop using a picture as a support."""
    connection.execute(
        "DELETE FROM supports WHERE label_id=? AND image_id=?",
        (categories.number(connection, label), pictures.number(connection, digest)),
    )
