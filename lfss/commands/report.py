"""How a run over pictures is carried out and reported."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from ..batch.loop import Done, Outcome, Step, finished
from ..doubt import warning
from ..errors import LfssError, WeightsError
from ..text import escaped
from . import FAILED, NO_WEIGHTS, OK, STOPPED
from .console import GOES_ON, counted, print_summary, print_table, with_progress

MOST_COPIED = 5  # pictures whose copies are told
MOST_TOLD = 100  # failures that are listed; a workspace knows all of them


@dataclass
class Report:
    """How a run went.

    Attributes:
        counts: masks by what became of them.
        failures: the first pictures that failed, each with the reason.
        lost: for each label and each label that took pixels from it: on how many pictures, and the sum of
            the shares that it lost.
        copies: pictures that are copies of another one, by its name.
        everything: for each label: on how many pictures nothing set it apart from the rest.
        stop: why the run ended early; empty if it did not.
        code: exit code of the command.
        seconds: of the run.
    """

    counts: Counter[str] = field(default_factory=lambda: Counter(done=0, kept=0, failed=0))
    failures: dict[str, str] = field(default_factory=dict)
    failed_pictures: int = 0
    lost: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    copies: Counter[str] = field(default_factory=Counter)
    everything: Counter[str] = field(default_factory=Counter)
    stop: str = ""
    code: int = OK
    seconds: float = 0.0

    def add(self, done: Done) -> None:
        """Count a picture."""
        failed = [outcome for outcome in done.outcomes if outcome.status == "failed"]
        self.failed_pictures += bool(failed)
        if failed and len(self.failures) < MOST_TOLD:
            self.failures[failed[0].image] = failed[0].message
        if (first := next((o.copy_of for o in done.outcomes if o.copy_of), "")) and (
            first in self.copies or len(self.copies) < MOST_TOLD
        ):
            self.copies[first] += 1
        for outcome in done.outcomes:
            self.counts[outcome.status] += 1
            if outcome.status == "done" and warning(outcome.area or 0.0, outcome.label):
                self.everything[outcome.label] += 1
            for winner, share in outcome.lost.items() if outcome.status == "done" else ():
                count, total = self.lost.get((outcome.label, winner), (0, 0.0))
                self.lost[outcome.label, winner] = count + 1, total + share

    def as_json(self) -> dict[str, Any]:
        """The part of the report that all runs share."""
        lost = [
            {"label": label, "to": winner, "pictures": count, "mean_share": round(total / count, 4)}
            for (label, winner), (count, total) in self.lost.items()
        ]
        everything = [{"label": label, "pictures": n} for label, n in self.everything.items()]
        document: dict[str, Any] = {"counts": dict(self.counts), "seconds": round(self.seconds, 3)}
        if self.copies:
            document["copies"] = dict(self.copies)
        document |= {"lost": lost, "covers_everything": everything}
        return document | {"error": self.stop or None, "exit_code": self.code}

    def print(self, where: str) -> None:
        """The counts, and what labels lost to each other, and what covers everything."""
        print_summary(self.counts, self.seconds, where, stop=self.stop)
        for name, number in self.copies.most_common(MOST_COPIED):
            has, share = ("has", "shares") if number == 1 else ("have", "share")
            print(
                f"{counted(number, 'picture')} {has} the same pixels as '{escaped(name)}' "
                f"and {share} its draft."
            )
        if rest := sum(self.copies.values()) - sum(n for _, n in self.copies.most_common(MOST_COPIED)):
            print(f"and {counted(rest, 'more copy', 'more copies')} of other pictures.")
        for (label, winner), (count, total) in self.lost.items():
            print(
                f"On {counted(count, 'picture')} '{winner}' got pixels that '{label}' claimed too, "
                f"{total / count:.1%} of its mask on average."
            )
        for label, count in self.everything.items():
            print(
                f"On {counted(count, 'picture')} the mask of '{label}' covers nearly everything: nothing set "
                "it apart. If that is wrong, mark on a support what is not the object."
            )

    def print_failures(self) -> None:
        """A table of the pictures that failed."""
        if self.failures:
            print_table([("picture", "why it failed"), *self.failures.items()])
            if self.failed_pictures > len(self.failures):
                print(f"and {counted(self.failed_pictures - len(self.failures), 'more picture')}")


def carry_out(
    events: Generator[Step | Done], total: int, *, note: Callable[[Outcome], None] = lambda outcome: None
) -> Report:
    """Drain a run, whose results are on the disk already, however it ends.

    Args:
        events: of ``batch.loop.run``.
        total: number of pictures.
        note: called with each outcome.
    """
    report, started = Report(), time.monotonic()
    try:
        with closing(events):  # frees the workers of a cluster
            for done in with_progress(finished(events), total):
                report.add(done)
                for outcome in done.outcomes:
                    note(outcome)
    except KeyboardInterrupt:
        report.stop, report.code = GOES_ON, STOPPED
    except LfssError as error:
        report.stop = str(error)
        report.code = NO_WEIGHTS if isinstance(error, WeightsError) else FAILED
    if report.counts["failed"]:
        report.code = report.code or FAILED
    report.seconds = time.monotonic() - started
    return report


def lost_text(lost: Mapping[str, float]) -> str:
    """``dog 12.0%``: what a mask lost to which labels; a dash for nothing."""
    return ", ".join(f"{label} {share:.1%}" for label, share in lost.items()) or "-"


def one_or_all(values: Iterable[Any]) -> Any:
    """The value itself where a run has one label, else the list of all."""
    found = list(values)
    return found[0] if len(found) == 1 else found
