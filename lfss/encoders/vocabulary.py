"""The names that a model with a fixed vocabulary knows, and how typed words lead to them."""

from __future__ import annotations

import csv
import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

KIND = 0.8  # trust in a kind of a concept: "beagle" is a dog, and not every dog is one
COMPOUND = 0.6  # of "brown dog", where only the last word is known
SIMILAR = 0.8  # of letters: slips of the pen are offered, other words that look alike are not

TABLE = "vocabulary.csv"  # beside the weights
TABLE_COLUMNS = ("concept", "synonyms", "masks", "photos", "iou", "auc", "accuracy", "false_alarms")

_IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse",
    "geese": "goose", "feet": "foot", "teeth": "tooth", "knives": "knife", "wolves": "wolf",
    "leaves": "leaf", "loaves": "loaf", "scarves": "scarf", "shelves": "shelf", "calves": "calf",
    "oxen": "ox", "cacti": "cactus", "octopi": "octopus", "buses": "bus",
}  # fmt: skip
_SPELLINGS = (("aeroplane", "airplane"), ("grey", "gray"), ("tyre", "tire"), ("colour", "color"))
_ARTICLES = ("a ", "an ", "the ")


@dataclass(frozen=True)
class Concept:
    """One thing that the model can find.

    Attributes:
        name: what it is called.
        synonyms: other words for exactly this.
        kinds: words for some of these only.
        trust: how far the text is trusted, in [0, 1]: n / (n + 20) after n masked training photos, where a
            class of ImageNet counts like a few of them; 0 where training knows nothing of it.
    """

    name: str
    synonyms: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    trust: float = 1.0

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Concept:
        """From what ``dataclasses.asdict`` made and JSON kept."""
        return cls(
            value["name"],
            tuple(value.get("synonyms", ())),
            tuple(value.get("kinds", ())),
            float(value.get("trust", 1.0)),
        )


@dataclass(frozen=True)
class Match:
    """The concept a phrase leads to, and how far its text is trusted for this phrase, in [0, 1]."""

    index: int
    concept: Concept
    trust: float


@dataclass(frozen=True)
class Vocabulary:
    """Concepts in the order of the model's table.

    Attributes:
        concepts: what the model can find; the first is "background".
        near: words outside the vocabulary and the concept closest in meaning. Only to suggest: the
            model cannot find these things by name.

    >>> words = Vocabulary((Concept("dog", ("hound",), ("beagle",)), Concept("tv monitor", ("tv",))))
    >>> words.resolve("Puppies") is None, words.resolve("Hounds").concept.name
    (True, 'dog')
    >>> words.resolve("beagle").trust
    0.8
    """

    concepts: tuple[Concept, ...]
    near: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(
        cls, concepts: Iterable[Mapping[str, Any]], near: Mapping[str, str] | None = None
    ) -> Vocabulary:
        """From the lists that ``config.json`` holds."""
        return cls(tuple(Concept.from_json(c) for c in concepts), dict(near or {}))

    @cached_property
    def _entries(self) -> dict[str, tuple[int, float]]:
        entries: dict[str, tuple[int, float]] = {}
        # Names win over synonyms, and both over kinds, whichever concept comes first.
        for of, trust in (("name", 1.0), ("synonyms", 1.0), ("kinds", KIND)):
            for i, concept in enumerate(self.concepts):
                words = getattr(concept, of)
                for word in (words,) if isinstance(words, str) else words:
                    entries.setdefault(_normal(word), (i, trust))
        for word, found in list(entries.items()):
            entries.setdefault(word.replace(" ", ""), found)  # "tvmonitor"
        return entries

    @cached_property
    def trusted(self) -> tuple[Concept, ...]:
        """The concepts whose text is trusted, without the background."""
        return tuple(c for c in self.concepts if c.trust > 0 and c.name != "background")

    @cached_property
    def words(self) -> tuple[str, ...]:
        """What may be typed and is trusted: names, synonyms and kinds, in alphabetical order."""
        words = {word for c in self.trusted for word in (c.name, *c.synonyms, *c.kinds)}
        # One concept's kind may be the name of another, which is not trusted.
        leading = (w for w in words if (match := self.resolve(w)) and match.trust > 0)
        return tuple(sorted(leading, key=str.casefold))

    def resolve(self, phrase: str) -> Match | None:
        """The concept that a phrase means, or None for an unknown word.

        Case, articles, hyphens, plurals and British spellings do not matter. Of several words the last
        ones decide ("brown dog" is a dog), with less trust.
        """
        words = _normal(phrase).split()
        for start in range(len(words)):
            for form in _forms(" ".join(words[start:])):
                found = self._entries.get(form)
                if found is not None:
                    index, trust = found
                    concept = self.concepts[index]
                    return Match(index, concept, concept.trust * (trust if start == 0 else COMPOUND))
        return None

    def closest(self, phrase: str, count: int = 3) -> tuple[str, ...]:
        """Names of trusted concepts closest to a phrase, by meaning and then by letters; none if none is.

        Args:
            phrase: what was typed.
            count: how many at most.
        """
        text = _normal(phrase)
        names = dict.fromkeys(self.near[form] for form in _forms(text) if form in self.near)
        # All that are alike: many words may stand for one concept, or for one that is not trusted.
        alike = difflib.get_close_matches(text, list(self._entries), len(self._entries), SIMILAR)
        names |= dict.fromkeys(self.concepts[self._entries[word][0]].name for word in alike)
        trusted = {concept.name for concept in self.concepts if concept.trust > 0}
        return tuple(name for name in names if name in trusted)[:count]


