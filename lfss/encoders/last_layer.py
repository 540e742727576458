"""The last layer of CLIP's picture towers, answering for every cell instead of once for the whole picture."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .evidence import Mixing


def pool_values(pool: Any, cells: Tensor, mixing: Mixing | None = None) -> Tensor:
    """Value path of CLIP's attention pooling, for each cell: two 1x1 convolutions.

    The mean token, the positional embedding, queries and keys are dropped: over a constant picture
    and without the embedding, the pooling itself gives just this.

    Args:
        pool: an open_clip ``AttentionPool2d``.
        cells: (B, C, h, w).
        mixing: averages the values; None keeps each cell's own.

    Returns:
        (B, D, h, w), not normalised.
    """
    values = F.conv2d(cells, pool.v_proj.weight[:, :, None, None], pool.v_proj.bias)
    if mixing is not None:
        values = mixing(values)
    return F.conv2d(values, pool.c_proj.weight[:, :, None, None], pool.c_proj.bias)


def block_values(block: Any, tokens: Tensor) -> Tensor:
    """A transformer block in which each token attends to itself alone.

    Args:
        block: an open_clip ``ResidualAttentionBlock``.
        tokens: (B, N, width).

    Returns:
        (B, N, width), residual and MLP included.
    """
    _, values = _keys_values(block, tokens)
    tokens = tokens + block.ls_1(block.attn.out_proj(values))
    return tokens + block.ls_2(block.mlp(block.ln_2(tokens)))


def neighbours(block: Any, tokens: Tensor, grid: tuple[int, int], sigma: float) -> Tensor:
    """Attention of a block by key likeness and nearness (the idea of NACLIP).

    The logits of a cell are its key's products with all keys, scaled as ever, plus a Gaussian of
    height 1 around the cell. Residual and MLP, which serve the class token, are left out.

    Args:
        block: an open_clip ``ResidualAttentionBlock``.
        tokens: (B, 1 + hw, width), the class token first; it is attended to, without a place.
        grid: (h, w).
        sigma: of the Gaussian, in cells.

    Returns:
        (B, 1 + hw, width).
    """
    keys, values = _keys_values(block, tokens)
    heads = (block.attn.num_heads, -1)
    keys, values = (
        t.unflatten(2, heads).transpose(1, 2) for t in (keys, values)
    )  # (B, heads, N, width / heads)
    near = F.pad(_nearness(grid, sigma, tokens.device), (1, 0, 1, 0))
    mixed = F.scaled_dot_product_attention(keys, keys, values, attn_mask=near.to(tokens.dtype))
    return block.attn.out_proj(mixed.transpose(1, 2).flatten(2))


def mixed_values(block: Any, tokens: Tensor, grid: tuple[int, int], mixing: Mixing) -> Tensor:
    """Attention of a block by weights from outside, the same for every head (the idea of ProxyCLIP).

    Args:
        block: an open_clip ``ResidualAttentionBlock``.
        tokens: (B, 1 + hw, width), the class token first; nothing listens to it.
        grid: (h, w) of the tokens.
        mixing: the weights.

    Returns:
        (B, n, width) for the n cells of the mixture, without residual and MLP.
    """
    _, values = _keys_values(block, tokens)
    cells = values[:, 1:].transpose(1, 2).unflatten(2, grid)
    return block.attn.out_proj(mixing(cells).flatten(2).transpose(1, 2))


def _keys_values(block: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values of a block's attention, each (B, N, width)."""
    attn, width = block.attn, tokens.shape[-1]
    both = F.linear(block.ln_1(tokens), attn.in_proj_weight[width:], attn.in_proj_bias[width:])
    return both[..., :width], both[..., width:]


def _nearness(grid: tuple[int, int], sigma: float, device: torch.device) -> Tensor:
    """(hw, hw): exp(-d^2 / 2 sigma^2) for the distance d of two cells."""
    rows, columns = (torch.arange(n, device=device, dtype=torch.float32) for n in grid)
    place = torch.cartesian_prod(rows, columns)
    return torch.exp(-torch.cdist(place, place).square() / (2 * sigma**2))


def tokens_of(visual: Any, x: Tensor) -> Tensor:
    """Patches with the positional embedding fitted to their grid: (B, 1 + hw, width)."""
    x = visual.conv1(x)
    h, w = x.shape[-2:]
    own, place = visual.positional_embedding[:1], visual.positional_embedding[1:]
    if (h, w) != tuple(visual.grid_size):
        place = place.T.unflatten(1, visual.grid_size)[None]  # (1, width, grid, grid)
        place = F.interpolate(place, size=(h, w), mode="bicubic", antialias=True)
        place = place[0].flatten(1).T
    first = (visual.class_embedding + own).expand(len(x), 1, -1)
    return visual.ln_pre(torch.cat([first, x.flatten(2).transpose(1, 2) + place], dim=1))
