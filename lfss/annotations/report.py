"""What an import found: drafts with what is known of their way here, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..drafts import Draft
from .provenance import Exported


@dataclass(frozen=True, eq=False)
class Entry:
    """A draft as it was read, and what is known of its way here.

    Attributes:
        draft: one picture and label.
        shapes: how many shapes were joined in it.
        foreign: no shape says that this program wrote it.
        exported: what this program wrote for this picture and label, if the file still says so.
        changed: whether it differs from that; None where the file does not tell.
    """

    draft: Draft
    shapes: int = 1
    foreign: bool = True
    exported: Exported | None = None
    changed: bool | None = None


@dataclass
class Report:
    """What a reader found besides drafts.

    Attributes:
        entries: the drafts with what is known of them.
        left_out: a sentence for each thing that was not read.
        notes: sentences on what was read another way than it was written.
        unlisted: digests of pictures whose file does not say which labels were exported, each with the
            labels that came back; for files that this program wrote only.
        embedded: name and bytes of pictures that were found inside the files only, by digest.
    """

    entries: list[Entry] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unlisted: dict[str, set[str]] = field(default_factory=dict)
    embedded: dict[str, tuple[str, bytes]] = field(default_factory=dict)
