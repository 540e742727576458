"""ViT-Ti/16, trained on ImageNet: dense features and dense class scores."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lfss.encoders.vit import GRID, Block, VisionTransformer
from lfss.weights import WEIGHTS, find_file

from .files import load_frozen

REPOSITORY = "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"
LEVELS = (8, 11)


class Vit(VisionTransformer):
    """timm's ``vit_tiny_patch16_224`` with its classifier."""

    # Channels of each level, and the width of a cell in pixels.
    levels: ClassVar[dict[str, tuple[int, int]]] = {
        "block8": (192, 16),
        "block11": (192, 16),
    }

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(192, 1000)

    def embed(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) -> tokens (B, 1 + h w, D); places are enlarged by the plain bicubic rule.

        All figures were made that way.
        """
        x = self.patch_embed(pixels)  # (B, 192, h, w)
        own, place = self.pos_embed[:, :1], self.pos_embed[:, 1:].transpose(1, 2)
        place = place.unflatten(2, (GRID, GRID))  # (1, 192, 14, 14)
        if tuple(x.shape[-2:]) != (GRID, GRID):
            place = F.interpolate(place, x.shape[-2:], mode="bicubic", align_corners=False)
        first = (self.cls_token + own).expand(len(x), -1, -1)
        return torch.cat((first, (x + place).flatten(2).transpose(1, 2)), 1)  # (B, 1 + hw, 192)

    def features(self, pixels: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) in [0, 1] -> block8 and block11, each (B, 192, H/16, W/16)."""
        grid = pixels.shape[-2] // 16, pixels.shape[-1] // 16
        middle, last = self.run(self.embed(2 * pixels - 1), 0, LEVELS)
        return {"block8": _cells(middle, grid), "block11": _cells(self.norm(last), grid)}

    def class_scores(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> ImageNet logits (B, 1000, H/16, W/16).

        The classifier on every cell; in the last block each cell attends to itself alone, as in MaskCLIP,
        so that its score is about what it shows.
        """
        grid = pixels.shape[-2] // 16, pixels.shape[-1] // 16
        (before,) = self.run(self.embed(2 * pixels - 1), 0, (10,))
        last = self.blocks[-1]
        assert isinstance(last, Block)
        normal = last.norm1(before)
        own = last.attn.proj(last.attn.qkv(normal)[..., 2 * normal.shape[-1] :])  # values, not mixed
        x = before + own
        x = self.norm(x + last.mlp(last.norm2(x)))
        return _cells(self.head(x), grid)


def _cells(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, 1 + hw, C) -> (B, C, h, w), without the class token."""
    return tokens[:, 1:].transpose(1, 2).unflatten(2, grid)


def load_vit(models_dir: Path | None = None) -> Vit:
    """Frozen; see ``find_file`` for where the weights are looked for."""
    network = Vit()
    load_frozen(network, find_file(REPOSITORY, WEIGHTS, models_dir=models_dir))
    return network
