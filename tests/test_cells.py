"""Cells of pictures that are kept in a byte each: as they were, once each, and no more than there is room."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from lfss.cells import Encoder
from lfss.encoding import Encoded
from lfss.images import Image, read_image
from tests.masks import noise

C, SIDE = 16, 5


def picture(seed: int) -> Image:
    return read_image(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8))


def encode(image: Image) -> Encoded:
    level = 0.01 * noise(1, C, SIDE, SIDE, seed=int(image.digest[:6], 16))
    return Encoded(level, (level,), level)


def test_cells_are_the_encoded_ones_to_a_hundredth_whatever_their_length():
    image = picture(0)
    cells = Encoder(encode)(image)
    assert cells.shape == (C, SIDE, SIDE)
    torch.testing.assert_close(cells, F.normalize(encode(image).levels[0][0], dim=0), atol=0.01, rtol=0)


def test_each_picture_is_encoded_once_and_again_only_where_there_is_no_room():
    encoder = Encoder(encode, room=2 * C * SIDE * SIDE)
    pictures = [picture(seed) for seed in range(3)]
    for _ in range(2):
        for image in pictures:
            encoder(image)
    assert encoder.computed == 3 + 1
