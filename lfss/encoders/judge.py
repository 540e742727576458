"""Is the thing in the picture at all? Judged on the picture as a whole.

The best cells of one concept answer that badly: an animal of another kind has good cells too. The mean and
the maximum of every channel of the maps know more, because they tell what else the picture shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BEST = 0.02  # share of the cells that count as the best ones


@dataclass(frozen=True, eq=False)
class Judge:
    """Which concepts a picture shows at all: a logistic regression for each.

    Attributes:
        weight: (V, 2 C + 1), for the mean and the maximum of each channel of the maps, and for the
            mean logit of the concept's own best cells. A row of zeros: this concept was not learnt.
        bias: (V,).
    """

    weight: Tensor
    bias: Tensor

    def knows(self, concept: int) -> bool:
        """Whether enough photos showed the concept to learn it."""
        return bool(self.weight[concept].any())

    def __call__(self, maps: Tensor, logits: Tensor, concept: int) -> Tensor:
        """How sure it is that the concept is shown, in [0, 1]; even odds are 0.5.

        Args:
            maps: (B, C, h, w).
            logits: (B, h, w) of the concept.
            concept: its number.

        Returns:
            (B,).
        """
        seen = torch.cat((summary(maps), best_cells(logits)[:, None]), 1)
        return (seen @ self.weight[concept] + self.bias[concept]).sigmoid()


def summary(maps: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, 2 C): mean and maximum of each channel, what is there and not where."""
    flat = maps.flatten(2)
    return torch.cat((flat.mean(2), flat.amax(2)), 1)


def best_cells(logits: Tensor) -> Tensor:
    """(..., h, w) -> (...): mean of the best 2 % of the cells."""
    flat = logits.flatten(-2)
    return flat.topk(max(1, round(BEST * flat.shape[-1])), dim=-1).values.mean(-1)
