"""The network of mini: a vision transformer that was pretrained elsewhere, and three small heads.

One pass over a picture gives, for each cell of 16 x 16 pixels, a unit vector for matching and the log odds
of every concept of the vocabulary, and for the picture as a whole the log odds that it shows each concept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .pixels import to_tower
from .vit import PATCH, VisionTransformer

MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)  # what the public weights expect
READ = (8, 11)  # blocks that the heads read


@dataclass(frozen=True)
class MiniConfig:
    """What the network is built from.

    Attributes:
        concepts: how many concepts the vocabulary has, background included.
        match_dim: channels of the matching features.
        hidden: channels of the evidence head between its two layers.
        dim, depth, heads: of the transformer.
    """

    concepts: int = 1
    match_dim: int = 128
    hidden: int = 256
    dim: int = 192
    depth: int = 12
    heads: int = 3


class Maps(NamedTuple):
    """What one pass gives.

    Attributes:
        match: (B, match_dim, h, w) unit cells.
        concepts: (B, V, h, w) logits of a softmax over the concepts.
        whole: (B, dim) the class token, which sees the whole picture.
    """

    match: Tensor
    concepts: Tensor
    whole: Tensor


class Mini(nn.Module):
    """Trunk, a head for matching, a head for the concept of each cell, a head for what is shown at all."""

    def __init__(self, config: MiniConfig):
        super().__init__()
        self.config = config
        self.trunk = VisionTransformer(config.dim, config.depth, config.heads)
        self.norm8 = nn.LayerNorm(config.dim, eps=1e-6)
        self.match = nn.Linear(2 * config.dim, config.match_dim)
        # What the ImageNet classifier of the public weights knows enters by the direct way.
        self.direct = nn.Linear(config.dim, config.concepts)
        self.hidden = nn.Linear(2 * config.dim, config.hidden)
        self.learnt = nn.Linear(config.hidden, config.concepts, bias=False)
        self.shown = nn.Linear(config.dim, config.concepts)

    def tower(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> normalised, sides multiples of 16."""
        return to_tower(pixels, multiple=PATCH, mean=MEAN, std=STD, device=self.shown.weight.device)

    def heads(self, block8: Tensor, block11: Tensor, grid: tuple[int, int]) -> Maps:
        """Tokens (B, 1 + hw, dim) of both blocks, the second one normalised -> maps."""
        cells = torch.cat((self.norm8(block8[:, 1:]), block11[:, 1:]), 2)  # (B, hw, 2 dim)
        logits = self.direct(block11[:, 1:]) + self.learnt(F.gelu(self.hidden(cells)))  # (B, hw, V)
        match = F.normalize(self.match(cells), dim=2)
        return Maps(
            match.transpose(1, 2).unflatten(2, grid),
            logits.transpose(1, 2).unflatten(2, grid),
            block11[:, 0],
        )

    def forward(self, pixels: Tensor) -> Maps:
        """(B, 3, H, W) in [0, 1] -> maps at stride 16."""
        x = self.tower(pixels)
        grid = (x.shape[-2] // PATCH, x.shape[-1] // PATCH)
        block8, block11 = self.trunk.run(self.trunk.embed(x), 0, READ)
        return self.heads(block8, self.trunk.norm(block11), grid)


def log_odds(logits: Tensor) -> Tensor:
    """Logits of a softmax over V concepts (B, V, h, w) -> log odds of each concept against all others.

    A concept's log odds are ``log p - log (1 - p)``, so that words compete: where a cow is seen, "horse" is
    refused. The largest concept of a cell is left out of its own rivals by a second sum.
    """
    # log(1 - p_v) = log sum_{u != v} exp(l_u) - log sum_u exp(l_u), exact also where p_v rounds to 1.
    best = logits.argmax(1, keepdim=True)
    log_p = logits.log_softmax(1)
    rest = torch.log1p(-log_p.exp().clamp(max=1 - 1e-6))
    others = logits.scatter(1, best, -torch.inf).logsumexp(1, keepdim=True) - logits.logsumexp(
        1, keepdim=True
    )
    return log_p - rest.scatter(1, best, others)
