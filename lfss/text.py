"""The one door for text: bytes become characters, and characters that cannot be shown or stored are caught.

Three questions, one function each:

- Bytes of a text file: ``decode`` reads UTF-8 with or without a byte order mark, and UTF-16 as PowerShell
  and Notepad write it.
- Text that a person or another program gave as a value, such as a label: ``checked`` accepts what can be
  shown and stored, in Unicode's composed form (NFC), and refuses the rest in one sentence.
- Text that cannot be refused, such as the name of a file that exists or a message that quotes it:
  ``escaped`` makes every character visible, so that no terminal obeys it; ``printable`` gives a name of
  the same length for files that are written.
"""

from __future__ import annotations

import codecs
import unicodedata
from typing import TextIO

from .errors import InputError, escaped

__all__ = ["Terminal", "checked", "decode", "encoding_of", "escaped", "joiner", "printable"]

MAX_VALUE = 4096  # characters of a value that is text; the longest path most systems take
_JOINERS = "\u200c\u200d"  # parts of words in several scripts, and of emoji
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes, what: str) -> str:
    """The text of a file.

    Args:
        data: all of its bytes.
        what: how the message calls it.

    Raises:
        InputError: it is neither UTF-8 nor UTF-16, or holds NUL.
    """
    try:
        text = data.decode(encoding_of(data))
    except UnicodeError as error:
        raise InputError(f"{what} is not text in UTF-8 or UTF-16. Save it again as UTF-8.") from error
    if "\0" in text:
        raise InputError(f"{what} holds NUL characters, so it is not text. Save it again as UTF-8.")
    return text


def encoding_of(head: bytes) -> str:
    """The encoding of a text file, told by its first bytes: UTF-8 unless they say otherwise."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    # UTF-16 without a mark: every second byte of Latin text is zero, and none of the others.
    even, odd = head[0:256:2], head[1:256:2]
    if odd and not any(odd) and all(even[: len(odd)]):
        return "utf-16-le"
    if odd and not any(even) and all(odd):
        return "utf-16-be"
    return "utf-8"


def checked(
    value: str, what: str, *, most: int = MAX_VALUE, error_class: type[InputError] = InputError
) -> str:
    """A value that is text, in composed form (NFC).

    Args:
        value: as it was given.
        what: how the message calls it, with a capital.
        most: characters that it may have.
        error_class: the error to raise.

    Raises:
        InputError: it is too long, or holds NUL, control characters, marks that turn the direction of
            writing, or half a character (a lone surrogate).
    """
    if len(value) > most:
        raise error_class(f"{what} has {len(value):,} characters; at most {most:,} are taken. Shorten it.")
    value = unicodedata.normalize("NFC", value)
    bad = next((c for c in value if _invisible(c)), None)
    if bad is not None:
        raise error_class(
            f"{what} holds a character that cannot be shown (U+{ord(bad):04X}): '{value}'. Type it again."
        )
    return value


def printable(text: str) -> str:
    """Text without control characters, line ends and broken Unicode, which become ``_``."""
    bad = ("Cc", "Cs", "Zl", "Zp")
    return "".join("_" if unicodedata.category(c) in bad or c in "\ufffe\uffff" else c for c in text)


def joiner(character: str) -> bool:
    """Whether an invisible character belongs to words and emoji, so that it may stay."""
    return character in _JOINERS


def _invisible(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and not joiner(character)


class Terminal:
    """Standard output or error to which no control character gets: file names may hold any.

    Attributes:
        raw: the stream itself, for programs that draw a bar on it.
    """

    def __init__(self, raw: TextIO):
        self.raw = raw

    def write(self, text: str) -> int:
        """Write text with its control characters made visible."""
        self.raw.write(escaped(text))
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self.raw, name)
