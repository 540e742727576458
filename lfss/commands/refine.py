"""``segment --refine-with-folder``: a second pass in which all pictures of the workspace teach."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from ..cells import Encoder
from ..errors import InputError
from ..refine_folder import Lesson, changes, keep, learn, overlapping, pictures
from ..settings import Settings
from ..workspace import Workspace
from .console import counted, with_progress


class Refined(NamedTuple):
    """What a pass did: how many drafts of each label changed, how many nobody had checked, and why."""

    changed: Counter[str]
    unchecked: int
    lesson: Lesson | None

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        lesson = self.lesson
        labels = [
            {"label": name, "helps": verdict.helps, "reason": verdict.reason, "changed": self.changed[name]}
            for name, verdict in (zip(lesson.labels, lesson.verdicts) if lesson else ())
        ]
        return {"changed": self.changed.total(), "unchecked": self.unchecked, "labels": labels}

    def lines(self, workspace: str) -> list[str]:
        """For people."""
        if self.lesson is None:
            return ["There are no drafts that the whole folder could improve."]
        found = [
            f"With the whole folder {self.changed.total()} of {counted(self.unchecked, 'unchecked draft')} "
            "changed; what you checked stayed.",
            *(f"  {verdict.reason}" for verdict in self.lesson.verdicts),
        ]
        if self.changed:
            found.append(f"Take it back: lfss workspace {workspace} --undo-refine")
        return found


def refine(workspace: Workspace, encoder: Encoder, labels: list[str], settings: Settings) -> Refined:
    """Improve the drafts of these labels that nobody has checked, and store them one by one.

    Args:
        workspace: with drafts of the labels.
        encoder: of the preset that made them.
        labels: names that compete with each other.
        settings: of the run; those of the drafts are made anew with them.
    """
    unchecked = len(workspace.overview(labels, "proposed"))
    try:
        lesson = learn(workspace, encoder, labels)
    except InputError:  # every picture failed
        return Refined(Counter(), unchecked, None)
    pairs = overlapping(labels, settings.overlaps)
    found = changes(workspace, encoder, lesson, may_overlap=pairs, snap=settings.snap)
    changed: Counter[str] = Counter()
    for of_picture in with_progress(found, pictures(workspace, labels)):
        for change in of_picture:
            changed[change.draft.label] += keep(workspace, change)
    return Refined(changed, unchecked, lesson)
