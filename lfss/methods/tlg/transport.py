"""Heterogeneous transport (HT): what one picture takes over from the other, as an optimal-transport plan.

Each picture becomes a few tokens. They first look at each other (self-attention), then at the other
picture's tokens through the plan of an entropic optimal-transport problem: every token hands on as much as
every other, so that a few frequent textures cannot take all of the attention.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...similarity import resize_map


def sinkhorn(cost: Tensor, *, regularisation: float, steps: int) -> Tensor:
    """Entropic optimal-transport plan between uniform marginals, in the log domain.

    min_T sum(T * cost) - regularisation * entropy(T), rows of T summing to 1/n and columns to 1/m. A fixed
    number of steps, differentiable, no copy between devices. The last step fits the rows, so row sums are
    exact and column sums nearly so.

    Args:
        cost: (N, n, m).
        regularisation: above 0; a larger one makes the plan more uniform.
        steps: at least 1.

    Returns:
        (N, n, m), positive, summing to 1.
    """
    n, m = cost.shape[-2:]
    log_kernel = -cost / regularisation  # (N, n, m)
    rows, columns = -math.log(n), -math.log(m)
    u = torch.zeros_like(cost[..., 0])  # (N, n)
    for _ in range(steps):
        v = columns - (log_kernel + u[..., None]).logsumexp(-2)  # (N, m)
        u = rows - (log_kernel + v[..., None, :]).logsumexp(-1)  # (N, n)
    return (log_kernel + u[..., None] + v[..., None, :]).exp()


class SelfAttention(nn.Module):
    """Multi-head self-attention over tokens, (N, n, C) -> (N, n, C)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, C) -> the same shape."""
        qkv = self.qkv(self.norm(tokens)).unflatten(-1, (3, self.heads, -1))  # (N, n, 3, H, c)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (N, H, n, c)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2)  # (N, n, C)
        return tokens + self.project(mixed)


class Transport(nn.Module):
    """Tokens of one picture read tokens of the other through a transport plan.

    Args:
        width: channels.
        grid: tokens along each side; a picture has ``grid * grid`` of them.
        heads: of the self-attention.
        regularisation, steps: of ``sinkhorn``.
    """

    def __init__(self, width: int, *, grid: int, heads: int, regularisation: float, steps: int):
        super().__init__()
        self.grid, self.regularisation, self.steps = grid, regularisation, steps
        self.attention = SelfAttention(width, heads)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.project = nn.Linear(width, width)
        self.norm = nn.GroupNorm(4, width)

    def tokens(self, features: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, grid^2, C): means over a two-dimensional grid."""
        pooled = F.adaptive_avg_pool2d(features, self.grid)  # (N, C, g, g)
        return self.attention(pooled.flatten(2).transpose(1, 2))  # (N, g^2, C)

    def plan(self, own: Tensor, other: Tensor) -> Tensor:
        """Transport plan (N, n, m) between two pictures' tokens (N, n, C) and (N, m, C)."""
        q, k = F.normalize(self.query(own), dim=-1), F.normalize(self.key(other), dim=-1)
        cost = 1 - torch.einsum("nic,njc->nij", q, k)  # (N, n, m) in [0, 2]
        return sinkhorn(cost, regularisation=self.regularisation, steps=self.steps)

    def forward(self, own: Tensor, other: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """What ``own`` takes over from ``other``, added to its residual.

        Args:
            own, other: (N, C, h, w) features of the two pictures.
            residual: (N, C, h, w) of the picture that reads.

        Returns:
            (N, C, h, w) features, and the plan (N, g^2, g^2).
        """
        mine, theirs = self.tokens(own), self.tokens(other)  # (N, g^2, C) each
        plan = self.plan(mine, theirs)  # (N, g^2, g^2), rows sum to 1 / g^2
        weights = plan * plan.shape[-2]  # rows sum to 1, as attention weights do
        taken = self.project(torch.einsum("nij,njc->nic", weights, self.value(theirs)))  # (N, g^2, C)
        cells = (own.shape[-2], own.shape[-1])
        spread = resize_map(taken.transpose(1, 2).unflatten(2, (self.grid, self.grid)), cells)  # (N, C, h, w)
        return F.relu(self.norm(spread) + residual), plan
