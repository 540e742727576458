"""Improve the drafts of a run with the whole folder: what ``lfss.folder_pass`` learns, put into a workspace.

    encoder = Encoder(predictor.encode, edges=predictor.edges)
    lesson = learn(workspace, encoder, ["dog", "cat"])
    for found in changes(workspace, encoder, lesson):  # of one picture after the other
        for change in found:
            keep(workspace, change)
    undo(workspace, ["dog", "cat"])

A pass starts from what the model said before any pass, so that a second one, after more was checked, does not
pile up on the first. Only drafts that nobody has checked change, each by one change in its history; masks
that a person accepted or corrected, and pictures that a person called empty, teach. Pictures are read one at
a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from .cells import Encoder
from .competition import compete
from .doubt import confidence, doubt_of
from .drafts import Draft, Status
from .edge_network import EdgeNetwork, score_at_pixels
from .errors import ImageError, InputError, WorkspaceError
from .folder_pass import Floats, FolderConfig, Sample, Verdict, join, judge, read, take_sample, teach
from .images import Image, read_image
from .labels import label_key
from .packing import unpack_scores
from .workspace import Workspace

PASS = "folder"  # in the settings of a draft's origin: the mask was made with the help of the folder
CHECKED: tuple[Status, ...] = ("accepted", "edited", "absent")
Opened = Callable[[Path, str], AbstractContextManager[Image | None]]


class Lesson(NamedTuple):
    """What a folder teaches: for each label, in order, whether it helps, and how much of the folder shows
    it, in [0, 1]; ``prototypes`` (L + 1, C)."""

    labels: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    shown: tuple[float, ...]
    prototypes: Tensor


@dataclass(frozen=True, eq=False)
class Change:
    """A draft that the folder would change.

    Attributes:
        before: (H, W) bool, the mask as it is.
        draft: the new draft.
        scores: (H, W) in [0, 1], the map that its mask is cut from.
        overlap: intersection over union of the two masks; 1 if both are empty.
    """

    before: npt.NDArray[np.bool_]
    draft: Draft
    scores: Floats
    overlap: float


def _opened(path: Path, name: str) -> AbstractContextManager[Image | None]:
    return nullcontext(read_image(path, name=name))


def samples(
    workspace: Workspace, encoder: Encoder, labels: Sequence[str], config: FolderConfig | None = None, *,
    opened: Opened = _opened,
) -> Iterator[Sample]:  # fmt: skip
    """What each picture that the pass learns from teaches, one by one, ``teachers`` of them at most.

    Args:
        workspace: with drafts of the labels, made by a model.
        encoder: of the preset that made them.
        labels: names that compete with each other.
        config: the choices.
        opened: how a picture is read; None stands for one that cannot be.

    Raises:
        InputError: a label is named twice.
    """
    config = config or FolderConfig()
    if len({label_key(name) for name in labels}) < len(labels):
        raise InputError(f"These labels are not all different: {', '.join(labels)}. Name each of them once.")
    for digest in _teachers(workspace, labels, config.pictures):
        with _picture(workspace, digest, opened) as image:
            found = image and _sample(workspace, image, encoder(image), labels, config.grid)
        if found:
            yield found


def lesson_of(found: Sequence[Sample], labels: Sequence[str], config: FolderConfig | None = None) -> Lesson:
    """What samples teach together.

    Raises:
        InputError: there are none.
    """
    if not found:
        raise InputError("There are no drafts to learn from. Segment the pictures first.")
    sums = teach(found)
    verdicts = judge(found, sums, labels, config or FolderConfig())
    return Lesson(tuple(labels), tuple(verdicts), tuple(sums.shown().tolist()), sums.prototypes())


def learn(
    workspace: Workspace, encoder: Encoder, labels: Sequence[str], config: FolderConfig | None = None
) -> Lesson:
    """Learn from the pictures of a run: ``samples`` and ``lesson_of`` in one, with their errors.

    Args:
        workspace, encoder, labels, config: see ``samples``.
    """
    return lesson_of(list(samples(workspace, encoder, labels, config)), labels, config)


def pictures(workspace: Workspace, labels: Sequence[str]) -> int:
    """How many pictures ``changes`` goes through."""
    return len(_digests(workspace, labels))


def changes(
    workspace: Workspace, encoder: Encoder, lesson: Lesson, *, config: FolderConfig | None = None,
    may_overlap: Collection[tuple[int, int]] = (), snap: bool = True, opened: Opened = _opened,
) -> Iterator[tuple[Change, ...]]:  # fmt: skip
    """What the lesson changes, picture by picture, also where that is nothing; nothing is stored.

    Args:
        workspace, encoder, opened: as in ``samples``.
        lesson: of ``learn``.
        config: the choices.
        may_overlap: pairs of numbers of labels that may lie on each other.
        snap: move the masks' borders to the pictures' edges.
    """
    helps = any(verdict.helps for verdict in lesson.verdicts)
    for digest in _digests(workspace, lesson.labels):
        drafts = [workspace.draft(digest, label) for label in lesson.labels]
        found: tuple[Change, ...] = ()
        # Where nothing was found nothing is asked for, so the picture is not even read.
        if helps and any(d and d.status == "proposed" and not d.empty for d in drafts):
            with _picture(workspace, digest, opened) as image:
                if image is not None:
                    made = _changed(
                        workspace, image, encoder(image), drafts, lesson, config or FolderConfig(),
                        may_overlap, snap, encoder.edges,
                    )  # fmt: skip
                    found = tuple(made)
        yield found


def overlapping(labels: Sequence[str], pairs: Iterable[tuple[str, str]]) -> list[tuple[int, int]]:
    """Pairs of names that may lie on each other as pairs of numbers; those of other labels are left out."""
    numbers = {label_key(name): number for number, name in enumerate(labels)}
    keys = [(label_key(one), label_key(other)) for one, other in pairs]
    return [(numbers[a], numbers[b]) for a, b in keys if a in numbers and b in numbers]


def keep(workspace: Workspace, change: Change) -> bool:
    """Store a change; False where a person has decided about the draft meanwhile."""
    return workspace.put_draft(change.draft, change.scores)


def undo(workspace: Workspace, labels: Sequence[str]) -> int:
    """Take the folder's help back from every draft that nobody has checked since; returns from how many.

    A draft whose threshold was changed after a pass loses that change too, since it came later.
    """
    count = 0
    for label in labels:
        for draft in workspace.drafts(label, "proposed"):
            now: Draft | None = draft
            while now is not None and PASS in now.origin.settings:
                now = workspace.undo(draft.image_digest, label)
            count += PASS in draft.origin.settings and now is not None
    return count


def _changed(
    workspace: Workspace,
    image: Image,
    cells: Tensor,
    drafts: Sequence[Draft | None],
    lesson: Lesson,
    config: FolderConfig,
    may_overlap: Collection[tuple[int, int]],
    snap: bool,
    edges: EdgeNetwork | None,
) -> Iterator[Change]:
    """The changes of one picture; labels that the folder does not help compete as they are."""
    logits = read(cells, lesson.prototypes, scale=config.scale).numpy()  # (L, h, w)
    scores: list[Floats | None] = [None] * len(drafts)
    masks = [np.zeros(image.size, np.bool_) if d is None or d.empty else d.mask for d in drafts]
    claims = [mask.astype(np.float32) for mask in masks]  # what stays is not taken from
    for number, draft in enumerate(drafts):
        first = _first_map(workspace, draft, image.size)
        if draft is None or draft.status != "proposed" or first is None:
            continue
        claims[number] = first
        if lesson.verdicts[number].helps:
            of_folder = score_at_pixels(logits[number], image.pixels, edges, snap=snap)
            new = join(first, of_folder, config, shown=lesson.shown[number])
            scores[number] = claims[number] = new
            # An absent object stays absent.
            masks[number] = (new >= draft.origin.threshold) & masks[number].any()
    left = compete(np.stack(claims), np.stack(masks), may_overlap=may_overlap).masks
    for draft, found, mask in zip(drafts, scores, left):
        if draft is not None and found is not None and not np.array_equal(mask, draft.mask):
            yield Change(draft.mask, _new_draft(draft, mask, found), found, _iou(draft.mask, mask))


def _new_draft(draft: Draft, mask: npt.NDArray[np.bool_], score: Floats) -> Draft:
    return replace(
        draft,
        mask=mask,
        score=confidence(score, mask, presence=draft.presence),
        doubt=doubt_of(score, draft.origin.threshold),
        origin=replace(draft.origin, settings={**draft.origin.settings, PASS: "yes"}),
    )


def _teachers(workspace: Workspace, labels: Sequence[str], count: int) -> list[str]:
    """The pictures to learn from: those that a person has checked first, then others, spread evenly."""
    checked: dict[str, None] = {}
    for label in labels:
        for row in workspace.overview(label, CHECKED):
            checked[row.digest] = None
    rest = [digest for digest in _digests(workspace, labels) if digest not in checked]
    chosen = _spread(list(checked), count)
    return chosen + _spread(rest, count - len(chosen))


def _spread(items: Sequence[str], count: int) -> list[str]:
    if len(items) <= count:
        return list(items)
    return [items[place * len(items) // count] for place in range(count)]


def _digests(workspace: Workspace, labels: Sequence[str]) -> dict[str, None]:
    """Pictures with a draft of any of the labels, in the order in which they were added."""
    return dict.fromkeys(row.digest for label in labels for row in workspace.overview(label))


def _sample(workspace: Workspace, image: Image, cells: Tensor, labels: Sequence[str], grid: int) -> Sample:
    first: list[Floats | None] = []
    presence, checked = [], []
    for label in labels:
        draft = workspace.draft(image.digest, label)
        decided = draft is not None and draft.status in CHECKED
        useless = draft is None or draft.status == "rejected"
        if useless or draft is None:
            first.append(None)
        elif decided:
            first.append(draft.mask.astype(np.float32))
        else:
            first.append(_first_map(workspace, draft, None))
        there = 0.0 if useless or draft is None else 1.0 if draft.presence is None else draft.presence
        presence.append(float(draft.mask.any()) if decided and draft is not None else there)
        checked.append(decided)
    return take_sample(cells, first, presence, checked, grid=grid)


def _first_map(workspace: Workspace, draft: Draft | None, size: tuple[int, int] | None) -> Floats | None:
    """What the model said before any pass, at a size (H, W) or as it is kept; None if no model made it."""
    kept = None if draft is None else workspace.score_map(draft.image_digest, draft.label, without=PASS)
    if kept is None:
        return None
    scores = unpack_scores(kept.scores)
    if size is None or scores.shape == size:
        return scores
    return np.asarray(cv2.resize(scores, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), np.float32)


@contextmanager
def _picture(workspace: Workspace, digest: str, opened: Opened) -> Iterator[Image | None]:
    """The picture, or None where its file is gone: then its draft stays as it is."""
    with ExitStack() as stack:
        try:
            name = workspace.image(digest).name
            image = stack.enter_context(opened(workspace.image_path(digest), name))
        except (ImageError, WorkspaceError, OSError):
            image = None
        yield image


def _iou(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    either = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / either) if either else 1.0
