"""How well mini knows each word, on photos it was not trained on: outlines, and presence.

A word's mask is what the product starts from: the cells whose log odds, raised as the judge of presence
asks for (``Judge.raise_cells``), are above 0. Presence is the product's too: the judge's
(``train.mini.presence``) where there is one, else the best cells.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.encoders.judge import Judge, best_cells
from lfss.encoders.vocabulary import TABLE, TABLE_COLUMNS, Vocabulary

from ..data.datasets import write_text
from ..measure import metrics
from .pixels import Seen
from .truth import SIDE, UNKNOWN, Known

FEWEST = 5  # held-out photos that must show a concept, and not show it, before it gets a figure
SHOWN = 0.01  # share of a photo from which a marked concept counts as shown

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WordScore:
    """How well one concept is known; None where too few photos could tell.

    Attributes:
        photos: held-out photos that show it.
        iou: of the cells whose log odds are above 0 with the truth, summed over the photos that show it.
        auc: ROC AUC of presence.
        found, false: share of the photos with and without it whose presence is at least 0.5.
    """

    photos: int
    iou: float | None = None
    auc: float | None = None
    found: float | None = None
    false: float | None = None

    @property
    def accuracy(self) -> float | None:
        """Of presence at 0.5, were half of the photos without the concept."""
        return None if self.found is None or self.false is None else (self.found + 1 - self.false) / 2


def presence_of(judge: Judge | None, seen: Seen) -> Tensor:
    """(V,) how sure the product is of each concept in a picture."""
    own = best_cells(seen.odds)[0]
    if judge is None:
        return own.sigmoid()
    return (judge.weight[:, 0] * seen.whole + judge.weight[:, 1] * own + judge.bias).sigmoid()


def score_words(
    names: Sequence[str], judge: Judge | None, photos: Sequence[Known], looks: Iterable[Seen]
) -> dict[str, WordScore]:
    """Every concept that at least one of the photos with masks shows, by name.

    Args:
        names: of the V concepts.
        judge: of presence.
        photos: N photos with masks.
        looks: what the network sees in each.
    """
    sums = np.zeros((2, len(names)))
    sure, state = np.zeros((len(photos), len(names)), np.float32), np.full((len(photos), len(names)), -1)
    for i, (known, seen) in enumerate(zip(photos, looks)):
        assert known.mask is not None
        sure[i] = presence_of(judge, seen).numpy()
        odds = seen.odds if judge is None else judge.raise_cells(seen.whole[None], seen.odds)
        target = torch.from_numpy(known.mask)
        for number in known.complete:
            right = target == number
            if not right.any():
                state[i, number] = 0
            elif right.float().mean() > SHOWN:
                state[i, number] = 1
                large = F.interpolate(odds[:, number, None], (SIDE, SIDE), mode="bilinear")[0, 0]
                found, valid = large > 0, target != UNKNOWN
                sums[:, number] += int((valid & found & right).sum()), int((valid & (found | right)).sum())
    return {
        names[number]: _score(
            sure[:, number], state[:, number] == 1, state[:, number] == 0,
            iou=float(sums[0, number] / sums[1, number]),
        )
        for number in np.flatnonzero((state == 1).any(0)).tolist()
    }  # fmt: skip


def _score(
    sure: Scores, shown: npt.NDArray[np.bool_], absent: npt.NDArray[np.bool_], *, iou: float
) -> WordScore:
    photos = int(shown.sum())
    if photos < FEWEST:
        return WordScore(photos)
    if absent.sum() < FEWEST:
        return WordScore(photos, iou)
    truth = [True] * photos + [False] * int(absent.sum())
    return WordScore(
        photos, iou, metrics.roc_auc([*sure[shown].tolist(), *sure[absent].tolist()], truth),
        found=float((sure[shown] >= 0.5).mean()), false=float((sure[absent] >= 0.5).mean()),
    )  # fmt: skip


def write_table(
    folder: Path, vocabulary: Vocabulary, masked: Mapping[str, int], scores: Mapping[str, WordScore]
) -> None:
    """Write ``vocabulary.csv``: every word that the text side knows, and what could be measured of it.

    Args:
        folder: of the model.
        vocabulary: of the model.
        masked: in how many training photos each concept was outlined.
        scores: of held-out photos.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(TABLE_COLUMNS)
    for concept in vocabulary.concepts[1:]:
        score = scores.get(concept.name, WordScore(0))
        figures = (score.iou, score.auc, score.accuracy, score.false)
        row = [concept.name, ";".join(concept.synonyms), masked.get(concept.name, 0), score.photos]
        writer.writerow([*row, *("" if f is None else f"{f:.3f}" for f in figures)])
    write_text(folder / TABLE, text.getvalue())
