"""Which picture a file of annotations means.

Names in such files differ from those on the disk in ways that are known: folders of another machine,
the digits that Label Studio puts before a name, what Roboflow puts behind it, the way macOS writes
accents, upper and lower case, ``_mask`` behind the name of a mask. A name is looked for as it is first,
then with one such difference after the other taken away. Among pictures of one name, the one whose
folders agree best is meant. Where two pictures are left, the name is refused: a mask on the wrong
picture is worse than none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

from ..errors import InputError
from ..images import SUFFIXES, list_images
from .plan import name_key

_LABEL_STUDIO = re.compile(r"^[0-9a-f]{8}-(?=.)")
_ROBOFLOW = re.compile(r"^(.+?)(?:_(jpe?g|png|bmp|webp|tiff?))?\.rf\.[0-9A-Za-z]{8,}(?=\.|$)")
_MASK = re.compile(r"[ ._-](?:mask|masks|seg|label)$")


@dataclass(frozen=True)
class Known:
    """A picture that may be meant.

    Attributes:
        parts: its folders and its name.
        path: the file, if it is known.
        digest: of its pixels; "" until it is read.
        size: (H, W) upright; None until it is read.
    """

    parts: tuple[str, ...]
    path: Path | None
    digest: str = ""
    size: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """Its name without folders."""
        return self.parts[-1]


@dataclass(frozen=True)
class Match:
    """What was found for a name.

    Attributes:
        pictures: those that fit equally well: none, one, or several.
        steps: how many differences were taken away; fewer fit better.
        exact: whether nothing differs in the name itself.
    """

    pictures: tuple[Known, ...] = ()
    steps: int = 0
    exact: bool = True


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _without_case(name: str) -> str:
    return name_key(name)


def _without_prefix(name: str) -> str:
    return _LABEL_STUDIO.sub("", name_key(name))


def _without_roboflow(name: str) -> str:
    found = _ROBOFLOW.match(_without_prefix(name))
    if not found:
        return _without_prefix(name)
    return found[1] + (f".{found[2]}" if found[2] else _without_prefix(name)[found.end() :])


def _without_mask(name: str) -> str:
    return _MASK.sub("", _without_roboflow(name))


_SPELLINGS: tuple[Callable[[str], str], ...] = (_nfc, _without_case, _without_prefix, _without_roboflow)


class Pictures:
    """The pictures of a folder or of a workspace, found by names that other programs wrote.

    Args:
        known: all of them.
        where: how messages call the place.
        behind: further ones, for names that are not found here.
    """

    def __init__(self, known: Iterable[Known], where: str, *, behind: Pictures | None = None):
        self.known, self.where, self.behind = tuple(known), where, behind

    @classmethod
    def in_folder(cls, folder: Path, *, behind: Pictures | None = None) -> Pictures:
        """Those in a folder and the folders below it, and those behind them.

        Raises:
            ImageError: the folder cannot be read.
        """
        found = (Known(f.relative_to(folder).parts, f) for f in list_images(folder))
        return cls(found, f"'{folder}'", behind=behind)

    @classmethod
    def of(cls, images: Path | Pictures | None, otherwise: Path | None = None) -> Pictures | None:
        """Those of a folder, or those given.

        Args:
            images: the folder that a person named; or pictures, those of a workspace behind them.
            otherwise: the folder where this format keeps pictures, for where no folder was named.

        Raises:
            ImageError: the folder cannot be read.
        """
        unnamed = images is None or (isinstance(images, Pictures) and images.behind is None)
        if unnamed and otherwise is not None and otherwise.is_dir():
            return cls.in_folder(otherwise, behind=images if isinstance(images, Pictures) else None)
        return cls.in_folder(images) if isinstance(images, Path) else images

    def with_digest(self, digest: str) -> Known | None:
        """The picture of a digest, among those that were read before."""
        found = next((p for p in self.known if digest and p.digest == digest), None)
        return found or (self.behind.with_digest(digest) if self.behind else None)

    @cached_property
    def _by_name(self) -> list[dict[str, list[Known]]]:
        return self._index(lambda picture: {picture.name}, _SPELLINGS)

    @cached_property
    def _by_stem(self) -> list[dict[str, list[Known]]]:
        # "a.jpg.mask" belongs to "a.jpg", "a.mask" to "a.jpg" as well.
        return self._index(lambda p: {p.name, PurePath(p.name).stem}, (*_SPELLINGS, _without_mask))

    def _index(
        self, names: Callable[[Known], set[str]], spellings: Sequence[Callable[[str], str]]
    ) -> list[dict[str, list[Known]]]:
        tables: list[dict[str, list[Known]]] = []
        for spelling in spellings:
            table: dict[str, list[Known]] = {}
            for picture in self.known:
                for key in {spelling(name) for name in names(picture)}:
                    table.setdefault(key, []).append(picture)
            tables.append(table)
        return tables

    def find(self, name: str, also: Sequence[str] = (), *, stem: bool = False) -> Match:
        """The pictures that a name may mean.

        Args:
            name: as the file gives it, with whatever folders.
            also: further names of the same picture, for where this one is not found.
            stem: the name is that of a mask, so its ending is not the picture's.
        """
        for alternative in (name, *also):
            *folders, base = parts_of(alternative)
            if stem:
                base = _stem(base)
            spellings = (*_SPELLINGS, _without_mask) if stem else _SPELLINGS
            for steps, (table, spelling) in enumerate(
                zip(self._by_stem if stem else self._by_name, spellings)
            ):
                if fitting := table.get(spelling(base)):
                    return Match(_nearest(fitting, folders), steps, steps == 0 and alternative == name)
        return self.behind.find(name, also, stem=stem) if self.behind else Match()

    def lacking(self, name: str) -> str:
        """A sentence on a name that was not found."""
        stem = name_key(_stem(parts_of(name)[-1]))
        near = next((p for p in self.known if name_key(PurePath(p.name).stem) == stem), None)
        if near:
            return f"'{name}' is not among the pictures in {self.where}; there is '{near.name}'."
        first = f", such as '{self.known[0].name}'" if self.known else ""
        return f"'{name}' is not among the {len(self.known)} pictures in {self.where}{first}."


def parts_of(name: str) -> list[str]:
    """Folders and name of a path that any system may have written; at least one part."""
    parts = [part for part in re.split(r"[\\/]", name) if part not in ("", ".", "..")]
    return parts or ["picture"]


def _stem(base: str) -> str:
    """The name without the ending of a picture; other dots belong to the name."""
    return PurePath(base).stem if PurePath(base).suffix.lower() in SUFFIXES else base


def _nearest(fitting: Sequence[Known], folders: Sequence[str]) -> tuple[Known, ...]:
    """Those whose folders agree with the wanted ones furthest from the name upwards."""
    agreed = [(_shared(p.parts[:-1], folders), len(p.parts) - 1 == len(folders)) for p in fitting]
    return tuple(p for p, how in zip(fitting, agreed) if how == max(agreed))


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for a, b in zip(reversed(one), reversed(other)):
        if name_key(a) != name_key(b):
            break
        count += 1
    return count


def ambiguous(name: str, pictures: Sequence[Known]) -> InputError:
    """The error for a name that several pictures fit."""
    listed = " and ".join(f"'{'/'.join(p.parts[-3:])}'" for p in pictures[:3])
    return InputError(
        f"'{name}' may be {listed}. Give the name with its folders, or rename one of the pictures."
    )
