"""What a reader hands over: masks on pictures, checked, gathered by label, with what was left out.

A reader names each picture once (``picture``) and adds its shapes one by one (``add``) inside
``entry``, so that what is wrong with one shape or picture costs that one alone and is put into a
sentence. At the end there is one draft for each picture and label, as a workspace holds them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import decode
from ..drafts import Draft, Status
from ..errors import InputError
from ..images import read_image
from ..labels import checked_name, label_key
from ..objects import MOST, Numbers, parts, same
from . import reading
from .pictures import Known, Match, Pictures, parts_of
from .provenance import combined, corrected, exported_of, fingerprint, restore
from .report import Entry, Report
from .rle import Mask
from .sheets import Sheet, chosen, facts_of, turned_size


@dataclass
class _Gathered:
    """The shapes of one label on one picture.

    Attributes:
        mask: (H, W) all of them.
        attributes: what the file says of each.
        groups: the number of each object, by its group.
        numbers: (H, W) number of the object at each pixel; None while there is one.
        as_one: the file does not tell objects apart.
        seals: fingerprints of the shapes of each object, by its group.
    """

    sheet: Sheet
    label: str
    mask: Mask
    attributes: list[Mapping[str, Any]] = field(default_factory=list)
    groups: dict[object, int] = field(default_factory=dict)
    numbers: Numbers | None = None
    as_one: bool = False
    seals: dict[object, list[str]] = field(default_factory=dict)

    def add(self, mask: Mask, attributes: Mapping[str, Any], group: object) -> None:
        """Add one shape; where shapes overlap, the earlier object keeps the pixels."""
        key = ("shape", len(self.attributes)) if group is None else ("group", group)
        number = self.groups.setdefault(key, min(len(self.groups) + 1, MOST))
        # A shape that this program did not write makes a difference anyway, and its pixels need not be read.
        self.seals.setdefault(key, []).append(fingerprint(mask) if "exported" in attributes else "")
        if self.numbers is None and len(self.groups) > 1:
            self.numbers = self.mask.astype(np.uint16)
        if self.numbers is not None:
            np.copyto(self.numbers, np.uint16(number), where=mask & (self.numbers == 0))
        np.logical_or(self.mask, mask, out=self.mask)
        self.attributes.append(attributes)
        self.as_one = self.as_one or attributes.get("objects") == "together"

    def objects(self) -> Numbers | None:
        """Numbers of the objects; None where each connected part is one, or the file does not tell."""
        if self.as_one:
            return None
        numbers = self.mask.astype(np.uint16) if self.numbers is None else self.numbers
        return None if same(numbers, parts(self.mask)) else numbers


class Intake:
    """Gathers the masks of an import.

    Args:
        pictures: where pictures are looked for; None: names and digests stay as the file gives them.
        status: of all masks; None: what the file says, else accepted.
        report: takes what is left out; without it the first such thing is an error.
    """

    def __init__(self, pictures: Pictures | None, *, status: Status | None, report: Report | None):
        self.pictures, self.status = pictures, status
        self.report, self.strict = report or Report(), report is None
        self._gathered: dict[tuple[str, str], _Gathered] = {}
        self._sheets: dict[tuple[str, str], Sheet] = {}
        self._absent: dict[tuple[str, str], tuple[Sheet, str]] = {}
        self._pixels = 0
        self.filled_boxes = 0  # boxes that were taken for the outline of what is in them

    @contextmanager
    def entry(self, where: str) -> Iterator[None]:
        """Whatever goes wrong inside the block costs this entry only.

        Args:
            where: how the sentence begins, such as ``"'c.json', annotation 4"``.
        """
        try:
            yield
        except reading.TooMuch:
            raise
        except InputError as error:
            self.leave_out(f"{where}: {error}")
        except OSError as error:
            self.leave_out(f"{where}: it cannot be read ({error.strerror or error}).")
        except reading.DAMAGE as error:
            self.leave_out(f"{where}: it is damaged, or not of this format ({type(error).__name__}).")

    def leave_out(self, sentence: str) -> None:
        """Note what is not read; an error where nobody asked for a report."""
        if self.strict:
            raise InputError(sentence)
        self.report.left_out.append(sentence)

    def pass_over(self, sentence: str) -> None:
        """Note what the format holds but masks cannot be made of; never an error."""
        self.report.left_out.append(sentence)

    def picture(
        self,
        name: str,
        size: tuple[int, int] | None,
        *,
        digest: object = None,
        also: Sequence[str] = (),
        stem: bool = False,
        exported: object = None,
        own: bool = False,
        embedded: str | None = None,
    ) -> Sheet:
        """Find a picture.

        Args:
            name: as the file gives it. It never chooses a path: it is compared with known pictures.
            size: (H, W) as the file gives it; None where it does not.
            digest: as the file gives it.
            also: other names of the picture.
            stem: the name's ending is not the picture's.
            exported: what this program wrote for the picture, as the file gives it.
            own: whether the file says that this program wrote it.
            embedded: the picture itself in base64, for where it is not found.

        Raises:
            InputError: several pictures have that name, it has another size, or the size is unknown.
            ImageError: the picture cannot be read.
        """
        key = (name, str(size))
        if key not in self._sheets:
            stated = digest if isinstance(digest, str) and reading.is_digest(digest) else ""
            match = self.pictures.find(name, also, stem=stem) if self.pictures else Match()
            found = chosen(name, match, stated)
            if found is None and self.pictures:
                found = self.pictures.with_digest(stated)
            if found is None and embedded:
                found = self._embedded(name, embedded)
            facts, size, orientation = facts_of(found, name, size, stated, self.pictures)
            listed = {label_key(e.label): e for e in map(exported_of, reading.strings(exported)) if e}
            self._sheets[key] = Sheet(name, facts, size, orientation, listed, own, match)
        return self._sheets[key]

    def _embedded(self, name: str, text: str) -> Known:
        """A picture that lies inside the file."""
        data = base64.b64decode(text)
        image = read_image(data, name=parts_of(name)[-1])
        self.report.embedded[image.digest] = (image.name, data)
        self.report.notes.append(f"The picture '{image.name}' was taken from inside the file.")
        return Known((image.name,), None, image.digest, image.size)

    def add(
        self,
        sheet: Sheet,
        label: object,
        mask: Mask,
        attributes: Mapping[str, Any] | None = None,
        *,
        group: object = None,
        as_one: bool = False,
    ) -> None:
        """Add one shape.

        Args:
            sheet: its picture.
            label: as the file gives it.
            mask: (H, W) bool, in the frame of the sheet.
            attributes: what the file says about its origin, for ``provenance.restore``.
            group: shapes of a group are one object; without one, each shape is.
            as_one: the format does not tell the objects of a label apart.

        Raises:
            InputError: the label is blank, or the mask covers no pixel.
        """
        name = checked_name(reading.text(label))
        self._pixels += mask.size
        if self._pixels > reading.MAX_PIXELS:
            raise reading.TooMuch()
        if not mask.any():
            raise InputError("It covers no pixel of its picture. Draw it again, or remove it.")
        if sheet.orientation != 1:
            mask = np.ascontiguousarray(decode.turned(mask, sheet.orientation))
        key = (sheet.sought, label_key(name))
        if key not in self._gathered:
            self._gathered[key] = _Gathered(sheet, name, np.zeros_like(mask), as_one=as_one)
        self._gathered[key].add(mask, attributes or {}, group)

    def absent(self, sheet: Sheet, labels: object) -> None:
        """Note labels that the file says are not in the picture."""
        for label in reading.strings(labels):
            if label.strip():
                self._absent[sheet.sought, label_key(label)] = (sheet, " ".join(label.split()))

    def drafts(self) -> list[Draft]:
        """All drafts, one for each picture and label."""
        refused = self._contested()
        entries = [self._entry(g) for g in self._gathered.values() if g.sheet.sought not in refused]
        for sheet in self._sheets.values():
            if sheet.sought in refused:
                continue
            for key, exported in sheet.exported.items():
                if (sheet.sought, key) not in self._gathered:
                    self._absent.setdefault((sheet.sought, key), (sheet, exported.label))
        for (sought, key), (sheet, label) in self._absent.items():
            if sought in refused or (sought, key) in self._gathered:
                continue
            size = turned_size(sheet.size, sheet.orientation)
            draft = Draft(label=label, mask=np.zeros(size, np.bool_), status="absent", **sheet.facts)
            written = sheet.exported.get(key)
            entries.append(Entry(draft, 0, False, written, True if written else None))
        for sheet in self._sheets.values():
            if sheet.own and not sheet.exported and sheet.facts["image_digest"]:
                there = {k for s, k in (*self._gathered, *self._absent) if s == sheet.sought}
                self.report.unlisted.setdefault(sheet.facts["image_digest"], set()).update(there)
        self._note_other_names()
        self.report.entries += entries
        return [entry.draft for entry in entries]

    def _entry(self, gathered: _Gathered) -> Entry:
        sheet, attributes = gathered.sheet, gathered.attributes
        exported = sheet.exported.get(label_key(gathered.label)) or next(
            (e for e in map(exported_of, (s.get("exported") for s in attributes)) if e), None
        )
        foreign = not any(s.get("model") for s in attributes) and not exported
        changed = None
        if exported:
            alike = label_key(exported.label) == label_key(gathered.label)
            as_many = exported.shapes in (0, len(gathered.groups))
            sealed = combined(map(combined, gathered.seals.values()))
            apart = exported.objects in ("", sealed)  # a border between touching objects is part of no mask
            as_drawn = fingerprint(gathered.mask) == exported.drawn
            changed = not (alike and as_many and apart and as_drawn)
        elif sheet.exported:
            changed = not foreign  # a label that was not exported: another one was renamed to it
        facts = _joined([restore(s, status="accepted") for s in attributes])
        facts |= sheet.facts | {"objects": gathered.objects()}
        draft = Draft(label=gathered.label, mask=gathered.mask, **facts)
        draft = corrected(draft) if changed else draft
        draft = replace(draft, status=self.status) if self.status else draft
        return Entry(draft, len(attributes), foreign, exported, changed)

    def _contested(self) -> set[str]:
        """Names of which several mean one picture: all but the one that fits best are refused."""
        by_picture: dict[Known, list[Sheet]] = {}
        for sheet in self._sheets.values():
            if len(sheet.match.pictures) == 1:
                by_picture.setdefault(sheet.match.pictures[0], []).append(sheet)
        refused: set[str] = set()
        for picture, sheets in by_picture.items():
            names = {s.sought: s for s in sheets}
            if len(names) < 2:
                continue
            exact = [n for n, s in names.items() if tuple(parts_of(n)) == picture.parts]
            wrong = [n for n in names if exact != [n]]
            if not any(s == sought for sought in wrong for s, _ in (*self._gathered, *self._absent)):
                continue
            refused.update(wrong)
            listed = ", ".join(f"'{n}'" for n in list(names)[:5])
            self.leave_out(
                f"{len(names)} names would all be the picture '{'/'.join(picture.parts)}': {listed}. Put "
                "the pictures into folders as the file names them; no mask of these names was taken"
                + (f", except those of '{exact[0]}'." if exact else ".")
            )
        return refused

    def _note_other_names(self) -> None:
        if self.filled_boxes:
            self.report.notes.append(f"{self.filled_boxes} boxes were filled, since they have no outline.")
        other = [s for s in self._sheets.values() if s.match.pictures and not s.match.exact]
        if other:
            listed = ", ".join(f"'{s.sought}' is '{s.facts['image_name']}'" for s in other[:3])
            more = f", and {len(other) - 3} more" if len(other) > 3 else ""
            self.report.notes.append(f"Found under another name: {listed}{more}.")
        turned = [s.facts["image_name"] for s in self._sheets.values() if s.orientation != 1]
        if turned:
            self.report.notes.append(
                f"Turned with the picture, which is stored on its side (EXIF): {', '.join(turned[:5])}."
            )


def _joined(facts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The facts of several shapes as those of one draft: the least checked state and the lowest score."""
    caution: tuple[Status, ...] = ("proposed", "edited", "accepted", "rejected", "absent")
    status = next(s for s in caution if any(f["status"] == s for f in facts))
    scores = [f["score"] for f in facts]
    lowest = min(scores) if all(s is not None for s in scores) else None
    return facts[0] | {"status": status, "score": lowest}
