"""Backbones against timm's own networks, on random weights."""

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from lfss.compat import ensure_torchvision
from lfss.encoders.backbone import BACKBONES, load_backbone
from lfss.encoders.pixels import nearest_multiple
from lfss.errors import UnknownName, WeightsMismatch, WeightsUnavailable

ensure_torchvision()
import timm  # noqa: E402

RESNET, VGG = "resnet50.tv_in1k", "vgg16.tv_in1k"
DINO = "vit_small_patch14_dinov2.lvd142m"
STOCK_OPTIONS = {VGG: {"mlp_ratio": 1 / 4096}, DINO: {"dynamic_img_size": True, "weight_init": "skip"}}


class Places:
    """A stock network of each name with its weight file, and the backbone loaded from that file."""

    def __init__(self, folder):
        self.folder, self._stock, self._ours = folder, {}, {}

    def stock(self, name):
        if name not in self._stock:
            torch.manual_seed(0)
            network = timm.create_model(name, **STOCK_OPTIONS.get(name, {})).eval().requires_grad_(False)
            # Fresh networks switch their branches off (zero norms, tiny scales): switch them on. The
            # embeddings are not set at all without the start values.
            for key, value in network.state_dict().items():
                if "bn" in key or ".ls" in key or "running" in key or "_token" in key or "pos_" in key:
                    value.copy_(torch.rand(value.shape) + 0.5)
            self._stock[name] = network
        return self._stock[name]

    def ours(self, name):
        if name not in self._ours:
            path = self.folder / "timm" / name / "model.safetensors"
            path.parent.mkdir(parents=True)
            save_file(self.stock(name).state_dict(), path)
            self._ours[name] = load_backbone(name, models_dir=self.folder)
            path.unlink()
        return self._ours[name]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return Places(tmp_path_factory.mktemp("models"))


@pytest.fixture
def picture():
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def normalised(pixels):
    mean, std = (
        torch.tensor(v).view(3, 1, 1)
        for v in (timm.data.IMAGENET_DEFAULT_MEAN, timm.data.IMAGENET_DEFAULT_STD)
    )
    return (pixels - mean) / std


def levels_of(network, picture, indices, **options):
    return network.forward_intermediates(
        normalised(picture), indices=indices, intermediates_only=True, **options
    )


@pytest.mark.parametrize(
    ("name", "channels", "grid"),
    [
        (RESNET, (512, 1024), (8, 8)),
        (VGG, (512, 512), (8, 8)),
        (DINO, (384, 384), (5, 5)),
    ],
)
def test_channels_and_cells_are_those_of_the_features(places, picture, name, channels, grid):
    backbone = places.ours(name)
    levels = backbone(picture)
    assert backbone.name == name
    assert backbone.channels == channels == tuple(level.shape[1] for level in levels)
    assert [tuple(level.shape[-2:]) for level in levels] == [grid, grid]
    assert not any(level.requires_grad for level in levels)


def test_resnet_up_to_layer2_equals_the_stock_network(places, picture):
    (stock,) = levels_of(places.stock(RESNET), picture, [2])
    torch.testing.assert_close(places.ours(RESNET)(picture)[0], stock, rtol=1e-4, atol=1e-5)


def test_resnet_layer3_reads_the_same_surroundings_on_a_finer_grid(places, picture):
    # With stride exchanged for dilation, every second cell of the finer grid is one of the stock grid.
    ours = places.ours(RESNET)(picture)[1]
    (stock,) = levels_of(places.stock(RESNET), picture, [3])
    # The two sum in another order; float32 rounding follows the largest values, not each cell's own.
    scale = stock.abs().max()
    torch.testing.assert_close(ours[..., ::2, ::2] / scale, stock / scale, rtol=0, atol=1e-5)


def test_vgg_up_to_conv4_equals_the_stock_network(places, picture):
    (stock,) = levels_of(places.stock(VGG), picture, [3])
    torch.testing.assert_close(places.ours(VGG)(picture)[0], stock, rtol=1e-4, atol=1e-5)


def test_vgg_conv5_is_the_stock_weights_dilated_over_an_unreduced_map(places, picture):
    layers = places.stock(VGG).features
    (x,) = levels_of(places.stock(VGG), picture, [3])
    x = F.max_pool2d(x, 3, stride=1, padding=1)
    for index in (24, 26, 28):  # conv5_1 to conv5_3
        x = F.relu(F.conv2d(x, layers[index].weight, layers[index].bias, padding=2, dilation=2))
    torch.testing.assert_close(places.ours(VGG)(picture)[1], x, rtol=1e-4, atol=1e-5)


def test_dino_equals_the_stock_network_on_a_whole_number_of_patches(places):
    picture = torch.rand(1, 3, 56, 84, generator=torch.Generator().manual_seed(1))
    stock = levels_of(places.stock(DINO), picture, [8, 11], norm=True)
    for ours, reference in zip(places.ours(DINO)(picture), stock):
        assert ours.shape == (1, 384, 4, 6)
        torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "side", "cells"), [(RESNET, 61, 8), (VGG, 70, 9), (DINO, 64, 5), (DINO, 62, 4)]
)
def test_any_size_is_stretched_to_the_nearest_whole_cells(places, name, side, cells):
    for level in places.ours(name)(torch.rand(1, 3, side, 1)):
        assert level.shape[-2:] == (cells, 1)


def test_a_tie_goes_to_the_larger_size():
    assert [nearest_multiple(n, 32) for n in (400, 399, 1, 48, 64)] == [416, 384, 32, 64, 64]


def test_other_levels_can_be_asked_for(picture):
    backbone = load_backbone(VGG, random_weights=True, levels=(1, 2))
    fine, coarse = backbone(picture)
    assert backbone.channels == (128, 256)
    assert fine.shape[-1] == 2 * coarse.shape[-1] == picture.shape[-1] // 2
    assert "levels 1,2" in backbone.name
    assert "random weights" in backbone.name


def test_inputs_stay_as_they_were(places, picture):
    before = picture.clone()
    places.ours(RESNET)(picture)
    assert torch.equal(picture, before)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(UnknownName, match=r"resnet50\.tv_in1k, .*vgg16"):
        load_backbone("resnet5")


def test_missing_weights_are_an_error_never_random(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsUnavailable, match=r"timm/vgg16\.tv_in1k"):
        load_backbone(VGG, models_dir=tmp_path)


def test_a_file_of_another_network_is_refused(tmp_path):
    path = tmp_path / "timm" / VGG / "model.safetensors"
    path.parent.mkdir(parents=True)
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3), "layer1.0.conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsMismatch, match=r"unexpected: layer1\.0\.conv1\.weight"):
        load_backbone(VGG, models_dir=tmp_path)


def test_every_backbone_has_a_place_on_the_hub():
    for name in BACKBONES:
        assert timm.get_pretrained_cfg(name).hf_hub_id == f"timm/{name}"
