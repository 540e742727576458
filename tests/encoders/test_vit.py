"""The trunk: the same numbers as timm's network with the same weights."""

from __future__ import annotations

import pytest
import torch

from lfss.compat import ensure_torchvision
from lfss.encoders.vit import GRID, PATCH, VisionTransformer
from lfss.weights import load_into


def timm_network() -> torch.nn.Module:
    ensure_torchvision()
    import timm

    torch.manual_seed(0)
    return timm.create_model(
        "vit_tiny_patch16_224", pretrained=False, num_classes=0, dynamic_img_size=True
    ).eval()


@pytest.mark.parametrize("size", [(224, 224), (96, 160)])
def test_it_is_timms_vit_tiny(size: tuple[int, int]) -> None:
    theirs, ours = timm_network(), VisionTransformer().eval()
    load_into(ours, theirs.state_dict())
    pixels = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        (expected,) = theirs.forward_intermediates(
            pixels, indices=[8], norm=False, output_fmt="NLC", intermediates_only=True
        )
        last = theirs.forward_features(pixels)
        block8, block11 = ours.run(ours.embed(pixels), 0, [8, 11])
    torch.testing.assert_close(block8[:, 1:], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.norm(block11), last, atol=1e-4, rtol=1e-4)


def test_running_in_two_parts_is_running_once() -> None:
    torch.manual_seed(0)
    network = VisionTransformer(dim=24, depth=3, heads=2)
    tokens = network.embed(torch.randn(1, 3, PATCH * GRID, PATCH * GRID))
    (half,) = network.run(tokens, 0, [0])
    (rest,) = network.run(half, 1, [2])
    (whole,) = network.run(tokens, 0, [2])
    torch.testing.assert_close(rest, whole)
