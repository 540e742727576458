"""From a method's steps, tensors, to the stages that people look at, as the method describes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from .methods import StageInfo, Step
from .stages import Stage

# What every method ends with, made by the predictor from the last step.
PRESENCE = StageInfo(
    "presence", "Presence", "number", "prediction",
    "How sure the model is that the object is in the picture at all; below the limit the mask is empty.",
)  # fmt: skip
CLOSER = StageInfo(
    "second_look", "Second look", "map", "prediction",
    "The part around a small object, read again; if it agrees with the first look, their mean counts.",
)  # fmt: skip
SCORE = StageInfo(
    "score", "Score", "map", "prediction",
    "The final score of each pixel; the mask is where it reaches the threshold.",
)  # fmt: skip
MASK = StageInfo("prediction", "Prediction", "mask", "prediction", "The final mask.")


@dataclass(frozen=True)
class Sizes:
    """Sizes as (rows, columns), to bring points from cells to pixels.

    Attributes:
        cells: of the finest backbone level.
        query: of the query, in pixels.
        supports: of each support, in pixels.
    """

    cells: tuple[int, int]
    query: tuple[int, int]
    supports: Sequence[tuple[int, int]]


def stages_of(described: Sequence[StageInfo], step: Step, number: int, sizes: Sizes) -> Iterator[Stage]:
    """The stages that a step holds for one class.

    Args:
        described: stages of the method.
        step: of an episode with B = 1.
        number: of the class in the episode.
        sizes: of the pictures.
    """
    for info in described:
        if info.step != step.key:
            continue
        query: npt.NDArray | None = None
        supports: tuple[npt.NDArray, ...] = ()
        if info.query is not None and info.query in step.tensors:  # a step may leave a result out
            query = _shown(info, step.query(info.query)[0, number], sizes.cells, sizes.query)
        if info.supports is not None:
            shots = step.supports(info.supports)[number][0]  # (K, ...)
            supports = tuple(_shown(info, t, sizes.cells, s) for t, s in zip(shots, sizes.supports))
        yield to_stage(info, supports=supports, query=query)


def to_stage(
    info: StageInfo, *, supports: Sequence[npt.NDArray] = (), query: npt.NDArray | None = None
) -> Stage:
    """The arrays of one stage with its title, range and sentence.

    Arrays are (h, w) maps, (H, W) masks, (N, 2) points or (1,) numbers, as ``info.kind`` says.
    """
    low, high = info.low, info.high
    if low is None or high is None:
        low, high = _own_range([*([] if query is None else [query]), *supports])
    return Stage(
        info.key, info.title, info.kind, tuple(supports), query, info.how_to_read, low, high, info.role
    )


def _shown(info: StageInfo, tensor: Tensor, cells: tuple[int, int], size: tuple[int, int]) -> npt.NDArray:
    array = tensor.detach().cpu().numpy()
    if info.kind == "points":
        there = (array >= 0).all(1)  # (P,)
        return ((array[there] + 0.5) * np.asarray(size) / np.asarray(cells)).astype(np.float32)
    if info.kind == "mask":
        return array.astype(bool)
    return array.astype(np.float32)


def _own_range(arrays: Sequence[npt.NDArray]) -> tuple[float, float]:
    """Smallest and largest value other than 0, which stands for cells that were left out."""
    values = np.concatenate([a[a != 0] for a in arrays]) if arrays else np.zeros(0)
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
