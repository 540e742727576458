"""The concepts that mini knows, and what each training set calls them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lfss.compat import ensure_torchvision
from lfss.encoders.vocabulary import Concept, Vocabulary

CONCEPT_FILE = Path(__file__).parent / "concepts.json"
SURROUNDINGS = ("background", "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence")
LABELLED = ("cat", "cow", "dog", "horse", "sheep", "person")  # labels of the sets animals and coco2017


def imagenet_names() -> list[str]:
    """Short names of the 1,000 ImageNet classes, from open_clip."""
    ensure_torchvision()
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    return list(IMAGENET_CLASSNAMES)


def imagenet_synsets() -> list[str]:
    """WordNet ids of the 1,000 ImageNet classes, such as ``n01440764``, from timm."""
    ensure_torchvision()
    from timm.data import ImageNetInfo

    about = ImageNetInfo()
    return [about.index_to_label_name(i) for i in range(1000)]


@dataclass(frozen=True)
class ConceptTable:
    """The concepts, the first one "background", with their words in each training set."""

    entries: dict[str, dict[str, Any]]

    @classmethod
    def load(cls, names: Sequence[str], path: Path = CONCEPT_FILE) -> ConceptTable:
        """The concepts of the file, and one more for each ImageNet class that none of them covers.

        Args:
            names: of the 1,000 ImageNet classes.
            path: concepts written by hand; "imagenet" holds class numbers and ranges of them.
        """
        entries: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        known = cls(entries)
        words = Vocabulary(known.concepts(names))
        for number in np.flatnonzero(~known.imagenet().any(0)).tolist():
            name = names[number].casefold()
            found = words.resolve(name)
            if found is not None and found.trust == 1:  # a synonym of a concept written by hand
                entry = entries[found.concept.name]
                entry["imagenet"] = f"{entry.get('imagenet', '')} {number}".strip()
            else:
                entries[name] = {"imagenet": str(number)}
        return cls(entries)

    @property
    def names(self) -> list[str]:
        """In the order of the model's concepts."""
        return list(self.entries)

    def column(self, key: str) -> dict[str, int]:
        """What the set ``key`` (voc, coco, camvid, caltech) calls a concept -> its number."""
        found: dict[str, int] = {}
        for number, entry in enumerate(self.entries.values()):
            words = entry.get(key, [])
            for word in [words] if isinstance(words, str) else words:
                found[word] = number
        return found

    def imagenet(self) -> np.ndarray:
        """(V, 1000) bool: which ImageNet classes show which concept."""
        member = np.zeros((len(self.entries), 1000), bool)
        for row, entry in zip(member, self.entries.values()):
            for part in entry.get("imagenet", "").split():
                first, _, last = part.partition("-")
                row[int(first) : int(last or first) + 1] = True
        return member

    def concepts(self, names: Sequence[str]) -> tuple[Concept, ...]:
        """Concepts with their synonyms; the ImageNet classes of one are its kinds."""
        return tuple(
            Concept(
                name,
                tuple(entry.get("also", ())),
                tuple(entry.get("kinds", ()))
                + tuple(names[i].casefold() for i in np.flatnonzero(row).tolist()),
            )
            for (name, entry), row in zip(self.entries.items(), self.imagenet())
        )

    def labels(self, names: Sequence[str], synsets: Sequence[str]) -> dict[str, int]:
        """What labelled photos call a concept, in lower case, and WordNet ids -> its number."""
        found = {}
        for concept, number in np.argwhere(self.imagenet()).tolist():
            found[names[number].casefold()] = concept
            found[synsets[number]] = concept
        return found | self.column("caltech") | {n: self.names.index(n) for n in LABELLED}
