"""Step 5, Eq. 18 and 19: from features and maps to logits.

Three ways: the paper's decoder, which reads the query's features and so fits one backbone; a portable
decoder, which reads only maps whose meaning does not depend on the network; and a fixed rule without
any training.

Where the paper is silent
    *Width*: three maps would drown among 1,536 feature channels, so a 1x1 convolution brings the
    query's features to 256 channels first.
    *Scale*: networks differ by orders of magnitude, so each cell of each level gets the length of the
    square root of its channels.
    *ASPP*: rates 1, 6, 12, 18 and the picture's mean, 256 channels each, fused by a 1x1 convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...similarity import resize_map


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
        """(B, C, h, w) -> (B, width, h, w)."""
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
        # Nine layers without a norm: with PyTorch's own start the signal is gone before the last one.
        for layer in (*self.aspp.modules(), *self.blocks):
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, features: Tensor, maps: Tensor) -> Tensor:
        """Query features (N, C, h, w), entries of about 1, and maps (N, maps, h, w) -> logits (N, h, w)."""
        x = torch.cat((self.reduce(features), maps), 1)
        return self.head(self.blocks(self.aspp(x)))[:, 0]


class Residual(nn.Module):
    """x + convolution(ReLU(convolution(x))), dilated. Same shape out as in."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> the same shape."""
        return x + self.second(F.relu(self.first(F.relu(x))))


class PortableDecoder(nn.Module):
    """Reads maps and a small picture, corrects the training-free logits.

    The picture enters as four sub-pixels a cell, and the correction leaves the same way, so that all
    convolutions work on cells.

    Args:
        maps: how many maps (``portable_maps``).
        width: channels.
    """

    def __init__(self, *, maps: int, width: int = 32):
        super().__init__()
        self.enter = nn.Conv2d(maps + 1 + 3 * 4, width, 3, padding=1)
        self.blocks = nn.ModuleList(Residual(width, d) for d in (1, 2, 4, 8))
        self.whole = nn.Linear(2 * width, width)
        self.head = nn.Conv2d(width, 4, 3, padding=1, bias=False)
        nn.init.zeros_(self.head.weight)  # training starts from the training-free logits

    def forward(self, maps: Tensor, logits: Tensor, picture: Tensor) -> Tensor:
        """(N, maps, h, w), logits of ``training_free_logits`` (N, h, w), picture (N, 3, 2 h, 2 w) in [0, 1]
        -> logits (N, 2 h, 2 w)."""
        colours = F.pixel_unshuffle(picture - 0.5, 2)
        x = self.enter(torch.cat((maps, logits[:, None] / 4, colours), 1))
        for block in self.blocks:
            x = block(x)
        summary = torch.cat((x.mean((2, 3)), x.amax((2, 3))), 1)
        x = F.relu(x + self.whole(summary)[:, :, None, None])
        correction = F.pixel_shuffle(self.head(x), 2)[:, 0]
        return resize_map(logits, (correction.shape[-2], correction.shape[-1])) + correction


def training_free_logits(
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
