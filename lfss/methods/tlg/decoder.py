"""The shared decoder, and what joins its logits with a picture's own pseudo mask."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SharedDecoder(nn.Module):
    """Features of either branch to logits on a grid twice as fine.

    Args:
        width: channels of the features.
    """

    def __init__(self, width: int):
        super().__init__()
        half = width // 2
        self.coarse = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, half, 3, padding=1), nn.ReLU()
        )
        self.fine = nn.Sequential(
            nn.Conv2d(half, half, 3, padding=1), nn.ReLU(), nn.Conv2d(half, 1, 3, padding=1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, width, h, w) -> logits (N, 2h, 2w)."""
        x = self.coarse(features)  # (N, width / 2, h, w)
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)  # (N, width / 2, 2h, 2w)
        return self.fine(x)[:, 0]  # (N, 2h, 2w)


class MaskFusion(nn.Module):
    """The decoder's logit of a pixel beside the pseudo mask's answer, and a learnt judgement of the two.

    It starts as the decoder's own logit, so that training decides how much the pseudo mask may say.
    """

    def __init__(self, hidden: int = 10):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(2, hidden, 1), nn.GELU(), nn.Conv2d(hidden, 1, 1))

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Logits (N, h, w) and a pseudo mask (N, h, w) in [0, 1] -> logits (N, h, w)."""
        both = torch.stack((logits, 2 * mask.to(logits.dtype) - 1), 1)  # (N, 2, h, w)
        return logits + self.layers(both)[:, 0]  # (N, h, w)
