"""The folder as teacher: what all pictures of a run teach about its labels, after a first pass over them.

All pictures of a run carry the label, so together they are PAIA's image-level set. The first maps are the
soft masks; soft-masked average pooling (Eq. 2) makes one vector of each picture and label; the fused
prototype of a label is their mean (Eq. 3), weighted by presence. Pictures without the object teach the
background, and the other labels of the run compete. The final map is a weighted mean, in logits, of the first
map and of the cosine to these prototypes. The more pictures show the object, the more the folder weighs: in
one that hardly shows it, first maps that are wrong teach as much as those that are right.

What a person has checked teaches most: an accepted mask is sure, a picture without the object is background.

Memory does not grow with the folder: at most ``pictures`` of them are learned from, spread evenly, each
with a sample of its cells. Prototypes are sums over pictures, so a picture can be left out of them for a
check without going through the others again.

The pass leaves a label alone (``judge``) where it cannot be trusted: the map that the prototypes of all other
pictures give of a picture must agree with the mask that a person accepted, or, where fewer than three are
checked, with the first map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from .methods.paia.step1_prototypes import class_margin, prototype_cosines
from .methods.paia.step2_soft_pooling import soft_masked_average
from .similarity import EPS, resize_map

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FolderConfig:
    """The choices of the pass, made with ``mini`` on VOC training photos that it was never trained on.

    Attributes:
        pictures: at most so many are learned from.
        grid: at most so many rows and columns of cells are kept of each.
        scale: logits per unit of cosine, as in PAIA.
        share: of the new map in the final one, where every picture shows the object; 1 would forget the
            first map. It is multiplied with the mean presence of the label in the folder.
        limit: logits are held within it, so that neither map decides alone.
        checked: so many checked pictures decide by themselves whether the pass helps.
        agreement: least mean agreement of the new maps with the first ones, where too few are checked.
    """

    pictures: int = 128
    grid: int = 16
    scale: float = 20.0
    share: float = 0.9
    limit: float = 6.0
    checked: int = 3
    agreement: float = 0.5


class Sample(NamedTuple):
    """What is kept of a picture; L labels of the run.

    ``cells`` (C, h, w) float16; ``first`` (L, h, w) in [0, 1], the first maps, or masks that a person
    accepted; ``presence`` (L,) in [0, 1]; ``checked`` (L,) bool, a person has decided; ``known`` (L,) bool,
    there is a map of this label for this picture.
    """

    cells: Tensor
    first: Tensor
    presence: Tensor
    checked: Tensor
    known: Tensor


def take_sample(
    cells: Tensor, first: Sequence[Floats | None], presence: Sequence[float], checked: Sequence[bool], *,
    grid: int,
) -> Sample:  # fmt: skip
    """A sample of one picture.

    Args:
        cells: (C, h, w), all levels one after the other.
        first: for each label its map in [0, 1] of any size, or None where there is none.
        presence: of each label, in [0, 1].
        checked: whether a person has decided the map.
        grid: see ``FolderConfig``.
    """
    step = max(-(-cells.shape[-2] // grid), -(-cells.shape[-1] // grid))
    kept = cells[:, step // 2 :: step, step // 2 :: step].half()  # (C, m, m')
    size = (cells.shape[-2], cells.shape[-1])
    maps = [_at_cells(m, size)[step // 2 :: step, step // 2 :: step] for m in first]
    return Sample(
        kept,
        torch.stack(maps),
        torch.tensor(presence, dtype=torch.float32),
        torch.tensor(checked),
        torch.tensor([m is not None for m in first]),
    )


class Sums(NamedTuple):
    """What the pictures teach, as sums over them.

    ``vectors`` (P, L, C) of each picture and ``weight`` (P, L) of each; ``ground`` (P, C) the sum of its
    background cells and ``area`` (P,) how many these are.
    """

    vectors: Tensor
    weight: Tensor
    ground: Tensor
    area: Tensor

    def shown(self) -> Tensor:
        """(L,): how much of the folder shows each label and teaches it, in [0, 1]."""
        return self.weight.mean(0)

    def prototypes(self, *, without: int | None = None) -> Tensor:
        """(L + 1, C), background first; ``without`` leaves a picture out.

        A label that no picture teaches has a zero prototype.
        """
        keep = torch.ones_like(self.area)
        if without is not None:
            keep[without] = 0
        weight = self.weight * keep[:, None]  # (P, L)
        labels = torch.einsum("pl,plc->lc", weight, self.vectors) / weight.sum(0).clamp_min(EPS)[:, None]
        ground = (self.ground * keep[:, None]).sum(0) / (self.area * keep).sum().clamp_min(EPS)
        return torch.cat((ground[None], labels))


def teach(samples: Sequence[Sample]) -> Sums:
    """What the pictures teach about each label and the background.

    A cell teaches a label where it is more likely than not the label's, and more than any other's. A cell is
    background as far as no label claims it, in pictures with the object and in pictures without.
    """
    vectors, weights, grounds, areas = [], [], [], []
    for sample in samples:
        claim = sample.first * sample.presence[:, None, None] * sample.known[:, None, None]  # (L, h, w)
        best = claim.amax(0)  # (h, w)
        chosen = (sample.first > 0.5) & (claim >= best) & (claim > 0)
        cells = sample.cells.float()
        pooled = soft_masked_average(cells[None, None], (sample.first * chosen)[None, None])
        vectors.append(pooled.vectors[0, 0])  # (L, C)
        weights.append(sample.presence * sample.known * (pooled.weight[0, 0] > EPS))  # (L,)
        grounds.append(((1 - best) * cells).sum((1, 2)))  # (C,)
        areas.append((1 - best).sum())
    return Sums(torch.stack(vectors), torch.stack(weights), torch.stack(grounds), torch.stack(areas))


def read(cells: Tensor, prototypes: Tensor, *, scale: float) -> Tensor:
    """Logits of each label by the fused prototypes: (C, h, w), (L + 1, C) -> (L, h, w)."""
    cosines = prototype_cosines(cells[None, None], prototypes[None])  # (1, 1, L + 1, h, w)
    return class_margin(cosines, scale=scale)[0, 0]


def join(first: Floats, new: Floats, config: FolderConfig, *, shown: float) -> Floats:
    """Weighted mean of two score maps of one size in [0, 1], taken in logits and held within the limit.

    Args:
        first, new: (H, W), the model's own map, and the folder's.
        config: the choices.
        shown: how much of the folder shows the label, in [0, 1].
    """
    share = config.share * shown
    low = 1 / (1 + np.exp(config.limit))
    a, b = (np.log(s / (1 - s)) for s in (np.clip(m, low, 1 - low).astype(np.float64) for m in (first, new)))
    return np.asarray(1 / (1 + np.exp(-((1 - share) * a + share * b))), np.float32)


class Verdict(NamedTuple):
    """Whether the pass changes a label, and why, in a sentence for people."""

    helps: bool
    reason: str


def judge(samples: Sequence[Sample], sums: Sums, names: Sequence[str], config: FolderConfig) -> list[Verdict]:
    """For each label whether the folder's prototypes can be trusted; see the module.

    Args:
        samples: what each picture teaches.
        sums: of all samples.
        names: of the labels.
        config: the limits of the pass.
    """
    return [_judge(samples, sums, number, name, config) for number, name in enumerate(names)]


def _judge(samples: Sequence[Sample], sums: Sums, number: int, name: str, config: FolderConfig) -> Verdict:
    teachers = int((sums.weight[:, number] > 0).sum())
    if teachers < 2:
        return Verdict(
            False, f"Only {teachers} of the pictures shows '{name}': there is nothing to learn from."
        )
    agreement = []
    for place, sample in enumerate(samples):
        if bool(sample.known[number]) and float(sums.weight[place, number]) > 0:
            new = read(sample.cells.float(), sums.prototypes(without=place), scale=config.scale)[number]
            agreement.append((bool(sample.checked[number]), _overlap(new > 0, sample.first[number] > 0.5)))
    checked = [value for decided, value in agreement if decided]
    if len(checked) >= config.checked:
        mean, kind = float(np.mean(checked)), "the masks that you accepted"
    else:
        mean, kind = float(np.mean([value for _, value in agreement])), "the first maps"
    helps = mean >= config.agreement
    rule = "enough" if helps else "too little, so nothing is changed"
    return Verdict(helps, f"For '{name}' the folder agrees with {kind} by {mean:.0%}: {rule}.")


def _overlap(a: Tensor, b: Tensor) -> float:
    """Intersection over union of two bool masks."""
    return float((a & b).sum() / (a | b).sum().clamp_min(1))


def _at_cells(values: Floats | None, size: tuple[int, int]) -> Tensor:
    """A map brought to (h, w) cells: means of the pixels of each cell, or enlarged where it is smaller."""
    if values is None:
        return torch.zeros(size)
    tensor = torch.from_numpy(np.ascontiguousarray(values, np.float32))
    if tensor.shape[0] < size[0] or tensor.shape[1] < size[1]:
        return resize_map(tensor, size)
    return F.adaptive_avg_pool2d(tensor[None], size)[0]
