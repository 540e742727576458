"""Presets of random networks that know every word, for miniatures of trainings: milliseconds a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.presets import Encoders, Preset

DIM, SIZE, STRIDE = 6, 32, 8


def _network(seed: int, out: int) -> Tensor:
    """Weights (out, 3, 1, 1) of one random layer."""
    return torch.randn(out, 3, 1, 1, generator=torch.Generator().manual_seed(seed))


class RandomWords:
    """A text tower whose words are random directions, and whose cells are random mixtures of the colours."""

    name, dim, logit_scale = "random words", DIM, 10.0

    def encode_text(self, phrases: Sequence[str]) -> Tensor:
        seeds = [int(hashlib.sha1(p.encode()).hexdigest()[:8], 16) for p in phrases]
        rows = [torch.randn(DIM, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return F.normalize(torch.stack(rows), dim=1)

    def encode_dense(self, pixels: Tensor) -> Tensor:
        return F.normalize(F.conv2d(F.avg_pool2d(pixels, 2 * STRIDE) - 0.5, _network(1, DIM)), dim=1)

    def text_trust(self, phrase: str) -> float:
        return 1.0


class RandomLevels:
    """A backbone of two levels."""

    channels, _strides = (5, 4), (STRIDE, 2 * STRIDE)

    def __init__(self, seed: int):
        self.name, self._seed = f"random levels {seed}", seed

    def __call__(self, pixels: Tensor) -> tuple[Tensor, ...]:
        levels = zip(self.channels, self._strides)
        return tuple(
            F.conv2d(F.avg_pool2d(pixels, s) - 0.5, _network(self._seed + i, c)).tanh()
            for i, (c, s) in enumerate(levels)
        )


def _preset(name: str, seed: int) -> Preset:
    def load(_device: str, _models_dir: Path | None) -> Encoders:
        return Encoders(RandomWords(), RandomLevels(seed))

    return Preset(name=name, summary="random weights, for tests", licence="Apache-2.0", load=load, size=SIZE)


def one() -> Preset:
    """The first preset; ``--backbones tiny_networks:one`` where this folder is on the path."""
    return _preset("tiny-one", 10)


def other() -> Preset:
    """The same words with another backbone."""
    return _preset("tiny-other", 20)
