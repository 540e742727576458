"""Step 5, Eq. 18 and 19: from features and maps to logits, by a small trained network.

Where the paper is silent
    *Width*: three maps would drown among 1,536 feature channels, so a 1x1 convolution brings the
    query's features to 256 channels first.
    *ASPP*: rates 1, 6, 12, 18 and the picture's mean, 256 channels each, fused by a 1x1 convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling: one look at several ranges. (N, C, h, w) -> (N, width, h, w)."""

    def __init__(self, channels: int, width: int, rates: tuple[int, ...] = (1, 6, 12, 18)):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, width, 1 if r == 1 else 3, padding=0 if r == 1 else r, dilation=r)
            for r in rates
        )
        self.pooled = nn.Conv2d(channels, width, 1)
        self.fuse = nn.Conv2d(width * (len(rates) + 1), width, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = F.relu(self.pooled(x.mean((2, 3), keepdim=True))).expand(-1, -1, *x.shape[-2:])
        parts = [F.relu(branch(x)) for branch in self.branches]
        return F.relu(self.fuse(torch.cat([*parts, mean], 1)))


class Decoder(nn.Module):
    """The paper's decoder: reduce, concatenate the maps, ASPP, three convolutions, one logit."""

    def __init__(self, channels: int, *, maps: int = 3, width: int = 256):
        super().__init__()
        self.reduce = nn.Conv2d(channels, width, 1, bias=False)
        self.aspp = Aspp(width + maps, width)
        self.blocks = nn.Sequential(
            *(layer for _ in range(3) for layer in (nn.Conv2d(width, width, 3, padding=1), nn.ReLU()))
        )
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, features: Tensor, maps: Tensor) -> Tensor:
        """(N, C, h, w) raw query features and (N, maps, h, w) -> logits (N, h, w)."""
        x = torch.cat((self.reduce(features), maps), 1)
        return self.head(self.blocks(self.aspp(x)))[:, 0]


def read_out(
    text: Tensor,
    refined: Tensor,
    association: Tensor,
    fcm: Tensor,
    background: Tensor,
    *,
    sharpness: float = 16.0,
    text_limit: float = 6.0,
    roi: float = 0.6,
) -> Tensor:
    """Logits without any training, by one fixed rule.

    logit = text +- roi + sharpness * (mean(association, FCM) - background): what the first map says,
    plus ``roi`` inside the refined mask and minus it outside (which is all that RCM adds to FCM), plus
    how much more a cell resembles the supports' object than background.

    Args:
        text: (N, h, w) logits of the first map.
        refined: (N, h, w) bool, the refined mask.
        association, fcm: (N, h, w) cosines of steps 3 and 4.
        background: (N, h, w) cosine with the background of supports and query.
        sharpness: logits per unit of cosine.
        text_limit: the text's logits are held within this limit, so that it cannot decide alone.
        roi: logits for the refined mask.

    Returns:
        (N, h, w) logits; positive is object.
    """
    inside = torch.where(refined, roi, -roi)
    margin = (association + fcm) / 2 - background
    return text.clamp(-text_limit, text_limit) + inside + sharpness * margin
