"""Encoder outputs: computed once, the same from memory, disk and anew, and never mixed between encoders."""

from __future__ import annotations

from inspect import signature
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lfss.errors import InputError
from lfss.predictor import Predictor
from lfss.presets import Encoders, Preset
from tests.fakes import ColourFeatures, ColourWords
from train.data.remember import Remembered, _alike, remember

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


def keep(backbone: Counting, folder: Path | None = None, memory: int = 2**20) -> Remembered:
    return Remembered(backbone, size=SIZE, memory=memory, folder=folder)


def equal(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b))


def predictor(encoders: Encoders, name: str = "fake") -> Predictor:
    preset = Preset(name=name, summary="", licence="", load=lambda *_: encoders, size=SIZE)
    return Predictor.load(preset, device="cpu")


def test_a_picture_is_computed_once() -> None:
    backbone = Counting()
    remembered = keep(backbone)
    first = remembered(picture(0))
    assert equal(first, remembered(picture(0)))
    remembered(picture(1))
    assert remembered.computed == 2
    assert backbone.calls == 3  # and the fixed picture
    expected = ColourFeatures()(picture(0))[0]
    torch.testing.assert_close(first[0], expected, atol=1e-3, rtol=1e-3)
    assert first[0].dtype == torch.float32


def test_the_next_run_reads_the_same_numbers_from_disk(tmp_path: Path) -> None:
    made = keep(Counting(), tmp_path)(picture(0))
    second = Counting()
    again = keep(second, tmp_path)
    assert equal(made, again(picture(0)))
    assert again.computed == 0
    assert second.calls == 1


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    small = keep(Counting())
    remembered = keep(Counting(), memory=2 * small.item_bytes)
    for seed in (0, 1, 0, 2, 0, 1):  # 2 drives out 1, not 0
        remembered(picture(seed))
    assert remembered.computed == 4


def test_without_a_word_on_memory_it_fits_into_a_small_machine() -> None:
    assert signature(remember).parameters["memory"].default <= 4 << 30


def test_a_folder_of_another_encoder_is_refused(tmp_path: Path) -> None:
    keep(Counting(), tmp_path)
    with pytest.raises(InputError, match="holds the outputs of another encoder"):
        keep(Counting(gain=1.5), tmp_path)


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    made = keep(Counting(), tmp_path)(picture(0))
    for path in tmp_path.rglob("*.safetensors"):
        if "probe" not in path.name:
            path.write_bytes(path.read_bytes()[:50])
    again = keep(Counting(), tmp_path)
    assert equal(made, again(picture(0)))
    assert again.computed == 1
    assert keep(Counting(), tmp_path)(picture(0)) is not None


def test_one_pass_through_both_towers_is_used_where_there_is_one(tmp_path: Path) -> None:
    words, features = ColourWords(), ColourFeatures()
    passes = []

    def both(pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        passes.append(1)
        return words.encode_dense(pixels), features(pixels)

    changed, item_bytes = remember(predictor(Encoders(words, features, both)), tmp_path)
    assert changed.encoders.encode is not None
    dense, levels = changed.encoders.encode(picture(0))
    changed.encoders.encode(picture(0))
    assert len(passes) == 2  # the fixed picture, and this one
    assert item_bytes == 2 * (dense.nelement() + sum(level.nelement() for level in levels))


def test_presets_that_share_a_tower_share_its_outputs(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    for backbone, name in ((first, "a"), (second, "b")):
        changed, _ = remember(predictor(Encoders(ColourWords(), backbone), name), tmp_path)
        assert changed.encoders.encode is not None
        changed.encoders.encode(picture(0))
    assert (first.calls, second.calls) == (2, 1)  # the second computes the fixed picture only


def test_a_batch_is_a_stack_of_its_pictures_and_computes_only_what_is_new() -> None:
    backbone = Counting()
    remembered = keep(backbone)
    one = remembered(picture(0))
    pixels = torch.cat([picture(1), picture(0), picture(2), picture(1)])
    batch = remembered(pixels)
    assert remembered.computed == 3
    assert backbone.calls == 3  # the fixed picture, the first, and the two new ones together
    assert torch.equal(batch[0][1:2], one[0])
    assert torch.equal(batch[0][0], batch[0][3])
    torch.testing.assert_close(batch[0], ColourFeatures()(pixels)[0], atol=1e-3, rtol=1e-3)


def test_forms_have_folders_of_their_own(tmp_path: Path) -> None:
    plain = predictor(Encoders(ColourWords(), ColourFeatures()))
    sizes = [remember(plain, tmp_path, form=form)[1] for form in ("float16", "int8")]
    assert sizes[1] < 0.8 * sizes[0]
    assert len(list((tmp_path / "encoded").iterdir())) == 4  # two towers, two forms


def test_outputs_are_alike_up_to_a_share_of_their_own_size() -> None:
    for size in (1e-2, 1.0, 1e3):
        made = size * torch.ones(1, 4, 5, 5)
        assert _alike((made,), (1.01 * made,))
        assert not _alike((made,), (1.03 * made,))
    assert not _alike((made,), (made[..., 1:],))
