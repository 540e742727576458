"""Masks drawn in ASCII, and random features, for the tests of the method."""

from __future__ import annotations

import torch
from torch import Tensor


def mask(*rows: str) -> Tensor:
    """``mask("##..", "#...")`` -> (1, 2, 4) bool, true where there is a ``#``."""
    return torch.tensor([[character == "#" for character in row] for row in rows])[None]


def draw(drawn: Tensor) -> str:
    """(1, h, w) or (h, w) bool -> the rows that ``mask`` reads, one for each line."""
    rows = drawn.reshape(drawn.shape[-2:]).tolist()
    return "\n".join("".join("#" if cell else "." for cell in row) for row in rows)


def assert_mask(actual: Tensor, *rows: str) -> None:
    """Fail with both drawings unless ``actual`` is what the rows show."""
    assert actual.dtype == torch.bool
    assert draw(actual) == "\n".join(rows)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Normally distributed float32, the same for the same seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def coin(*shape: int, seed: int = 0, share: float = 0.5) -> Tensor:
    """Random bool, the same for the same seed; a ``share`` of it is true."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share
