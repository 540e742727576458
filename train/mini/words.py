"""How well mini knows each word, on photos it was not trained on: outlines, and presence.

A word's mask is what the product starts from: the cells whose logit is above 0. Presence is the product's
too: the judge's where the concept was learnt (``train.presence``), else the mean of the best cells.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.encoders.judge import best_cells, summary
from lfss.encoders.mini import MiniEncoder
from lfss.encoders.vocabulary import TABLE, TABLE_COLUMNS
from lfss.methods.lfss import presence

from ..data.datasets import write_text
from ..measure import metrics
from .photos import Photo
from .pixels import mask_of, read_pixels
from .truth import IGNORE, MASK_SIZE, ConceptTable, Truth, label_numbers

FEWEST = 5  # held-out photos that must show a concept, and not show it, before it gets a figure
LABELLED = 20  # photos of one label, at most

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WordScore:
    """How well one concept is known; None where too few photos could tell.

    Attributes:
        photos: held-out photos that show it.
        iou: of the cells whose logit is above 0 with the truth, summed over the photos that show it.
        named: of the cells where its logit is the highest of the vocabulary.
        auc: ROC AUC of presence; ``auc_best``: of its best cells alone.
        found, false: share of the photos with and without it whose presence is at least 0.5.
    """

    photos: int
    iou: float | None = None
    named: float | None = None
    auc: float | None = None
    auc_best: float | None = None
    found: float | None = None
    false: float | None = None

    @property
    def accuracy(self) -> float | None:
        """Of presence at 0.5, were half of the photos without the concept."""
        return None if self.found is None or self.false is None else (self.found + 1 - self.false) / 2


def presence_of(model: MiniEncoder, maps: Tensor, logits: Tensor) -> Tensor:
    """(V,) how sure the product is of each concept in a picture.

    Args:
        model: with or without a judge.
        maps: (1, C, h, w), what the heads read.
        logits: (1, V, h, w) of all concepts.
    """
    general = presence(logits[0].sigmoid())
    judge = model.vlm.judge
    if judge is None:
        return general
    learnt = judge.weight.any(1)
    own = best_cells(logits)[0]
    judged = judge.weight[:, :-1] @ summary(maps)[0] + judge.weight[:, -1] * own + judge.bias
    return torch.where(learnt, judged.sigmoid(), general)


@torch.inference_mode()
def look(
    model: MiniEncoder, photos: Sequence[Photo], data: Path, size: int
) -> tuple[Scores, Scores, list[Tensor]]:
    """Presence and best cells of every concept in every photo, (N, V) each, and the (V, h, w) logits."""
    sure, best, kept = [], [], []
    for photo in photos:
        maps = model.network.maps(read_pixels(photo, data, size))
        logits = model.network.concept_logits(model.network.heads(maps)[0])
        sure.append(presence_of(model, maps, logits).numpy())
        best.append(best_cells(logits)[0].numpy())
        kept.append(logits[0].half())
    return np.stack(sure), np.stack(best), kept


def score_words(
    model: MiniEncoder, photos: Sequence[Photo], truth: Truth, data: Path, *, size: int
) -> dict[str, WordScore]:
    """Every concept that at least one photo with masks shows, by name."""
    names = [c.name for c in model.vocabulary.concepts]
    sure, best, maps = look(model, photos, data, size)
    own, named = np.zeros((2, len(names))), np.zeros((2, len(names)))
    for i, logits in enumerate(maps):
        large = F.interpolate(logits[None].float(), (MASK_SIZE, MASK_SIZE), mode="bilinear")[0]
        highest, target = large.argmax(0), mask_of(truth, i)
        known = target != IGNORE
        for number in np.flatnonzero((truth.state[i] == 1) & truth.complete[i]).tolist():
            right = target == number
            for sums, found in ((own, large[number] > 0), (named, highest == number)):
                sums[:, number] += (
                    int((known & found & right).sum()),
                    int((known & (found | right)).sum()),
                )
    state = np.where(truth.complete, truth.state, -1)
    scores = {}
    for number in range(1, len(names)):
        shown = state[:, number] == 1
        if shown.any():
            iou, name_iou = (s[0, number] / s[1, number] for s in (own, named))
            scores[names[number]] = _score(
                sure[:, number], best[:, number], shown, state[:, number] == 0, iou=iou, named=name_iou
            )
    return scores


def score_labelled(
    model: MiniEncoder, photos: Sequence[Photo], labels: Sequence[int], data: Path, *, size: int
) -> dict[str, WordScore]:
    """Presence alone, on photos with one label each: those with the label against all others.

    Args:
        model, data, size: as in ``score_words``.
        photos: N photos.
        labels: concept of each photo.
    """
    sure, best, _ = look(model, photos, data, size)
    given = np.asarray(labels)
    names = [c.name for c in model.vocabulary.concepts]
    return {
        names[n]: _score(sure[:, n], best[:, n], given == n, given != n) for n in np.unique(given).tolist()
    }


def _score(
    sure: Scores, best: Scores, shown: npt.NDArray[np.bool_], absent: npt.NDArray[np.bool_], *,
    iou: float | None = None, named: float | None = None,
) -> WordScore:  # fmt: skip
    photos = int(shown.sum())
    if photos < FEWEST:
        return WordScore(photos)
    if absent.sum() < FEWEST:
        return WordScore(photos, iou, named)
    return WordScore(
        photos, iou, named,
        auc=roc_auc(sure[shown], sure[absent]), auc_best=roc_auc(best[shown], best[absent]),
        found=float((sure[shown] >= 0.5).mean()), false=float((sure[absent] >= 0.5).mean()),
    )  # fmt: skip


def roc_auc(shown: npt.NDArray, absent: npt.NDArray) -> float:
    """Chance that a photo that shows a thing scores higher than one that does not; a tie counts half."""
    truth = np.repeat([True, False], [len(shown), len(absent)])
    return metrics.roc_auc(np.concatenate((shown, absent)).tolist(), truth.tolist())


def never_cached(
    cache: Path, table: ConceptTable, imagenet_names: Sequence[str], limit: int
) -> tuple[list[Photo], list[int]]:
    """Labelled photos that a cache did not reach, so that no run on it can have seen them, and their labels.

    At most ``limit`` photos, at most 20 of one label.
    """
    done = json.loads((cache / "done.json").read_text())
    photos = [Photo(**row) for row in json.loads((cache / "photos.json").read_text())[done:]]
    labels = label_numbers(table, imagenet_names)
    counts: Counter[int] = Counter()
    kept: list[Photo] = []
    numbers: list[int] = []
    for photo in photos:
        number = labels.get((photo.label or "").casefold(), -1)
        if photo.source != "coco2017" and number > 0 and counts[number] < LABELLED and len(kept) < limit:
            counts[number] += 1
            kept.append(photo)
            numbers.append(number)
    return kept, numbers


def write_table(
    folder: Path, model: MiniEncoder, masked: Mapping[str, int], scores: Mapping[str, WordScore],
    labelled: Mapping[str, WordScore],
) -> None:  # fmt: skip
    """Write ``vocabulary.csv``: every word that the text side knows, and what could be measured of it.

    Args:
        folder: of the model.
        model: whose vocabulary it is.
        masked: in how many training photos each concept was outlined.
        scores: of held-out photos with masks; they decide where both have a figure.
        labelled: of labelled photos that were never trained on.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(TABLE_COLUMNS)
    for concept in model.vocabulary.concepts[1:]:
        score = scores.get(concept.name, WordScore(0))
        if score.auc is None and (other := labelled.get(concept.name)):
            score = other if score.iou is None else score
        figures = (score.iou, score.auc, score.accuracy, score.false)
        row = [concept.name, ";".join(concept.synonyms), masked.get(concept.name, 0), score.photos]
        writer.writerow([*row, *("" if f is None else f"{f:.3f}" for f in figures)])
    write_text(folder / TABLE, text.getvalue())
