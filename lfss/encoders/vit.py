"""A vision transformer (Dosovitskiy et al. 2021), written out so that it can be read.

The names of its tensors are timm's, so that the weights of ``vit_tiny_patch16_224`` load by name. It is
written here rather than built by timm because importing timm alone takes seconds, which the first page of
the demo would have to wait for; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 16  # pixels a cell
GRID = 14  # cells a side of the pictures that the public weights were trained on


class Attention(nn.Module):
    """Self-attention of all tokens with all tokens."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> (B, N, dim)."""
        q, k, v = (
            self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )  # (B, heads, N, d) each
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with a GELU between them, for each token alone."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> (B, N, dim)."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention and MLP, each on normalised tokens and added to them."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> (B, N, dim)."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """One linear map of the pixels of each cell."""

    def __init__(self, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, PATCH)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, dim, H / 16, W / 16)."""
        return self.proj(pixels)


class VisionTransformer(nn.Module):
    """A ViT without its classifier.

    Args:
        dim: channels of a token.
        depth: blocks.
        heads: of each attention.
    """

    def __init__(self, dim: int = 192, depth: int = 12, heads: int = 3):
        super().__init__()
        self.patch_embed = PatchEmbed(dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + GRID**2, dim))
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def embed(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (B, 3, H, W), sides multiples of 16 -> tokens (B, 1 + hw, dim)."""
        x = self.patch_embed(pixels)  # (B, dim, h, w)
        own, place = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        if tuple(x.shape[-2:]) != (GRID, GRID):
            square = place.transpose(1, 2).unflatten(2, (GRID, GRID))  # (1, dim, 14, 14)
            square = F.interpolate(square, x.shape[-2:], mode="bicubic", antialias=True)
            place = square.flatten(2).transpose(1, 2)
        first = (self.cls_token + own).expand(len(x), -1, -1)
        return torch.cat((first, x.flatten(2).transpose(1, 2) + place), 1)

    def run(self, x: Tensor, first: int, read: Sequence[int]) -> list[Tensor]:
        """Tokens after some blocks, not normalised.

        Args:
            x: (B, N, dim), tokens before the block ``first``.
            first: number of the first block to run.
            read: numbers of the blocks whose output is returned, in ascending order.
        """
        found = []
        for number, block in enumerate(self.blocks[first : read[-1] + 1], first):
            x = block(x)
            if number in read:
                found.append(x)
        return found
