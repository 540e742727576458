"""Flags that may name a label: ``--support dog=a.jpg`` is for the label "dog", ``--support a.jpg`` for all.

What stands before the first "=" names a label only if the command searches for a label of that name. A file
whose own name begins like that is written with its folder: ``--support ./dog=a.jpg``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..labels import Label, label_key, parse_label

KINDS = ("box", "mask", "scribble")


@dataclass(frozen=True)
class LabelledFlags:
    """What the flags say, label by label.

    Attributes:
        labels: as typed, in order.
        supports: for each label the files and folders of its supports.
        marks: for each label the values of ``--box``, ``--mask`` and ``--scribble``, without the label.
        may_overlap: pairs of names that may lie on each other.
    """

    labels: tuple[Label, ...]
    supports: tuple[tuple[Path, ...], ...]
    marks: tuple[dict[str, tuple[str, ...]], ...]
    may_overlap: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, args: argparse.Namespace) -> LabelledFlags:
        """Read the flags.

        Raises:
            LabelError: a label cannot be used.
            InputError: marks or "not" words do not say which of several labels they belong to, or a pair
                is not one.
        """
        names = [parse_label(text).text for text in args.label]
        apart = {flag: _by_label(getattr(args, flag), names) for flag in ("not_words", "support", *KINDS)}
        for flag in ("not_words", *KINDS):
            if len(names) > 1 and apart[flag][None]:
                name = "not" if flag == "not_words" else flag
                raise InputError(
                    f"There are several labels, and --{name} '{apart[flag][None][0]}' does not say which it "
                    f"belongs to. Write --{name} '{names[0]}=...'."
                )
        numbers = range(len(names))
        return cls(
            tuple(
                parse_label(text, not_words=",".join(_of(apart["not_words"], number)))
                for number, text in enumerate(args.label)
            ),
            tuple(tuple(map(Path, _of(apart["support"], number))) for number in numbers),
            tuple({kind: tuple(_of(apart[kind], number)) for kind in KINDS} for number in numbers),
            tuple(_pair(text) for text in args.may_overlap),
        )


def _by_label(texts: Sequence[str], names: Sequence[str]) -> dict[int | None, list[str]]:
    """Values by the number of the label that stands before them; None: for all labels."""
    numbers = {label_key(name): number for number, name in enumerate(names)}
    found: dict[int | None, list[str]] = {number: [] for number in (None, *range(len(names)))}
    for text in texts:
        before, equals, rest = text.partition("=")
        number = numbers.get(label_key(before)) if equals else None
        found[number].append(text if number is None else rest)
    return found


def _of(values: dict[int | None, list[str]], number: int) -> list[str]:
    """What is for all labels, then what is for this one."""
    return [*values[None], *values[number]]


def _pair(text: str) -> tuple[str, str]:
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names) or label_key(names[0]) == label_key(names[1]):
        raise InputError(f"--may-overlap names two labels, such as 'rider,horse', not '{text}'.")
    return names[0], names[1]
