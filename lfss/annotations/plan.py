"""What an export will hold, checked before anything is written.

Names. An export is one flat set of pictures. A file name loses its folders and the characters that
some file system refuses. Pictures whose names then differ in nothing but extension or upper and
lower case (``a/dog.jpg`` and ``b/dog.JPG``) get the first eight digits of their digest:
``dog-1f0c93ab.jpg``. The same drafts give the same names in every format.

Labels. They keep their order, which is also the order of painting: where masks overlap in a format
that holds one label per pixel, the later label lies on top.

Drafts that are rejected, absent or unmarked write no mask; their picture is listed all the same.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from ..drafts import Draft
from ..errors import ExportError
from ..labels import label_key
from ..text import joiner, printable

_REFUSED = frozenset('<>:"/\\|?*')
_DEVICES = frozenset(("con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))))
_LONGEST_STEM = 120  # in bytes: file systems allow 255 for a whole name


@dataclass(frozen=True)
class Picture:
    """A picture as an export lists it.

    Attributes:
        name: its file name in the export; unique there, also without its extension.
        original: the name it came with.
        digest: sha256 of the picture; "" if unknown.
        size: (H, W) in pixels, upright.
        path: where it lies, if known.
        listed: places of all its drafts in the list of drafts.
        drafts: places of those whose masks are written.
        absent: labels that a person says are not in the picture.
    """

    name: str
    original: str
    digest: str
    size: tuple[int, int]
    path: Path | None
    listed: tuple[int, ...]
    drafts: tuple[int, ...]
    absent: tuple[str, ...]

    @property
    def stem(self) -> str:
        """The name without its extension."""
        return PurePosixPath(self.name).stem


@dataclass(frozen=True)
class ExportPlan:
    """All pictures of an export in order of appearance, and all labels in order of painting."""

    pictures: tuple[Picture, ...]
    labels: tuple[str, ...]


def plan_export(drafts: Sequence[Draft], labels: Sequence[str] | None = None) -> ExportPlan:
    """Check drafts and decide on names. Masks are looked at one by one and not kept.

    Args:
        drafts: in the order in which they shall appear.
        labels: all labels, the topmost last; without it, in order of appearance.

    Raises:
        ExportError: nothing to export; two sizes for one picture; labels that would be confused, or
            that the list lacks.
    """
    if not len(drafts):
        raise ExportError("There is nothing to export: no draft was given. Choose at least one picture.")
    found: dict[tuple[str, str, str], list[int]] = {}
    facts = []
    for place in range(len(drafts)):
        draft = drafts[place]
        where = "" if draft.image_digest else str(draft.image_path or "")
        found.setdefault((draft.image_digest, draft.image_name, where), []).append(place)
        facts.append((draft.label, draft.size, draft.image_path, draft.status, draft.empty))
    ordered = check_labels(dict.fromkeys(f[0] for f in facts), labels)
    names = _unique_names(list(found))
    pictures: list[Picture] = []
    for (digest, original, _), places in found.items():
        sizes = {facts[p][1] for p in places}
        if len(sizes) > 1 or 0 in next(iter(sizes)):
            raise ExportError(
                f"The drafts of '{original}' have the sizes {sorted(sizes)} (rows, columns). All must have "
                "the picture's own size. Segment the picture again."
            )
        pictures.append(
            Picture(
                name=names[len(pictures)],
                original=printable(original),
                digest=digest,
                size=sizes.pop(),
                path=next((facts[p][2] for p in places if facts[p][2]), None),
                listed=tuple(places),
                drafts=tuple(p for p in places if not facts[p][4]),
                absent=tuple(dict.fromkeys(facts[p][0] for p in places if facts[p][3] == "absent")),
            )
        )
    return ExportPlan(tuple(pictures), ordered)


def check_labels(used: Iterable[str], wanted: Sequence[str] | None = None) -> tuple[str, ...]:
    """Labels in their final order.

    Raises:
        ExportError: a label is blank or has characters that cannot be written; two differ in nothing
            but case, accents or spaces; the wanted list lacks one or names one twice.
    """
    used = list(used)
    labels = tuple(wanted) if wanted is not None else tuple(used)
    if missing := [u for u in used if u not in labels]:
        raise ExportError(f"The list of labels lacks '{missing[0]}', which a draft has. Add it to the list.")
    seen: dict[str, str] = {}
    for label in labels:
        if not label.strip() or label != label.strip() or printable(label) != label:
            raise ExportError(
                f"The label {label!r} cannot be written to a file: it is blank, begins or ends with a "
                "space, or has characters that are not text. Rename it."
            )
        key = label_key(label)
        if key in seen:
            raise ExportError(
                f"The labels '{seen[key]}' and '{label}' would be taken for the same in other tools. "
                "Rename one, or merge them."
            )
        seen[key] = label
    return labels


def name_key(text: str) -> str:
    """What two names have in common when a tool or a file system may take them for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def safe_name(original: str) -> str:
    """A file name that every file system takes, from one that a person or another program gave."""
    name = unicodedata.normalize("NFC", printable(original)).replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join("_" if c in _REFUSED or _invisible(c) else c for c in name)
    stem, dot, suffix = name.rpartition(".")
    if not dot or not stem.strip(". ") or not suffix.isalnum() or len(suffix) > 8:
        stem, suffix = name, ""
    stem = stem.strip(". ")
    if stem.startswith(("#", "-")):  # a comment or an option to the tools that read lists of names
        stem = "_" + stem[1:]
    stem = stem.encode()[:_LONGEST_STEM].decode(errors="ignore").rstrip(". ") or "picture"
    stem = f"_{stem}" if stem.casefold() in _DEVICES else stem
    return f"{stem}.{suffix}" if suffix else stem


