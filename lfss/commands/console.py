"""What the commands print: progress on stderr, tables and JSON on stdout."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ..text import escaped

TELL_EVERY = 10.0  # seconds between two lines of progress where there is no terminal
GOES_ON = "Stopped. What is done is kept; the same command again goes on from here."

T = TypeVar("T")


def with_progress(outcomes: Iterable[T], total: int) -> Iterator[T]:
    """A bar with the time left where there is a terminal, else a line now and then; both on stderr.

    The time left counts from the pace of the last seconds: pictures that an earlier run has done go by
    quickly and say nothing about the rest.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        raw = getattr(sys.stderr, "raw", sys.stderr)  # the bar moves the cursor
        yield from tqdm(outcomes, total=total, unit="picture", file=raw)
        return
    printed_at, before = time.monotonic(), 0
    for done, outcome in enumerate(outcomes, start=1):
        yield outcome
        now = time.monotonic()
        if done == 1:  # it waited for models to load, on other machines perhaps
            printed_at, before = now, done
        elif now - printed_at >= TELL_EVERY:
            left = duration((now - printed_at) / (done - before) * (total - done))
            print(f"{done} of {total} pictures, about {left} left", file=sys.stderr, flush=True)
            printed_at, before = now, done


def report_error(sentence: str, code: int, *, as_json: bool) -> int:
    """Say why nothing was done; returns the code."""
    print(sentence, file=sys.stderr)
    if as_json:
        print_json({"error": sentence, "exit_code": code})
    return code


def print_json(document: dict[str, Any]) -> None:
    """One JSON document, in ASCII so that every terminal and pipe takes it."""
    print(json.dumps(document))


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Rows of text in columns, a line each; the first row is the heading."""
    rows = [tuple(escaped(cell).replace("\n", "\\n") for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def print_summary(counts: Mapping[str, int], seconds: float, where: str, *, stop: str) -> None:
    """How a run over pictures ended.

    Args:
        counts: pictures done, kept and failed.
        seconds: how long it took.
        where: a sentence on where the results are.
        stop: on stderr, why the run ended early; empty if it did not.
    """
    print(
        f"\n{counts['done']} done, {counts['kept']} kept from before, {counts['failed']} failed, "
        f"in {duration(seconds)}. {where}"
    )
    if stop:
        print(stop, file=sys.stderr)


def shown(value: float | None, form: str) -> str:
    """A number in a format, or a dash."""
    return "-" if value is None else format(value, form)


def counted(number: int, one: str, many: str = "") -> str:
    """``1 draft``, ``2 drafts``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
