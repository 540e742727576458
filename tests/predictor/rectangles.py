"""Pictures of coloured rectangles, and how tests compare what is found in them."""

from __future__ import annotations

import numpy as np
import torch

from lfss.images import Image, read_image
from lfss.prepared import Prepared
from tests.fakes import scene
from tests.methods.made import all_tensors

BOX = (60, 80, 180, 220)  # top, left, bottom, right: where scenes have their rectangle


SIZE = (240, 320)


def picture(colour: str = "red", **options) -> Image:
    return read_image(scene(colour, **options), name=f"{colour}.png")


def truth(box: tuple[int, int, int, int] = BOX, size: tuple[int, int] = SIZE) -> np.ndarray:
    area = np.zeros(size, bool)
    area[box[0] : box[2], box[1] : box[3]] = True
    return area


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def two(seed: int = 1) -> Image:
    """A picture with a red rectangle and a blue one."""
    pixels, box = scene("red", box=BOX, seed=seed), (20, 240, 100, 310)
    rows, columns = slice(box[0], box[2]), slice(box[1], box[3])
    pixels[rows, columns] = scene("blue", box=box, seed=seed)[rows, columns]
    return read_image(pixels)


def tensors_of(prepared: Prepared) -> list[torch.Tensor]:
    """Every tensor of a prepared class."""
    return all_tensors((prepared.text, prepared.encoded))
