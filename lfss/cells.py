"""Cells of pictures, kept small, so that a second pass over a folder need not encode it again."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from .edge_network import EdgeNetwork
from .encoding import Encoded
from .images import Image
from .similarity import EPS, concat_levels

ROOM = 64 << 20


class Encoder:
    """Unit cells of pictures, (C, h, w), each picture encoded once as long as there is room.

    Cells are kept as 8-bit integers, 74 KB a picture with ``mini``. They always pass through that form, so
    that what is kept changes no result. A run may hand over what it has encoded (``keep``): the pass then
    needs no network. What came first stays, since a pass goes through the pictures in that order.

    Args:
        encode: ``Predictor.encode``, or something like it.
        room: bytes for cells; pictures beyond it are encoded whenever they are asked for.
        edges: the preset's network for edges (``Predictor.edges``), for maps that are made of the cells.

    Attributes:
        computed: how many pictures were encoded here, not remembered.
    """

    def __init__(
        self, encode: Callable[[Image], Encoded], *, room: int = ROOM, edges: EdgeNetwork | None = None
    ):
        self._encode, self._room, self.edges = encode, room, edges
        self._kept: dict[str, Tensor] = {}
        self._bytes = 0
        self.computed = 0

    def __call__(self, image: Image) -> Tensor:
        """The cells of a picture, (C, h, w) float32 of unit length."""
        packed = self._kept.get(image.digest)
        if packed is None:
            self.computed += 1
            packed = self.keep(image, self._encode(image))
        return F.normalize(packed.float(), dim=0)

    def keep(self, image: Image, encoded: Encoded) -> Tensor:
        """Remember what was encoded.

        Args:
            image: the picture.
            encoded: of ``Predictor.encode``.

        Returns:
            (C, h, w) int8, whose length has no meaning.
        """
        cells = concat_levels(encoded.levels)[0].float().cpu()  # (C, h, w)
        packed = (cells * (127 / cells.abs().amax(0).clamp_min(EPS))).round().to(torch.int8)
        if image.digest not in self._kept and self._bytes + packed.nelement() <= self._room:
            self._kept[image.digest] = packed
            self._bytes += packed.nelement()
        return packed
