"""The labels of a workspace: names that cannot be confused, a colour each, who lies on top.

Two names collide if they are the same label (see ``lfss.labels.label_key``). Two labels never share a
colour, and none is black, the background of palette pictures.

The functions work inside a transaction that the caller holds.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import InputError, UnknownName, WorkspaceError
from ..labels import Label, checked_label, checked_name, label_key
from ..palette import free_colour

CLASSES = "classes"  # the folder of saved classes


@dataclass(frozen=True)
class Category:
    """A label as a workspace keeps it.

    Attributes:
        label: name, synonyms and "not" words.
        colour: ``#rrggbb``, of its own.
        priority: where masks overlap, the label with the higher number lies on top.
        method, preset, settings: how it was searched for last, to go on with; empty if it never was.
        class_file: the name of the saved class that stands for its supports, in the folder ``CLASSES``
            of the workspace; None if it has none.
    """

    label: Label
    colour: str
    priority: int
    method: str = ""
    preset: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    class_file: str | None = None

    @property
    def name(self) -> str:
        """The name that drafts and exports carry."""
        return self.label.text


def add(
    connection: sqlite3.Connection, label: Label, *, colour: str | None = None, priority: int | None = None
) -> Category:
    """Add a label; without a colour or priority it gets a free colour and lies on top.

    Args:
        connection: inside a transaction of the workspace.
        label: with its synonyms and "not" words.
        colour: #rrggbb.
        priority: a larger one lies higher where masks overlap.

    Raises:
        WorkspaceError: its name or colour is taken.
        InputError: the colour is not one, or the name breaks the rule of ``labels.checked_name``.
    """
    label = checked_label(label)
    taken = {c.name: c.colour for c in list_labels(connection)}
    key = label_key(label.text)
    for name in taken:
        if label_key(name) == key:
            raise WorkspaceError(
                f"The label '{label.text}' collides with '{name}', which is there already: exports could "
                "not tell them apart. Use that one, or choose another name; nothing was added."
            )
    colour = free_colour(taken.values()) if colour is None else _checked_colour(colour, taken, label.text)
    if priority is None:
        priority = connection.execute("SELECT coalesce(max(priority), 0) + 1 FROM labels").fetchone()[0]
    connection.execute(
        "INSERT INTO labels (name, key, synonyms, distractors, colour, priority) VALUES (?, ?, ?, ?, ?, ?)",
        (label.text, key, json.dumps(label.synonyms), json.dumps(label.distractors), colour, priority),
    )
    return Category(label, colour, int(priority))


def change(
    connection: sqlite3.Connection,
    name: str,
    *,
    label: Label | None = None,
    colour: str | None = None,
    priority: int | None = None,
) -> None:
    """Change what is given and leave the rest; drafts follow the label.

    Args:
        connection: inside a transaction of the workspace.
        name: of the label as it is.
        label: the new name and words.
        colour: #rrggbb.
        priority: a larger one lies higher where masks overlap.

    Raises:
        WorkspaceError: the new name or colour is taken.
        UnknownName: there is no label of that name.
        LabelError: the new name breaks the rule of ``labels.checked_name``.
    """
    label_id = number(connection, name)
    others = {c.name: c.colour for c in list_labels(connection) if label_key(c.name) != label_key(name)}
    if label is not None:
        label = checked_label(label)
        for other in others:
            if label_key(other) == label_key(label.text):
                raise WorkspaceError(
                    f"'{name}' cannot be renamed to '{label.text}': the label '{other}' is there already. "
                    "Choose another name; nothing was changed."
                )
        connection.execute(
            "UPDATE labels SET name=?, key=?, synonyms=?, distractors=? WHERE id=?",
            (
                label.text,
                label_key(label.text),
                json.dumps(label.synonyms),
                json.dumps(label.distractors),
                label_id,
            ),
        )
    if colour is not None:
        colour = _checked_colour(colour, others, name)
        connection.execute("UPDATE labels SET colour=? WHERE id=?", (colour, label_id))
    if priority is not None:
        connection.execute("UPDATE labels SET priority=? WHERE id=?", (priority, label_id))


def list_labels(connection: sqlite3.Connection) -> list[Category]:
    """All labels, the topmost last; of equal priority, in the order in which they were added."""
    rows = connection.execute(
        "SELECT name, synonyms, distractors, colour, priority, method, preset, settings, class_file"
        " FROM labels ORDER BY priority, id"
    )
    return [
        Category(
            Label(name, tuple(json.loads(synonyms)), tuple(json.loads(distractors))),
            colour,
            priority,
            method,
            preset,
            json.loads(settings),
            class_file,
        )
        for name, synonyms, distractors, colour, priority, method, preset, settings, class_file in rows
    ]


def number(connection: sqlite3.Connection, name: str) -> int:
    """The number of a label; raises UnknownName if there is none of that name."""
    row = connection.execute("SELECT id FROM labels WHERE key=?", (label_key(name),)).fetchone()
    if row is None:
        raise UnknownName("label", name, [c.name for c in list_labels(connection)] or ["(none yet)"])
    return row[0]


def number_or_add(connection: sqlite3.Connection, name: str) -> int:
    """The number of a label, which is added if it is new; raises LabelError if it cannot be a name."""
    name = checked_name(name)
    row = connection.execute("SELECT id FROM labels WHERE key=?", (label_key(name),)).fetchone()
    if row is None:
        add(connection, Label(name))
        return number(connection, name)
    return row[0]


def put_class(
    connection: sqlite3.Connection,
    label: Label,
    *,
    method: str,
    preset: str,
    settings: Mapping[str, str],
    class_file: str | None,
) -> int:
    """Keep the words of a label and how it was searched for; returns its number. Its spelling stays.

    Args:
        connection: inside a transaction of the workspace.
        label: with its words.
        method, preset: what searches for it.
        settings: what else shapes its masks, as text.
        class_file: name of the saved class in the workspace.
    """
    label = checked_label(label)
    label_id = number_or_add(connection, label.text)
    connection.execute(
        "UPDATE labels SET synonyms=?, distractors=?, method=?, preset=?, settings=?, class_file=?"
        " WHERE id=?",
        (
            json.dumps(label.synonyms),
            json.dumps(label.distractors),
            method,
            preset,
            json.dumps(dict(settings), sort_keys=True),
            class_file,
            label_id,
        ),
    )
    return label_id


def _checked_colour(colour: str, taken: dict[str, str], name: str) -> str:
    colour = colour.lower()
    if not re.fullmatch(r"#[0-9a-f]{6}", colour) or colour == "#000000":
        raise InputError(
            f"'{colour}' is no colour for the label '{name}'. Write it as #rrggbb, for instance #e6194b; "
            "black is kept for the background."
        )
    for other, used in taken.items():
        if used == colour:
            raise WorkspaceError(
                f"The labels '{name}' and '{other}' would share the colour {colour}: palette exports could "
                "not tell them apart. Choose another colour."
            )
    return colour
