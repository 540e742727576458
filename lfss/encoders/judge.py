"""Is the thing in the picture at all? Judged from the picture as a whole and from its best cells.

The best cells alone answer that badly: an animal of another kind has good cells too. What the class token
of the trunk says about the whole picture is the second witness.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..similarity import mean_of_best

BEST = 0.02  # share of the cells that count as the best ones


@dataclass(frozen=True, eq=False)
class Judge:
    """Which concepts a picture shows at all: a logistic regression of two numbers for each.

    Attributes:
        weight: (V, 2), for the log odds of the whole picture and for the mean log odds of the concept's own
            best cells; none is negative. A row of zeros: this concept was not learnt.
        bias: (V,).
    """

    weight: Tensor
    bias: Tensor

    def has_learnt(self, concept: int) -> bool:
        """Whether the concept was learnt."""
        return bool(self.weight[concept].any())

    def __call__(self, whole: Tensor, cells: Tensor, concept: int) -> Tensor:
        """How sure it is that the concept is shown, in [0, 1]; even odds are 0.5.

        Args:
            whole: (B,) log odds that the picture shows it.
            cells: (B, h, w) log odds of each cell, as ``raise_cells`` makes them.
            concept: its number.

        Returns:
            (B,).
        """
        weight, best = self.weight[concept], best_cells(cells)
        said = weight[0] * whole + weight[1] * best + self.bias[concept]
        # With b the best cells before ``raise_cells`` and J(b) the judgement, a line that rises with b: where
        # J(b) <= b, nothing was raised and J(b) is asked for; elsewhere the best cells are J(b) now, and
        # J(J(b)) > J(b).
        return torch.minimum(said, best).sigmoid()

    def raise_cells(self, whole: Tensor, cells: Tensor) -> Tensor:
        """Raise each concept's cells until its best ones are as sure as the judgement of the picture.

        A concept with few masks in training has cells that are too low nearly everywhere, though the picture
        as a whole is known to show it. All its cells are raised alike, never lowered; concepts that were not
        learnt stay.

        Args:
            whole: (B, V) log odds that the picture shows each concept.
            cells: (B, V, h, w) log odds of each cell.

        Returns:
            (B, V, h, w).
        """
        best = best_cells(cells)  # (B, V)
        said = self.weight[:, 0] * whole + self.weight[:, 1] * best + self.bias  # (B, V)
        missing = (said - best).clamp_min(0) * self.weight.any(1)  # (B, V)
        return cells + missing[..., None, None]


def best_cells(logits: Tensor) -> Tensor:
    """(..., h, w) -> (...): mean of the best 2 % of the cells."""
    return mean_of_best(logits, BEST)
