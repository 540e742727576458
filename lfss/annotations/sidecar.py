"""A file beside the files of formats that cannot hold it: which picture is which, and who made the masks.

``lfss.json`` lists the pictures of an export with their digests, and for each label what was written and
where it comes from. Programs that do not know it pass over it; where it is missing, names alone decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..drafts import Draft
from . import reading
from .output import write_json
from .pieces import How
from .plan import Picture
from .provenance import written
from .rle import Mask

FILE = "lfss.json"


@dataclass(frozen=True)
class Note:
    """What is known of one picture.

    Attributes:
        picture: further arguments for ``Intake.picture``.
        attributes: who made the mask of each label, for ``Intake.add``.
        exported: whether masks of it were written.
        absent: labels that are not in it.
        size: (H, W) in pixels; None where it is not noted.
    """

    picture: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    exported: bool = False
    absent: tuple[str, ...] = ()
    size: tuple[int, int] | None = None


NOTHING = Note()


def entry(
    picture: Picture,
    shown: Sequence[Draft],
    drawn: Mapping[str, Mask],
    how: How = "together",
    objects: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """What the file says about a picture.

    Args:
        picture: as it is written.
        shown: its drafts.
        drawn: for each label, (H, W) the mask as readers draw it.
        how: one shape for all objects of a draft, or one for each.
        objects: for each label, ``object_seal`` of each of its objects; None where the format does not tell.
    """
    made = {d.label: written(d, drawn[d.label], how, (objects or {}).get(d.label, ())) for d in shown}
    return {
        "name": picture.name,
        "original": picture.original,
        "size": list(picture.size),
        "digest": picture.digest,
        "absent": list(picture.absent),
        "drafts": [{"label": label, **attributes} for label, attributes in made.items()],
        "exported": [attributes["exported"] for label, attributes in made.items() if drawn[label].any()],
    }


def write(folder: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """Write the entries of all pictures."""
    write_json(folder / FILE, {"about": "who made these masks; for LFSS Studio"}, {"pictures": entries})


def read(folder: Path) -> dict[str, Note]:
    """Notes by name of picture without its ending; none where there is no such file, or a damaged one."""
    try:
        data = reading.load_object(folder / FILE, "pictures")
        return {Path(reading.text(e["name"])).stem: _note(e) for e in data["pictures"]}
    except (OSError, *reading.DAMAGE):
        return {}


def _note(entry: Mapping[str, Any]) -> Note:
    original = entry.get("original")
    also = [original] if isinstance(original, str) and original.strip() else []
    listed = reading.strings(entry.get("exported"))
    drafts = {d["label"]: d for d in entry["drafts"]}
    picture = {"digest": entry.get("digest"), "also": also, "exported": listed, "own": True}
    absent = tuple(reading.strings(entry.get("absent")))
    return Note(picture, drafts, bool(listed), absent, reading.size_if_given(*entry["size"]))
