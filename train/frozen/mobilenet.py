"""MobileNetV2 (Sandler et al. 2018) with its ImageNet classifier, batch norms folded into biases.

The weights are TensorFlow's, which pads unevenly: with a stride of 2 the spare pixel goes to the end.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from .files import by_hand, load_frozen

# Table 2 of the paper: expansion, channels, layers, stride of the first one.
TABLE = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
READ = {5: "block5", 12: "block12"}


class Bottleneck(nn.Module):
    """Wider, a filter for each channel, narrower; added to its input where the shapes agree."""

    def __init__(self, into: int, out: int, *, wider: int, stride: int, spread: int):
        super().__init__()
        middle = wider * into
        if wider > 1:
            self.expand = nn.Conv2d(into, middle, 1)
        self.depthwise = nn.Conv2d(middle, middle, 3, stride, dilation=spread, groups=middle)
        self.project = nn.Conv2d(middle, out, 1)
        self.wider, self.adds = wider > 1, into == out and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, into, h, w) -> (B, out, h / stride, w / stride)."""
        y = F.relu6(self.expand(x)) if self.wider else x
        y = self.project(F.relu6(convolved(self.depthwise, y)))
        return x + y if self.adds else y


class Trunk(nn.Module):
    """All layers up to 320 channels; those whose cells would be wider than ``stride`` are spread."""

    def __init__(self, stride: int):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 2)
        layers, into, reached, spread = [], 32, 2, 1
        for wider, out, count, first in TABLE:
            for number in range(count):
                step = first if number == 0 else 1
                widen = step if reached * step > stride else 1
                layers.append(Bottleneck(into, out, wider=wider, stride=step // widen, spread=spread))
                reached, spread, into = reached * step // widen, spread * widen, out
        self.blocks = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) -> the layers of ``READ`` and ``last``."""
        found = {}
        x = F.relu6(convolved(self.stem, x))
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in READ:
                found[READ[number]] = x
        return {**found, "last": x}


class MobileNet(nn.Module):
    """Dense features and dense class scores; cells of the scores are ``stride`` pixels wide."""

    # Channels of each level, and the width of a cell in pixels.
    levels: ClassVar[dict[str, tuple[int, int]]] = {
        "block5": (32, 8),
        "block12": (96, 16),
    }

    def __init__(self, stride: int = 32):
        super().__init__()
        self.trunk = Trunk(stride)
        self.head = nn.Conv2d(320, 1280, 1)
        self.classifier = nn.Conv2d(1280, 1000, 1)

    def features(self, pixels: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) in [0, 1] -> block5 (B, 32, H/8, W/8), block12 (B, 96, H/16, W/16)."""
        return self.trunk(2 * pixels - 1)

    def class_scores(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> ImageNet logits (B, 1000, H/stride, W/stride)."""
        return self.classifier(F.relu6(self.head(self.features(pixels)["last"])))


def convolved(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """(B, C, h, w) through a 3 x 3 convolution with TensorFlow's "SAME" padding."""
    pads: list[int] = []
    for size, stride, spread in zip(x.shape[:1:-1], layer.stride[::-1], layer.dilation[::-1]):
        missing = max(0, (math.ceil(size / stride) - 1) * stride + 2 * spread + 1 - size)
        pads += [missing // 2, missing - missing // 2]
    return layer(F.pad(x, pads))


def load_mobilenet(models_dir: Path | None = None, *, stride: int = 32) -> MobileNet:
    """Frozen; raises WeightsUnavailable where the file was not put there."""
    network = MobileNet(stride)
    load_frozen(network, by_hand("mobilenetv2", models_dir))
    return network