def _invisible(character: str) -> bool:
    # Joiners are part of words and of emoji; marks that turn the direction of writing hide endings.
    return unicodedata.category(character) == "Cf" and not joiner(character)


def unique(names: Sequence[str], suffixes: Sequence[str]) -> list[str]:
    """Names that differ in more than case and extension: those that clash get their suffix.

    Args:
        names: file names.
        suffixes: one for each name; where even those clash, a number follows.
    """
    stems = [name_key(PurePosixPath(n).stem) for n in names]
    taken = {stem for stem, count in Counter(stems).items() if count == 1}
    result = []
    for name, stem, suffix in zip(names, stems, suffixes):
        if stem not in taken:
            path, count, tail = PurePosixPath(name), 1, suffix
            while name_key(f"{path.stem}-{tail}") in taken:
                count += 1
                tail = f"{suffix}-{count}"
            name = f"{path.stem}-{tail}{path.suffix}"
            taken.add(name_key(f"{path.stem}-{tail}"))
        result.append(name)
    return result


def _unique_names(keys: Sequence[tuple[str, str, str]]) -> list[str]:
    hashes = (hashlib.sha256("\0".join(k).encode(errors="replace")).hexdigest() for k in keys)
    suffixes = [(key[0] or other)[:8] for key, other in zip(keys, hashes)]
    return unique([safe_name(original) for _, original, _ in keys], suffixes)


def paint(drafts: Sequence[Draft], labels: Sequence[str]) -> npt.NDArray[np.int32]:
    """Lay the masks of one picture over each other.

    Args:
        drafts: of one picture, at least one.
        labels: the topmost last; drafts of the same label lie in their own order.

    Returns:
        (H, W) 1 for the first draft, 2 for the second ...; 0 where there is none.
    """
    canvas = np.zeros(drafts[0].size, np.int32)
    for place in sorted(range(len(drafts)), key=lambda p: labels.index(drafts[p].label)):
        np.copyto(canvas, place + 1, where=drafts[place].mask)
    return canvas