def _normal(phrase: str) -> str:
    text = unicodedata.normalize("NFKC", phrase).casefold()
    text = " ".join(re.sub(r"[^\w]+|_", " ", text).split())
    for article in _ARTICLES:
        text = text.removeprefix(article)
    for british, american in _SPELLINGS:
        text = re.sub(rf"\b{british}(s?)\b", rf"{american}\1", text)
    return text


def _forms(text: str) -> tuple[str, ...]:
    """A phrase, its possible singulars, and the same without spaces."""
    head, _, last = text.rpartition(" ")
    singulars = [last]
    if last in _IRREGULAR:
        singulars.append(_IRREGULAR[last])
    if last.endswith("ies") and len(last) > 4:
        singulars.append(last[:-3] + "y")
    if last.endswith("es") and len(last) > 3:
        singulars.append(last[:-2])
    if last.endswith("s") and len(last) > 2:
        singulars.append(last[:-1])
    whole = [f"{head} {word}".strip() for word in singulars]
    return tuple(dict.fromkeys([*whole, *(w.replace(" ", "") for w in whole)]))


@dataclass(frozen=True)
class WordFigures:
    """One line of the table that ships beside a model's weights; None where too few photos could tell.

    Attributes:
        name, synonyms: of the concept.
        masks: training photos in which it was outlined; 0: never, so its word is treated as unknown.
        photos: held-out photos that show it.
        iou: of its outlines from the word alone, on those photos.
        auc: ROC AUC of presence, photos with it against photos without.
        accuracy: of presence, were half of the photos without it.
        false_alarms: share of the photos without it in which it is seen.
    """

    name: str
    synonyms: tuple[str, ...]
    masks: int
    photos: int
    iou: float | None
    auc: float | None
    accuracy: float | None
    false_alarms: float | None


def read_table(folder: Path) -> tuple[WordFigures, ...]:
    """What ``vocabulary.csv`` of a model's folder says of its words; empty where there is none."""
    path = folder / TABLE
    if not path.is_file():
        return ()
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    figures = [[float(row[c]) if row[c] else None for c in TABLE_COLUMNS[4:]] for row in rows]
    return tuple(
        WordFigures(
            row["concept"], tuple(filter(None, row["synonyms"].split(";"))),
            int(row["masks"]), int(row["photos"]), *numbers,
        )
        for row, numbers in zip(rows, figures)
    )  # fmt: skip
