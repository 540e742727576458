"""ResNet-50 v2 (He et al. 2016b), whose batch norms stand before the convolutions, up to its third stage."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from .files import by_hand, load_frozen

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2))  # channels of the middle, blocks, stride of the first block
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Residual(nn.Module):
    """Norm and ReLU, then a convolution, three times; the first norm serves the shortcut too."""

    def __init__(self, into: int, middle: int, stride: int, *, first: bool):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(into), nn.Conv2d(into, middle, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(middle), nn.Conv2d(middle, middle, 3, stride, 1, bias=False)
        self.bn3, self.conv3 = nn.BatchNorm2d(middle), nn.Conv2d(middle, 4 * middle, 1, bias=False)
        if first:
            self.downsample = nn.Conv2d(into, 4 * middle, 1, stride, bias=False)
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        """(B, into, h, w) -> (B, 4 middle, h / stride, w / stride)."""
        normal = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(normal))))
        return self.conv3(F.relu(self.bn3(y))) + (self.downsample(normal) if self.first else x)


class ResNet(nn.Module):
    """Dense features of the second and third stage."""

    # Channels of each level, and the width of a cell in pixels.
    levels: ClassVar[dict[str, tuple[int, int]]] = {
        "layer2": (512, 8),
        "layer3": (1024, 16),
    }

    def __init__(self) -> None:
        super().__init__()
        self.bn0, self.conv1 = nn.BatchNorm2d(3), nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1, self.layer2, self.layer3 = (
            stage(4 * STAGES[number - 1][0] if number else 64, *choices)
            for number, choices in enumerate(STAGES)
        )

    def features(self, pixels: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) in [0, 1] -> layer2 (B, 512, H/8, W/8), layer3 (B, 1024, H/16, W/16)."""
        mean, spread = (pixels.new_tensor(v).view(1, 3, 1, 1) for v in (MEAN, SPREAD))
        x = F.relu(self.bn1(self.conv1(self.bn0((pixels - mean) / spread))))
        x = self.layer1(F.max_pool2d(x, 3, 2, 1))
        middle = self.layer2(x)
        return {"layer2": middle, "layer3": self.layer3(middle)}


def stage(into: int, middle: int, count: int, stride: int) -> nn.Sequential:
    """``count`` blocks, the first of which changes channels and size.

    Args:
        into: channels of the input.
        middle: channels within a block; the output has four times as many.
        count: of the blocks.
        stride: of the first.
    """
    first = Residual(into, middle, stride, first=True)
    return nn.Sequential(first, *(Residual(4 * middle, middle, 1, first=False) for _ in range(count - 1)))


def load_resnet(models_dir: Path | None = None) -> ResNet:
    """Frozen; raises WeightsUnavailable where the file was not put there."""
    network = ResNet()
    load_frozen(network, by_hand("resnet50v2_l3", models_dir))
    return network
