"""A small network that corrects a score at pixels, after the guided filter.

It reads the picture, the filter's score and the logits of the cells, and says by how much the score is wrong
at each of 320 x 320 pixels. It knows no classes: it was trained on masks of many (``train.edge_network``), to
see which colours belong together and how objects end. The corrected score is filtered once more, by the
colours of the picture at up to 1,024 pixels.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .edges import Floats, to_pixels
from .errors import WeightsMismatch
from .images import halve
from .methods.lfss.step5_segment import Residual
from .similarity import resize_map
from .weights import load_into, load_model

SIDE = 320  # pixels at which scores are corrected
SUB = 4  # the finest convolutions work on blocks of 4 x 4 pixels
# Chosen on VOC training photos (docs/training.md): half of what the network asks for keeps its outlines, and
# loses nothing on photos that the encoders were not trained on.
SHARE = 0.5
AGAIN = 12  # radius of the second filter at 320 pixels, which brings the outline to the picture's own pixels
MOST_WIDTH = 512  # channels
LIMIT = 6.0  # logits are held within it
SCALE = 4.0  # and divided by it


class EdgeNetwork(nn.Module):
    """A U-Net of three levels, whose pixels enter and leave as 16 channels of a block of 4 x 4.

    Args:
        width: channels at a quarter of the side; twice as many at an eighth, 2.7 times at a sixteenth.
    """

    def __init__(self, width: int = 24):
        super().__init__()
        self.width = width
        fine, middle, coarse = width, 2 * width, 8 * width // 3
        self.enter = nn.Conv2d(4 * SUB**2 + 1, fine, 3, padding=1)
        self.fine = Residual(fine, 1)
        self.to_middle = nn.Conv2d(fine, middle, 3, stride=2, padding=1)
        self.middle = nn.Sequential(Residual(middle, 1), Residual(middle, 2))
        self.to_coarse = nn.Conv2d(middle, coarse, 3, stride=2, padding=1)
        self.coarse = nn.Sequential(*(Residual(coarse, d) for d in (1, 2, 4)))
        self.whole = nn.Linear(2 * coarse, coarse)
        self.from_coarse, self.from_middle = nn.Conv2d(coarse, middle, 1), nn.Conv2d(middle, fine, 1)
        self.middle_again, self.fine_again = Residual(middle, 1), Residual(fine, 1)
        self.head = nn.Conv2d(fine, SUB**2, 3, padding=1, bias=False)
        nn.init.zeros_(self.head.weight)  # an untrained network corrects nothing

    def forward(self, picture: Tensor, score: Tensor, cells: Tensor) -> Tensor:
        """How much to add to the score's logits.

        Args:
            picture: (N, 3, H, W) in [0, 1], sides multiples of 16.
            score: (N, H, W) logits of the guided filter's score.
            cells: (N, h, w) logits before the filter.

        Returns:
            (N, H, W).
        """
        blocks = (picture.shape[-2] // SUB, picture.shape[-1] // SUB)
        level = resize_map(cells.clamp(-30, 30), blocks)[:, None] / SCALE  # (N, 1, H/4, W/4)
        pixels = torch.cat((picture - 0.5, score.clamp(-LIMIT, LIMIT)[:, None] / SCALE), 1)  # (N, 4, H, W)
        fine = self.fine(self.enter(torch.cat((F.pixel_unshuffle(pixels, SUB), level), 1)))
        middle = self.middle(self.to_middle(F.relu(fine)))  # (N, 2 width, H/8, W/8)
        coarse = self.coarse(self.to_coarse(F.relu(middle)))  # (N, 2.7 width, H/16, W/16)
        summary = torch.cat((coarse.mean((2, 3)), coarse.amax((2, 3))), 1)
        coarse = coarse + self.whole(summary)[:, :, None, None]
        middle = self.middle_again(middle + _double(self.from_coarse(F.relu(coarse))))
        fine = self.fine_again(fine + _double(self.from_middle(F.relu(middle))))
        return F.pixel_shuffle(self.head(F.relu(fine)), SUB)[:, 0]  # (N, H, W)


def load_edge_network(
    folder: Path | str, *, device: str | torch.device = "cpu", models_dir: Path | str | None = None
) -> EdgeNetwork:
    """Load the network from a folder with ``config.json`` and ``model.safetensors``.

    Args:
        folder: a folder, or the name of one in the models folder.
        device: where it runs.
        models_dir: the models folder, if not ``assets/models``.

    Raises:
        WeightsUnavailable: the folder is missing or its files cannot be read.
        WeightsMismatch: the weights are not this network's.
    """
    config, state = load_model(folder, models_dir=models_dir)
    width = config.get("width")
    if not isinstance(width, int) or not 1 <= width <= MOST_WIDTH:
        raise WeightsMismatch(
            f"'{folder}' holds no network for edges: its width is {width!r}, not a number from 1 to "
            f"{MOST_WIDTH}. Use the folder made by: python -m train.edge_network"
        )
    network = EdgeNetwork(width)
    load_into(network, {k: v.float() for k, v in state.items()}, source=f"The weights in '{folder}'")
    return network.eval().requires_grad_(False).to(device)


def logits_of(score: npt.NDArray) -> Floats:
    """Logits of a score in [0, 1], within +-LIMIT; any shape."""
    least = 1 / (1 + np.exp(LIMIT))
    held = np.clip(score, least, 1 - least)
    return np.asarray(np.log(held / (1 - held)), np.float32)


def small_square(array: npt.NDArray) -> npt.NDArray:
    """A picture or a map as the network reads it: (H, W, ...) to (SIDE, SIDE, ...), averaged."""
    return cv2.resize(array, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


@torch.inference_mode()
def score_at_pixels(
    logits: Floats, pixels: npt.NDArray[np.uint8], network: EdgeNetwork | None = None, *, snap: bool = True
) -> Floats:
    """Score at the picture's full size: the guided filter's, corrected by the network, and filtered again.

    Args:
        logits: (h, w) of the cells.
        pixels: (H, W, 3) uint8.
        network: leaves the filter's score as it is if None.
        snap: off enlarges only.

    Returns:
        (H, W) float32 in [0, 1].
    """
    if network is None or not snap:
        return to_pixels(logits, pixels, snap=snap)
    device = network.enter.weight.device
    square = small_square(halve(pixels, SIDE))  # (SIDE, SIDE, 3)
    score = logits_of(to_pixels(logits, square))  # (SIDE, SIDE)
    read = (square.transpose(2, 0, 1).astype(np.float32) / 255, score, logits)
    tensors = (torch.from_numpy(np.ascontiguousarray(array, np.float32))[None].to(device) for array in read)
    correction = network(*tensors)[0].cpu().numpy()  # (SIDE, SIDE)
    return to_pixels(score + np.float32(SHARE) * correction, pixels, radius=AGAIN)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
