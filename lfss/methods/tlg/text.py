"""Heterogeneous text (HC): the two branches are told different things about the same class.

The query is told the class and what surrounds it, the support the class alone.

Where this departs from the published code
    There a text vector goes through one linear layer and becomes the same plane for every picture, with word
    lists for the data set's own classes. Here a plane is what the text tower sees of these words in this very
    picture, so any tower and any word can be used. The words that surround a class are those that compete
    with it in an episode.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...similarity import resize_map

LIMIT = 10.0  # logits are held within this limit and scaled by it, so that towers with other scales fit


def class_map(logits: Tensor, roles: Tensor) -> Tensor:
    """The best of the phrases that name the class.

    Args:
        logits: (N, V, h, w).
        roles: (N, V); 1 names the class.

    Returns:
        (N, h, w) in [-1, 1]; 0 where nothing names it.
    """
    named = (roles == 1)[..., None, None]
    best = logits.masked_fill(~named, -LIMIT).amax(1)  # (N, h, w)
    return torch.where(named.any(1), best.clamp(-LIMIT, LIMIT) / LIMIT, torch.zeros_like(best))


def surroundings_map(logits: Tensor, roles: Tensor) -> Tensor:
    """The best of the phrases that compete with the class.

    Args:
        logits: (N, V, h, w).
        roles: (N, V); -1 competes with the class.

    Returns:
        (N, h, w) in [-1, 1]; 0 where nothing competes.
    """
    return class_map(logits, -roles)


class TextPlanes(nn.Module):
    """What the text tower sees, as a factor for the features of a branch.

    Args:
        texts: how many maps the branch is told.
        grid: rows and columns of the plane; coarse, because the text tower is.
    """

    def __init__(self, *, texts: int, grid: int = 25):
        super().__init__()
        self.grid = grid
        self.mix = nn.Conv2d(texts, 1, 1)
        # The product starts as the identity: a plane of zeros, to which ``forward`` adds one.
        nn.init.zeros_(self.mix.weight)
        assert self.mix.bias is not None
        nn.init.zeros_(self.mix.bias)

    def forward(self, features: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Multiply features with the plane of their texts.

        Args:
            features: (N, C, h, w).
            maps: (N, T, h', w') in [-1, 1].

        Returns:
            (N, C, h, w), and the plane (N, grid, grid).
        """
        plane = 1 + self.mix(resize_map(maps, (self.grid, self.grid)))[:, 0]  # (N, g, g)
        cells = (features.shape[-2], features.shape[-1])
        return features * resize_map(plane, cells)[:, None], plane  # (N, C, h, w)
