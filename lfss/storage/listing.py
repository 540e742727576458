"""Lists of drafts that take little memory: rows without masks, and drafts that are read one by one."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, overload

from ..drafts import STATUSES, Draft, Status
from ..errors import UnknownName, WorkspaceError
from ..packing import unpack_mask, unpack_objects
from . import categories, pictures
from .database import Database
from .history import read_origin

Order = Literal["added", "name", "label", "doubt"]
PAGE = 64  # drafts that are read in one transaction; their masks stay packed until their turn

_ORDERS = {"added": "d.image_id, l.priority, d.id", "name": "i.name, d.image_id, l.priority, d.id"}
_ORDERS["label"] = "l.priority, l.id, d.image_id"
# Where doubts are equal, the lower score comes first. A draft whose doubt is not known counts as most
# doubtful, so that it is seen rather than hidden.
_ORDERS["doubt"] = "coalesce(r.doubt, 1) DESC, r.score, d.image_id, d.id"

_TABLES = (
    " FROM drafts d JOIN revisions r ON r.id = d.revision_id"
    " JOIN labels l ON l.id = d.label_id JOIN images i ON i.id = d.image_id"
)


@dataclass(frozen=True)
class Row:
    """A draft without its mask, for lists.

    Attributes:
        digest, name, label, status, score, presence, doubt, lost: as in ``Draft``.
        model: who made the mask.
        threshold: the score from which a pixel belongs to it.
        made: when it was changed last, UTC, ISO 8601.
        path: the file in which the picture was seen last.
    """

    digest: str
    name: str
    label: str
    status: Status
    score: float | None
    presence: float | None
    doubt: float | None
    lost: Mapping[str, float]
    model: str
    threshold: float
    made: str
    path: Path | None


@dataclass(frozen=True)
class Stats:
    """What a workspace holds.

    Attributes:
        pictures: number of pictures.
        drafts: label -> state -> number of drafts; every label is listed.
        failures: label -> number of files that could not be segmented.
        bytes: size of the database on the disk.
    """

    pictures: int
    drafts: dict[str, dict[str, int]]
    failures: dict[str, int]
    bytes: int


class Drafts(Sequence[Draft]):
    """Drafts in a fixed order, read from the workspace one by one as they are asked for.

    Which drafts and which order was decided when the list was made; what they hold is read when it
    is their turn. A draft that has been removed meanwhile raises WorkspaceError.
    """

    def __init__(self, database: Database, folder: Path, ids: Iterable[int]):
        self._database, self._folder, self._ids = database, folder, array("q", ids)

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> Draft: ...
    @overload
    def __getitem__(self, index: slice) -> Drafts: ...
    def __getitem__(self, index: int | slice) -> Draft | Drafts:
        if isinstance(index, slice):
            return Drafts(self._database, self._folder, self._ids[index])
        return next(self._read([self._ids[index]]))

    def __iter__(self) -> Iterator[Draft]:
        for start in range(0, len(self), PAGE):
            yield from self._read(self._ids[start : start + PAGE])

    def _read(self, ids: Sequence[int]) -> Iterator[Draft]:
        marks = ",".join("?" * len(ids))
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT d.id, i.name, i.digest, l.name, r.status, r.score, r.presence, r.doubt, r.lost,"
                " o.data, m.data, r.objects,"
                f" {pictures.LATEST_PATH}{_TABLES}"
                " JOIN origins o ON o.id = r.origin_id JOIN masks m ON m.id = r.mask_id"
                f" WHERE d.id IN ({marks})",
                tuple(ids),
            ).fetchall()
        found = {row[0]: row[1:] for row in rows}
        for draft_id in ids:
            if draft_id not in found:
                raise WorkspaceError(
                    "A draft of this list has been removed from the workspace meanwhile. List them again."
                )
            yield _draft(self._folder, *found[draft_id])


def ids(
    connection: sqlite3.Connection,
    *,
    label: str | Sequence[str] | None,
    status: Status | Sequence[Status] | None,
    order: Order,
    digest: str | None = None,
) -> array[int]:
    """The numbers of the drafts of a label and state, in order.

    Args:
        connection: inside a transaction of the workspace.
        label, status: one, several, or None for all.
        order: see ``Workspace.drafts``.
        digest: only of this picture.
    """
    where, values = _where(connection, label, status)
    if digest is not None:
        where, values = f"{where} AND i.digest=?", [*values, digest]
    rows = connection.execute(f"SELECT d.id{_TABLES} WHERE {where} ORDER BY {_ordered(order)}", values)
    return array("q", (row[0] for row in rows))


def rows(
    connection: sqlite3.Connection,
    folder: Path,
    *,
    label: str | Sequence[str] | None,
    status: Status | Sequence[Status] | None,
    order: Order,
    limit: int | None,
    offset: int,
) -> list[Row]:
    """Rows of the drafts of a label and state, in order.

    Args:
        connection: inside a transaction of the workspace.
        folder: the workspace.
        label, status: one, several, or None for all.
        order: see ``Workspace.drafts``.
        limit: how many at most; None: all.
        offset: how many to pass over.
    """
    where, values = _where(connection, label, status)
    found = connection.execute(
        "SELECT i.digest, i.name, l.name, r.status, r.score, r.presence, r.doubt, r.lost,"
        " json_extract(o.data, '$.model'), json_extract(o.data, '$.threshold'), r.made,"
        f" {pictures.LATEST_PATH}"
        f"{_TABLES} JOIN origins o ON o.id = r.origin_id"
        f" WHERE {where} ORDER BY {_ordered(order)} LIMIT ? OFFSET ?",
        (*values, -1 if limit is None else limit, offset),
    )
    return [
        Row(*(*row[:7], json.loads(row[7]), *row[8:-1], pictures.located(folder, row[-1]))) for row in found
    ]


def stats(connection: sqlite3.Connection, *, size: int) -> Stats:
    """How much a workspace holds."""
    pictures_held = connection.execute("SELECT count(*) FROM images").fetchone()[0]
    names = [category.name for category in categories.list_labels(connection)]
    drafts: dict[str, dict[str, int]] = {name: {} for name in names}
    for name, status, count in connection.execute(
        f"SELECT l.name, r.status, count(*){_TABLES} GROUP BY l.id, r.status"
    ):
        drafts[name][status] = count
    failures = dict.fromkeys(names, 0)
    failures.update(
        connection.execute(
            "SELECT l.name, count(*) FROM failures f JOIN labels l ON l.id = f.label_id GROUP BY l.id"
        )
    )
    return Stats(pictures_held, drafts, failures, size)


def _where(
    connection: sqlite3.Connection,
    label: str | Sequence[str] | None,
    status: Status | Sequence[Status] | None,
) -> tuple[str, list[Any]]:
    parts: list[str] = ["1"]
    values: list[Any] = []
    if label is not None:
        names = [label] if isinstance(label, str) else label
        parts.append(f"d.label_id IN ({','.join('?' * len(names))})")
        values += [categories.number(connection, name) for name in names]
    if status is not None:
        wanted: list[str] = [status] if isinstance(status, str) else list(status)
        for one in wanted:
            if one not in STATUSES:
                raise UnknownName("state", one, STATUSES)
        parts.append(f"r.status IN ({','.join('?' * len(wanted))})")
        values += wanted
    return " AND ".join(parts), values


def _ordered(order: Order) -> str:
    if order not in _ORDERS:
        raise UnknownName("order", order, get_args(Order))
    return _ORDERS[order]


def _draft(
    folder: Path,
    name: str,
    digest: str,
    label: str,
    status: Status,
    score: float | None,
    presence: float | None,
    doubt: float | None,
    lost: str,
    origin: str,
    mask: bytes,
    objects: bytes | None,
    path: bytes | None,
) -> Draft:
    return Draft(
        image_name=name,
        image_digest=digest,
        label=label,
        mask=unpack_mask(mask),
        status=status,
        score=score,
        presence=presence,
        doubt=doubt,
        lost=json.loads(lost),
        image_path=pictures.located(folder, path),
        origin=read_origin(origin),
        objects=None if objects is None else unpack_objects(objects),
    )
