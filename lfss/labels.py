"""Labels as people type them, and the words that compete with them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import LabelError
from .text import checked, escaped

MAX_LENGTH = 200
MAX_PHRASES = 16
# Text trust below which a word is weak: few masks taught it or none, so its evidence ranks the cells of a
# picture that shows the object, and says little of how likely the object is.
WEAK = 0.4

# Words for what surrounds objects in everyday photos. They compete with the label for each cell.
BACKGROUND_WORDS: tuple[str, ...] = (
    "ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river", "sea",
    "railway", "helmet", "cloud", "house", "mountain", "ocean", "road", "rock", "street", "valley",
    "bridge", "floor", "ceiling", "background",
)  # fmt: skip


@dataclass(frozen=True)
class Label:
    """A class as a person names it.

    Attributes:
        text: the name, as typed and as exported.
        synonyms: further words for the same thing; the best of them counts.
        distractors: words that compete with it ("not" words).
    """

    text: str
    synonyms: tuple[str, ...] = ()
    distractors: tuple[str, ...] = ()

    @property
    def phrases(self) -> tuple[str, ...]:
        """The name and its synonyms."""
        return (self.text, *self.synonyms)


def label_key(name: str) -> str:
    """What names of the same label have in common: two names are one label if their keys are equal.

    Upper and lower case, the two ways of writing an accent in Unicode, and the number of spaces make no
    difference, because many tools and file systems make none. This is the only place that decides it.

    >>> label_key("Traffic  Light") == label_key("traffic light")
    True
    """
    folded = unicodedata.normalize("NFC", name).casefold()
    # Escaped, so that a name with half a character can be looked for in a file: there is none of that name.
    return escaped(" ".join(unicodedata.normalize("NFC", folded).split()))


def find_label(name: str, names: Iterable[str]) -> str | None:
    """The spelling among ``names`` of the label that is called ``name``; None if it is not there."""
    key = label_key(name)
    return next((other for other in names if label_key(other) == key), None)


def parse_label(text: str, *, not_words: str = "") -> Label:
    """Read ``"dog, puppy"`` and optional ``"cat, wolf"`` into a Label.

    Args:
        text: the name, then synonyms after commas.
        not_words: words that compete with it, separated by commas.

    Raises:
        LabelError: no letter or digit in the name, more than 200 characters, or more than 16 words.
    """
    phrases, distractors = _split(text, "label"), _split(not_words, "'not' words")
    if not phrases:
        raise LabelError("Type a label: one name such as 'dog', synonyms after commas.")
    own = {label_key(phrase) for phrase in phrases}
    distractors = tuple(d for d in distractors if label_key(d) not in own)
    return Label(phrases[0], phrases[1:], distractors)


def competitors(label: Label) -> tuple[str, ...]:
    """Words that compete with the label for each cell: its "not" words, then background words.

    Background words that are the label itself, or one of its words, do not compete.
    """
    own = {label_key(phrase) for phrase in label.phrases}
    words = (w for w in BACKGROUND_WORDS if not any(w in o.split() or o == w for o in own))
    return (*label.distractors, *words)


def checked_name(text: str, what: str = "label") -> str:
    """A name as it is kept and exported, by the one rule for names wherever they come from.

    Composed form (NFC), single blanks, at least one letter or digit, at most ``MAX_LENGTH`` characters, all
    of which can be shown.

    Raises:
        LabelError: it breaks the rule.
    """
    name = checked(" ".join(text.split()), f"A {what}", most=MAX_LENGTH, error_class=LabelError)
    if not name:
        raise LabelError(f"A {what} needs a name, and this one is blank. Type one such as 'dog'.")
    if not any(c.isalnum() for c in name):
        raise LabelError(f"A {what} needs letters or digits; '{name}' has none. Type a name such as 'dog'.")
    return name


def checked_label(label: Label) -> Label:
    """A label of which every word keeps the rule of ``checked_name``; for labels that were not typed here.

    Raises:
        LabelError: a word breaks the rule, or there are too many.
    """
    for what, words in (("label", label.phrases), ("'not' words", label.distractors)):
        _check_count(words, what)
    return Label(
        checked_name(label.text),
        tuple(checked_name(word) for word in label.synonyms),
        tuple(checked_name(word, "'not' word") for word in label.distractors),
    )


def _split(text: str, what: str) -> tuple[str, ...]:
    if len(text) > MAX_LENGTH:
        raise LabelError(
            f"A {what} field holds at most {MAX_LENGTH} characters; this one has {len(text)}. "
            "Type a name and a few synonyms."
        )
    found: dict[str, str] = {}
    for part in text.split(","):
        if part.strip():
            name = checked_name(part, what)
            found.setdefault(label_key(name), name)
    parts = tuple(found.values())
    _check_count(parts, what)
    return parts


def _check_count(words: tuple[str, ...], what: str) -> None:
    if len(words) > MAX_PHRASES:
        raise LabelError(f"A {what} field holds at most {MAX_PHRASES} words; this one has {len(words)}.")
