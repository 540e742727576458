"""Which drafts of a list a person wants to see: words of a name, and bounds such as ``doubt>0.3``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lfss.errors import InputError
from lfss.storage.listing import Row

NUMBERS = ("doubt", "score", "presence")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_BOUND = re.compile(r"([a-z]+)\s*([<>]=?)\s*(\S*)", re.IGNORECASE)


class Bound(NamedTuple):
    """A limit of one of ``NUMBERS``; a draft without that number is not within it."""

    of: str
    sign: str
    limit: float

    def holds(self, row: Row) -> bool:
        """Whether a draft is within it."""
        value = getattr(row, self.of)
        return value is not None and _COMPARE[self.sign](value, self.limit)


def parse(text: str) -> tuple[list[str], list[Bound]]:
    """Words and bounds of what was typed, such as ``beach doubt>0.3 presence<0.9``.

    Raises:
        InputError: a bound cannot be read.
    """
    bounds = []
    for name, sign, limit in _BOUND.findall(text):
        try:
            if name.lower() not in NUMBERS:
                raise ValueError(name)
            bounds.append(Bound(name.lower(), sign, float(limit.replace(",", "."))))
        except ValueError as error:
            raise InputError(
                f"'{name}{sign}{limit}' is no bound. Write for instance doubt>0.3 or presence<=0.5."
            ) from error
    return _BOUND.sub(" ", text).lower().split(), bounds


def found(rows: Sequence[Row], text: str) -> list[Row]:
    """The drafts whose names hold all words, and whose numbers are within all bounds.

    Raises:
        InputError: a bound cannot be read.
    """
    words, bounds = parse(text)
    return [
        row
        for row in rows
        if all(word in row.name.lower() for word in words) and all(bound.holds(row) for bound in bounds)
    ]
