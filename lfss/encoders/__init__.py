"""Frozen towers behind two contracts, so that a method never knows which network it reads.

Both take pixels as ``float32 (B, 3, H, W)`` in [0, 1] and normalise them themselves. Both are in
eval mode and need no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class VisionLanguage(Protocol):
    """Text and picture cells in one space.

    The inner product of a phrase's row and a cell's vector, times ``logit_scale``, is the cell's
    logit for that phrase. CLIP towers return unit vectors, so the inner product is the cosine.
    """

    @property
    def name(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def logit_scale(self) -> float: ...

    def encode_text(self, phrases: Sequence[str]) -> Tensor:
        """V phrases (no template) -> (V, D), each the mean over the prompt templates."""
        ...

    def encode_dense(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, D, h, w)."""
        ...

    def text_trust(self, phrase: str) -> float:
        """How far a phrase is trusted, in [0, 1]: 0 for an unknown one, 1 where the tower cannot tell.

        Below ``labels.WEAK`` the phrase only says where the object is in supports that are known to show it.
        """
        ...


class Backbone(Protocol):
    """Several levels of picture features, finest first."""

    @property
    def name(self) -> str: ...
    @property
    def channels(self) -> tuple[int, ...]: ...

    def __call__(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) in [0, 1] -> one (B, C_i, h_i, w_i) for each level."""
        ...
