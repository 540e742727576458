"""What the folder pass does to the drafts of a folder of which a share of the pictures lacks the object.

A folder is drawn for a class and a seed: a support, marked or not, and pictures. Of these a share
shows something else; the pictures of a smaller share are those of a larger one as far as they go, so that
shares compare. The drafts are the product's own, presence check and all, in a workspace on the disk; the pass
is ``lfss.refine_folder``, as people run it.

Counted are all pictures, those without the object too, where anything found is wrong. A draft is usable from
an IoU of 0.8 on, and where the picture lacks the object if its mask is empty.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lfss.batch.drafts import draft_of
from lfss.cells import Encoder
from lfss.errors import InputError
from lfss.folder_pass import FolderConfig
from lfss.labels import parse_label
from lfss.predictor import Predictor
from lfss.refine_folder import changes, learn
from lfss.stages import Prediction
from lfss.storage.packed import PackedDraft, pack_draft
from lfss.workspace import Workspace

from ..data.datasets import DataSet
from ..data.encode import AnnotatedPicture, Kind, Mask, annotated, make_support
from ..data.episodes import Draws
from .metrics import overlap

GOOD = 0.8  # IoU from which a draft is used as it is
FIRST, PASS = "label only", "folder pass"
REST, CHECKED = "label only, rest", "some checked, rest"


@dataclass(frozen=True)
class Folder:
    """Ids of a support, of pictures with the object, of pictures without it, and of more supports to choose
    from, which are not of the folder."""

    class_name: str
    class_id: int
    support: str
    shown: tuple[str, ...]
    others: tuple[str, ...]
    more: tuple[str, ...] = ()

    def mixed(self, foreign: float) -> tuple[str, ...]:
        """As many pictures as show the object, a share of them from those that do not."""
        count = round(foreign * len(self.shown))
        return self.shown[: len(self.shown) - count] + self.others[:count]


class Score(NamedTuple):
    """Of one folder: class IoU over all its pictures; share of usable drafts, of all and of those with the
    object (None if there is none); and whether the pass trusted itself."""

    iou: float
    usable: float
    usable_shown: float | None
    helped: bool


def draw_folder(
    data: DataSet, class_name: str, *, photos: int, most: float, seed: int, supports: int = 1
) -> Folder:
    """Draw a folder.

    Args:
        data: pictures.
        class_name: the class.
        photos: pictures of the folder.
        most: the largest share that lacks the object.
        seed: any integer.
        supports: how many there are, with the one that each folder has. It changes nothing else of a folder.

    Raises:
        InputError: there are too few pictures.
    """
    (class_id,) = data.class_ids([class_name])
    pool, rest = list(data.ids_of(class_id, "area")), [s.id for s in data.samples if class_id not in s.areas]
    strangers = round(most * photos)
    if len(pool) < photos + supports or len(rest) < strangers:
        raise InputError(
            f"'{class_name}' has {len(pool)} pictures, and {len(rest)} lack it: a folder of {photos} needs "
            f"{photos + supports} and {strangers}. Ask for fewer --photos, or leave the class out."
        )
    draws = Draws(f"folder|{seed}|{class_name}")
    support, *shown = draws.sample(pool, photos + 1)
    others = draws.sample(rest, strangers)
    left = [i for i in pool if i != support and i not in shown]
    return Folder(class_name, class_id, support, tuple(shown), others, draws.sample(left, supports - 1))


def predict_folder(
    predictor: Predictor, data: DataSet, folder: Folder, kind: Kind = "label", supports: int = 1
) -> dict[str, Prediction]:
    """The first drafts of all pictures of a folder, by name.

    Args:
        predictor: with its method.
        data: where the pictures are.
        folder: with its class and its supports.
        kind: how the supports are marked.
        supports: how many are used.
    """
    given = [
        make_support(annotated(data, i, folder.class_id), kind, seed=i)
        for i in (folder.support, *folder.more[: supports - 1])
    ]
    prepared = predictor.prepare(parse_label(folder.class_name), given)
    return {
        i: _bare(predictor.predict(prepared, annotated(data, i, folder.class_id).image))
        for i in (*folder.shown, *folder.others)
    }


def score_folder(
    data: DataSet, folder: Folder, first: Mapping[str, Prediction], encoder: Encoder, config: FolderConfig, *,
    foreign: float, checked: int = 0, rivals: Mapping[str, Mapping[str, Prediction]] | None = None,
) -> dict[str, Score]:  # fmt: skip
    """Scores of each row for one share of pictures that lack the object.

    For two more rows a person has corrected some pictures that show the object, ``checked`` of them. These
    teach, and are neither improved nor counted: the rows compare on the rest.

    Args:
        data: where the pictures are.
        folder: with its class.
        first: the drafts of ``predict_folder``.
        encoder: of the preset that made them.
        config: of the folder pass.
        foreign: the share, in [0, 1).
        checked: how many a person has corrected.
        rivals: drafts that are made otherwise, by the names of their rows.
    """
    ids = folder.mixed(foreign)
    pictures = {i: annotated(data, i, folder.class_id) for i in ids}
    corrected = [i for i in ids if pictures[i].mask.any()][:checked]
    packed = {i: pack_draft(draft_of(first[i], pictures[i].image), first[i].score) for i in ids}
    plain = {i: first[i].mask for i in ids}
    rows = {FIRST: _score(pictures, plain, helped=False)}
    for name, drafts in (rivals or {}).items():
        rows[name] = _score(pictures, {i: drafts[i].mask for i in ids}, helped=False)
    if checked:
        rows[REST] = _score(pictures, _but(plain, corrected), helped=False)
    for name, known in ((PASS, []), (CHECKED, corrected))[: 1 + bool(checked)]:
        masks, helped = _refined(folder.class_name, pictures, plain, packed, encoder, config, known)
        rows[name] = _score(pictures, _but(masks, known), helped=helped)
    return rows


def _refined(
    name: str, pictures: Mapping[str, AnnotatedPicture], first: Mapping[str, Mask],
    packed: Mapping[str, PackedDraft], encoder: Encoder, config: FolderConfig, checked: Sequence[str],
) -> tuple[dict[str, Mask], bool]:  # fmt: skip
    """Masks by id after a pass over a workspace of these drafts, and whether the pass trusted itself."""
    masks = dict(first)
    with tempfile.TemporaryDirectory() as place, Workspace.open(Path(place)) as workspace:
        workspace.put_packed(list(packed.values()))
        for i in checked:
            workspace.edit_mask(pictures[i].image.digest, name, pictures[i].mask)
        ids = {picture.image.digest: i for i, picture in pictures.items()}
        lesson = learn(workspace, encoder, [name], config)
        for change in chain.from_iterable(changes(workspace, encoder, lesson, config=config)):
            masks[ids[change.draft.image_digest]] = change.draft.mask
    return masks, lesson.verdicts[0].helps


def _score(pictures: Mapping[str, AnnotatedPicture], masks: Mapping[str, Mask], *, helped: bool) -> Score:
    sums, good, shown = np.zeros(2), [], []
    for i, mask in masks.items():
        picture = pictures[i]
        both, either = overlap(mask, picture.mask, picture.ignore)
        sums += both, either
        good.append(not either or both / either >= GOOD)
        shown.append(bool(picture.mask.any()))
    with_it = [g for g, s in zip(good, shown) if s]
    return Score(
        float(sums[0] / max(sums[1], 1)),
        float(np.mean(good)) if good else 1.0,
        float(np.mean(with_it)) if with_it else None,
        helped,
    )


def _but(masks: Mapping[str, Mask], left_out: Sequence[str]) -> dict[str, Mask]:
    return {i: mask for i, mask in masks.items() if i not in left_out}


def _bare(prediction: Prediction) -> Prediction:
    return replace(prediction, stages=())
