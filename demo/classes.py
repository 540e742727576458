"""The kinds of things that a session looks for: usually one, and several where a run is to find several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from lfss.errors import InputError
from lfss.labels import label_key

from .items import ScreenPicture, SupportItem

MAX_CLASSES = 20
MAX_SUPPORTS = 20  # of each class


@dataclass(eq=False)
class ClassItem:
    """One kind of thing that a session looks for: its label, what shows it, and what was found.

    Attributes:
        number: tells it from the session's other classes; never given twice.
        label, not_words: as typed.
        supports: in the order in which they were added.
        class_file: a saved class that stands in for label and supports.
        class_pictures: small pictures of the supports of ``class_file``, by digest.
        readings: what each support takes to be its object, (h, w) bool; empty if not known.
        agreements: of each support with the others; empty if not known.
        found: whether the model sees the object, by the digest of each picture that has a result.
        made: which class and settings made the result of a file, and its digest.
    """

    number: int = 0
    label: str = ""
    not_words: str = ""
    supports: list[SupportItem] = field(default_factory=list)
    class_file: Path | None = None
    class_pictures: dict[str, ScreenPicture] = field(default_factory=dict)
    readings: tuple[npt.NDArray[np.bool_], ...] = ()
    agreements: tuple[float, ...] = ()
    found: dict[str, bool] = field(default_factory=dict)
    made: dict[Path, tuple[str, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The first word of the label, under which its drafts go; empty if none is typed."""
        return next((" ".join(part.split()) for part in self.label.split(",") if part.strip()), "")

    @property
    def empty(self) -> bool:
        """Whether nothing has been given yet."""
        return not (self.label.strip() or self.supports or self.class_file)

    def forget_results(self) -> None:
        """Forget what was segmented; drafts stay."""
        self.found, self.made = {}, {}


class Classes:
    """The classes of a session, at least one.

    Attributes:
        chosen: the one that is edited.
        viewed: the one whose results are looked at.
    """

    def __init__(self) -> None:
        self._items, self._numbers = [ClassItem()], 0
        self.chosen = self.viewed = self._items[0]

    def __iter__(self) -> Iterator[ClassItem]:
        return iter(tuple(self._items))

    def __len__(self) -> int:
        return len(self._items)

    def numbered(self, number: int | None) -> ClassItem | None:
        """The class of a number; the chosen one for None, and None for one that was removed."""
        if number is None:
            return self.chosen
        return next((item for item in self._items if item.number == number), None)

    def named(self, label: str) -> ClassItem | None:
        """The class whose drafts go under a label."""
        return next(
            (item for item in self._items if item.name and label_key(item.name) == label_key(label)), None
        )

    def choose(self, item: ClassItem) -> None:
        """Edit a class, and look at its results."""
        self.chosen = self.viewed = item

    def view(self, item: ClassItem | None) -> None:
        """Look at the results of a class, if it is still there; the one that is edited stays."""
        if item is not None and item in self._items:
            self.viewed = item

    def add(self) -> ClassItem:
        """A further class, chosen; the chosen one itself while it is empty.

        Raises:
            InputError: there are too many.
        """
        if self.chosen.empty:
            return self.chosen
        if len(self._items) >= MAX_CLASSES:
            raise InputError(f"At most {MAX_CLASSES} labels in one run. Remove one first.")
        self._items.append(self._new())
        self.choose(self._items[-1])
        return self.chosen

    def renew(self) -> ClassItem:
        """Put an empty class in place of the chosen one."""
        place = self._items.index(self.chosen)
        self._items[place] = self._new()
        self.choose(self._items[place])
        return self.chosen

    def remove(self) -> None:
        """Remove the chosen class; its drafts stay. The last one is emptied."""
        if len(self._items) == 1:
            self.renew()
            return
        place = self._items.index(self.chosen)
        del self._items[place]
        self.choose(self._items[max(0, place - 1)])

    def clear(self) -> None:
        """One empty class alone."""
        self._items = [self._new()]
        self.choose(self._items[0])

    def share(self) -> int:
        """Give the chosen class the pictures of the other ones, without their marks; returns how many."""
        chosen = self.chosen
        known = {s.picture.digest for s in chosen.supports}
        others = {s.picture.digest: s.picture for item in self._items for s in item.supports}
        new = [p for digest, p in others.items() if digest not in known][: MAX_SUPPORTS - len(known)]
        chosen.supports += [SupportItem(picture) for picture in new]
        chosen.readings = chosen.agreements = ()
        return len(new)

    def _new(self) -> ClassItem:
        self._numbers += 1
        return ClassItem(self._numbers)


T = TypeVar("T")


class OfClass(Generic[T]):
    """An attribute that a session takes from one of its classes: ``OfClass[str]("chosen")``."""

    def __init__(self, which: str):
        self._which = which

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, session: Any, owner: type) -> T:
        return getattr(getattr(session.classes, self._which), self._name)

    def __set__(self, session: Any, value: T) -> None:
        setattr(getattr(session.classes, self._which), self._name, value)
