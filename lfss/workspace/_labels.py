"""The labels of a workspace, and what each is searched for with: words, supports, method, settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..labels import Label, label_key
from ..storage import categories, pictures, supports
from ..storage.categories import CLASSES, Category
from ..storage.supports import KeptSupport
from ._pictures import Pictures


class Labels(Pictures):
    """What can be done with labels and their supports."""

    def add_label(
        self, label: Label | str, *, colour: str | None = None, priority: int | None = None
    ) -> Category:
        """Add a label; without a colour or priority it gets a free colour and lies on top.

        Raises:
            WorkspaceError: its name or colour is taken.
            InputError: the colour is not one, or the name is empty.
        """
        with self._database.writing() as connection:
            return categories.add(connection, _label(label), colour=colour, priority=priority)

    def labels(self) -> list[Category]:
        """All labels, the topmost last, which is the order that exports ask for."""
        with self._database.reading() as connection:
            return categories.list_labels(connection)

    def rename_label(self, old: str, new: str) -> None:
        """Rename a label; its drafts and supports follow. Synonyms stay.

        Raises:
            WorkspaceError: another label has that name.
            UnknownName: there is no label of the old name.
        """
        with self._database.writing() as connection:
            found = {label_key(c.name): c.label for c in categories.list_labels(connection)}
            label = found.get(label_key(old), Label(old))
            categories.change(connection, old, label=replace(label, text=new))

    def recolour_label(self, name: str, colour: str) -> None:
        """Give a label another colour, ``#rrggbb``.

        Raises:
            InputError: it is no colour.
            WorkspaceError: another label has it.
            UnknownName: there is no label of that name.
        """
        with self._database.writing() as connection:
            categories.change(connection, name, colour=colour)

    def put_class(
        self,
        label: Label,
        marks: Mapping[str, npt.NDArray[np.int8] | None],
        *,
        method: str,
        preset: str,
        settings: Mapping[str, str] | None = None,
        class_file: str | os.PathLike[str] | None = None,
    ) -> None:
        """Keep all that a label is searched for with, so that anybody can go on with it.

        A label that is there keeps its spelling and colour; its words and supports become these.

        Args:
            label: with its synonyms and "not" words.
            marks: the digest of each support, in order, with what is known of it as in ``add_support``.
            method, preset: what searches for it.
            settings: what else shapes its masks, as text.
            class_file: a saved class that stands in for the supports; the workspace keeps a copy.

        Raises:
            SupportError: marks do not fit their picture.
            WorkspaceError: a support is not in the workspace, or the copy cannot be written.
        """
        packed_marks = {d: supports.pack(known, self.image(d).size) for d, known in marks.items()}
        name = None if class_file is None else pictures.keep_copy(Path(class_file), self.folder / CLASSES)
        with self._database.writing() as connection:
            about = {"method": method, "preset": preset, "settings": settings or {}, "class_file": name}
            label_id = categories.put_class(connection, label, **about)  # type: ignore[arg-type]
            connection.execute("DELETE FROM supports WHERE label_id=?", (label_id,))
            for digest, known in packed_marks.items():
                supports.put(connection, label.text, digest, known)

    def class_file(self, label: str) -> Path | None:
        """The saved class of a label; None if it has none, or is not there."""
        key = label_key(label)
        found = next((c.class_file for c in self.labels() if label_key(c.name) == key), None)
        return None if found is None else self.folder / CLASSES / found

    def add_support(self, label: str, digest: str, known: npt.NDArray[np.int8] | None = None) -> None:
        """Use a picture as a support of a label, or replace what is known of it.

        Args:
            known: (H, W) int8; 1 the object, 0 not the object, -1 unknown. None: nothing is known.

        Raises:
            SupportError: ``known`` does not fit the picture, or holds other values.
            WorkspaceError: the picture is not in the workspace.
        """
        trimap = supports.pack(known, self.image(digest).size)
        with self._database.writing() as connection:
            supports.put(connection, label, digest, trimap)

    def supports(self, label: str) -> list[KeptSupport]:
        """The supports of a label in the order in which they were added."""
        with self._database.reading() as connection:
            return supports.list_supports(connection, self.folder, label)


def _label(label: Label | str) -> Label:
    return Label(label) if isinstance(label, str) else label
