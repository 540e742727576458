"""Forms of encoder outputs: what is lost, what it takes, and which one fits."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tests.masks import noise
from train.data.packing import FORMS, choose_form, pack, packed_bytes, unpack

LEVELS = (100 * noise(1, 64, 40, 41), 0.01 * noise(1, 32, 10, 12, seed=1))


@pytest.mark.parametrize("form", FORMS)
def test_shapes_and_types_come_back(form) -> None:
    made = unpack(pack(LEVELS, form))
    assert [m.shape for m in made] == [level.shape for level in LEVELS]
    assert all(m.dtype == torch.float32 for m in made)
    again = unpack(pack(made, form))
    if form != "int8-pooled":
        for a, b in zip(made, again):
            torch.testing.assert_close(a, b, atol=0, rtol=1e-5)


def test_bytes_keep_the_direction_of_every_cell_whatever_its_length() -> None:
    levels = (LEVELS[0] * torch.logspace(-4, 4, 41) * torch.logspace(-2, 2, 40)[:, None], LEVELS[1])
    for given, made in zip(levels, unpack(pack(levels, "int8"))):
        assert F.cosine_similarity(given, made, dim=1).min() > 0.9995


def test_pooled_maps_are_the_means_of_four_cells() -> None:
    level = noise(1, 8, 20, 20).repeat_interleave(2, 2).repeat_interleave(2, 3)  # 40 x 40, alike in fours
    packed = pack((level, LEVELS[1]), "int8-pooled")
    assert packed["level0"].shape == (1, 8, 20, 20)
    assert packed["level1"].shape == LEVELS[1].shape  # small maps stay as they are
    back = packed["level0"].float() * packed["level0.scale"]
    torch.testing.assert_close(back, level[..., ::2, ::2], atol=0.02, rtol=0.02)


def test_each_form_takes_less_and_the_most_exact_that_fits_is_chosen() -> None:
    sizes = {form: packed_bytes(pack(LEVELS, form)) for form in FORMS}
    assert sizes["float16"] == 2 * sum(level.nelement() for level in LEVELS)
    assert sizes["float16"] > 1.8 * sizes["int8"] > 1.8 * 2 * sizes["int8-pooled"]
    for form in FORMS:
        assert choose_form(sizes, 100, 100 * sizes[form]) == form
    assert choose_form(sizes, 100, 100 * sizes["int8-pooled"] - 1) is None
