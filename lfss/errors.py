"""Every error that LFSS Studio raises on purpose.

::

    LfssError
      InputError(ValueError)     what was given cannot be used; the message says what to do
        ImageError               a file is not a readable picture, or too large
        LabelError               the text of a label is empty, too long, or has no letters
        SupportError             a support's box, scribble or mask does not fit its picture
        UnknownName              no preset, method or format of that name; lists the known ones
      NoForeground               nothing to segment from: no support shows the object
      WeightsError
        WeightsUnavailable       weights are neither here nor to be had; lists the places tried
        WeightsMismatch          a weight file does not fit the network; lists the keys
      WorkspaceError             a workspace is locked, newer than this program, or damaged
      ExportError                an export target exists, or names in it would clash

Messages have three parts: what was expected, what was given, what to do. They reach people word for
word, so they carry no jargon and no traceback. They quote names of files and values that others chose,
so every control character in them is made visible when the error is made: no terminal obeys it, and the
message can be stored and sent as text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def escaped(text: str) -> str:
    """Text in which control characters and broken Unicode are written out, such as ``\\x1b`` or ``\\udcff``.

    Line ends and tabs stay. Marks that turn the direction of writing are written out too.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_written_out(c) for c in text)


def _written_out(character: str) -> str:
    if character in "\n\t\u200c\u200d" or unicodedata.category(character) not in ("Cc", "Cf", "Cs"):
        return character
    return character.encode("unicode_escape").decode()


class LfssError(Exception):
    """Base of all errors raised on purpose."""

    def __init__(self, *args: object):
        super().__init__(*(escaped(a) if isinstance(a, str) else a for a in args))


class InputError(LfssError, ValueError):
    """Something that was given cannot be used."""


class ImageError(InputError):
    """A file is not a picture that can be read, or it is too large."""


class LabelError(InputError):
    """The text of a label cannot be used."""


class SupportError(InputError):
    """What is known of a support does not fit its picture."""


class UnknownName(InputError):
    """A name that is not in the list of known names."""

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        self.kind, self.name, self.known = kind, name, tuple(known)
        super().__init__(f"There is no {kind} '{name}'. Known: {', '.join(self.known)}.")


class NoForeground(LfssError):
    """No support of a label shows the object, so there is nothing to search for."""

    def __init__(self, message: str, *, label: str = ""):
        self.label = label
        super().__init__(message)


class WeightsError(LfssError):
    """Weights cannot be loaded."""


class WeightsUnavailable(WeightsError):
    """Weights are not on this machine and cannot be downloaded."""


class WeightsMismatch(WeightsError):
    """A weight file does not belong to the network it is loaded into."""


class WorkspaceError(LfssError):
    """A workspace cannot be opened or written."""


class ExportError(LfssError):
    """An export cannot be written as asked."""
