"""Step 5: the paper's decoder, and the fixed rule that needs no training."""

from __future__ import annotations

import pytest
import torch

from lfss.methods.lfss import Aspp, Decoder, PortableDecoder, training_free_logits
from tests.masks import coin, noise

H, W = 7, 9


def test_training_free_logits_is_its_formula_cell_by_cell():
    text, association, fcm, background = (4 * noise(2, H, W, seed=i) for i in range(4))
    refined = coin(2, H, W)
    made = training_free_logits(
        text, refined, association, fcm, background, sharpness=3.0, text_limit=2.0, roi=0.5
    )
    for n in range(2):
        for r in range(H):
            for c in range(W):
                at = (n, r, c)
                expected = max(-2.0, min(2.0, float(text[at]))) + (0.5 if refined[at] else -0.5)
                expected += 3.0 * ((float(association[at]) + float(fcm[at])) / 2 - float(background[at]))
                assert float(made[at]) == pytest.approx(expected, abs=1e-4)


def test_training_free_logits_without_evidence_is_the_refined_mask():
    refined, nothing = coin(1, H, W), torch.zeros(1, H, W)
    assert torch.equal(training_free_logits(nothing, refined, nothing, nothing, nothing) > 0, refined)


def test_parameters_of_the_decoder_are_those_of_the_paper():
    def count(module: torch.nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    decoder = Decoder(1536)
    assert count(decoder.reduce) == 393_216
    assert count(decoder.aspp) == 2_252_032
    assert count(decoder.blocks) == 1_770_240
    assert count(decoder.head) == 257


def test_aspp_keeps_the_cells_and_sees_the_whole_picture():
    torch.manual_seed(0)
    aspp, x = Aspp(3, 16, rates=(1, 2)), noise(1, 3, H, W)
    other = x.clone()
    other[..., 0, 0] += 50  # too far from the other corner for any of the rates
    assert aspp(x).shape == (1, 16, H, W)
    assert (aspp(x) != aspp(other))[..., -1, -1].any()


def test_decoder_gives_one_logit_for_each_cell():
    decoder = Decoder(6, width=8)
    logits = decoder(noise(2, 6, H, W), noise(2, 3, H, W))
    assert logits.shape == (2, H, W)
    assert logits.dtype == torch.float32


def test_decoder_reads_features_and_every_map():
    torch.manual_seed(0)
    decoder = Decoder(6, width=8)
    features = noise(1, 6, H, W).requires_grad_()
    maps = noise(1, 3, H, W, seed=1).requires_grad_()
    decoder(features, maps).square().sum().backward()
    assert features.grad.abs().sum((0, 2, 3)).gt(0).all()
    assert maps.grad.abs().sum((0, 2, 3)).gt(0).all()


def test_the_portable_decoder_reads_maps_logits_and_four_sub_pixels_about_grey():
    decoder = PortableDecoder(maps=2, width=8)
    seen: list[torch.Tensor] = []
    decoder.enter.register_forward_hook(lambda module, given, made: seen.append(given[0]))
    maps, logits, picture = noise(1, 2, H, W), noise(1, H, W, seed=1), noise(1, 3, 2 * H, 2 * W, seed=2)
    assert decoder(maps, logits, picture).shape == (1, 2 * H, 2 * W)
    assert decoder.enter.in_channels == 2 + 1 + 3 * 4
    assert torch.equal(seen[0][:, :2], maps)
    assert torch.equal(seen[0][:, 2], logits / 4)
    assert torch.equal(seen[0][0, 3, 4, 5], picture[0, 0, 8, 10] - 0.5)
    assert torch.equal(seen[0][0, 14, 4, 5], picture[0, 2, 9, 11] - 0.5)


def test_the_portable_decoder_looks_twice_as_far_from_block_to_block():
    assert [block.first.dilation for block in PortableDecoder(maps=2).blocks] == [
        (1, 1),
        (2, 2),
        (4, 4),
        (8, 8),
    ]


def test_the_fixed_rule_has_the_numbers_that_were_measured():
    text, association, fcm, background = (4 * noise(2, H, W, seed=i) for i in range(4))
    given = (text, coin(2, H, W), association, fcm, background)
    expected = training_free_logits(*given, sharpness=16.0, text_limit=6.0, roi=0.6)
    assert torch.equal(training_free_logits(*given), expected)
