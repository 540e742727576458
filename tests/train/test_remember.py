"""Encoder outputs: computed once, the same from memory, disk and anew, and never mixed between encoders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lfss.errors import InputError
from lfss.presets import Encoders
from tests.fakes import ColourFeatures, ColourWords
from train.remember import Remembered

SIZE = 64


class Counting(ColourFeatures):
    """Counts its calls; ``gain`` makes another encoder of it."""

    def __init__(self, gain: float = 1.0):
        self.calls, self.gain = 0, gain

    def __call__(self, pixels: Tensor) -> tuple[Tensor, ...]:
        self.calls += 1
        return tuple(self.gain * level for level in super().__call__(pixels))


def picture(seed: int) -> Tensor:
    return torch.rand((1, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(seed))


def remember(backbone: Counting, folder: Path | None = None, memory: int = 2**20) -> Remembered:
    encoders = Encoders(ColourWords(), backbone)
    return Remembered(encoders, size=SIZE, memory=memory, folder=folder)


def equal(a: tuple, b: tuple) -> bool:
    return all(torch.equal(x, y) for x, y in zip((a[0], *a[1]), (b[0], *b[1])))


def test_a_picture_is_computed_once() -> None:
    backbone = Counting()
    remembered = remember(backbone)
    first = remembered(picture(0))
    assert equal(first, remembered(picture(0)))
    remembered(picture(1))
    assert remembered.computed == 2
    assert backbone.calls == 3  # and the fixed picture
    expected = ColourFeatures()(picture(0))[0]
    torch.testing.assert_close(first[1][0], expected, atol=1e-3, rtol=1e-3)
    assert first[0].dtype == torch.float32


def test_the_next_run_reads_the_same_numbers_from_disk(tmp_path: Path) -> None:
    made = remember(Counting(), tmp_path)(picture(0))
    second = Counting()
    again = remember(second, tmp_path)
    assert equal(made, again(picture(0)))
    assert again.computed == 0
    assert second.calls == 1


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    small = remember(Counting())
    remembered = remember(Counting(), memory=2 * small.item_bytes)
    for seed in (0, 1, 0, 2, 0, 1):  # 2 drives out 1, not 0
        remembered(picture(seed))
    assert remembered.computed == 4


def test_a_folder_of_another_encoder_is_refused(tmp_path: Path) -> None:
    remember(Counting(), tmp_path)
    with pytest.raises(InputError, match="holds the outputs of another encoder"):
        remember(Counting(gain=1.5), tmp_path)


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    made = remember(Counting(), tmp_path)(picture(0))
    for path in tmp_path.rglob("*.safetensors"):
        if "probe" not in path.name:
            path.write_bytes(path.read_bytes()[:50])
    again = remember(Counting(), tmp_path)
    assert equal(made, again(picture(0)))
    assert again.computed == 1
    assert remember(Counting(), tmp_path)(picture(0)) is not None


def test_one_pass_through_both_towers_is_used_where_there_is_one() -> None:
    words, features = ColourWords(), ColourFeatures()
    passes = []

    def both(pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        passes.append(1)
        return words.encode_dense(pixels), features(pixels)

    encoders = Remembered(Encoders(words, features, both), size=SIZE, memory=2**20).encoders()
    assert encoders.encode is not None
    encoders.encode(picture(0))
    encoders.encode(picture(0))
    assert len(passes) == 2  # the fixed picture, and this one
