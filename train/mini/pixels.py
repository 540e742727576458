"""Photos as mini sees them: stretched to a square, as the product does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from lfss.encoders.mini import MiniEncoder
from lfss.encoders.mini_network import log_odds

from .truth import Known


class Seen(NamedTuple):
    """What the network sees in one photo: ``match`` (1, C, h, w), ``odds`` (1, V, h, w) log odds of the
    concepts, ``whole`` (V,) log odds that the picture shows them."""

    match: Tensor
    odds: Tensor
    whole: Tensor


def read_square(path: Path, size: int) -> Tensor:
    """A photo as (1, 3, size, size) in [0, 1].

    Raises:
        ValueError: it cannot be read.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(f"{path} is not a readable picture. Remove it from the data folder.")
    shrinks = min(bgr.shape[:2]) > size
    square = cv2.resize(bgr, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    rgb = np.ascontiguousarray(square[..., ::-1])
    return torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255


def look(model: MiniEncoder, photos: Sequence[Known], data: Path, size: int) -> Iterator[Seen]:
    """Run the network over photos, one by one.

    Args:
        model: the network.
        photos: with masks.
        data: their folder.
        size: side at which they are read.
    """
    for known in tqdm(photos, desc="photos", unit="photo", mininterval=5):
        with torch.inference_mode():
            maps = model.network(read_square(data / known.photo.key, size))
            yield Seen(maps.match, log_odds(maps.concepts), model.network.shown(maps.whole)[0])
