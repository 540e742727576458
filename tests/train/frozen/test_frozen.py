"""The frozen networks on random weights: sizes, the file they need, and timm's as the second opinion."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lfss.errors import WeightsMismatch, WeightsUnavailable
from lfss.predictor import Predictor
from lfss.weights import WEIGHTS
from train import teachers
from train.frozen.mobilenet import MobileNet, convolved, load_mobilenet
from train.frozen.resnet import ResNet
from train.frozen.vit import REPOSITORY, Vit, load_vit
from train.mini.concepts import imagenet_names


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with random weights of each network."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    places = {
        Vit: folder / REPOSITORY / WEIGHTS,
        MobileNet: folder / "frozen" / "mobilenetv2.safetensors",
        ResNet: folder / "frozen" / "resnet50v2_l3.safetensors",
    }
    for kind, path in places.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        state = kind().state_dict()
        save_file({k: v.contiguous() for k, v in state.items() if "num_batches" not in k}, path)
    return folder


@pytest.mark.parametrize("size", [(64, 96), (224, 224)])
@pytest.mark.parametrize("kind", [Vit, MobileNet, ResNet])
def test_levels_have_the_channels_and_cells_that_are_said(kind, size):
    with torch.no_grad():
        found = kind().eval().features(torch.rand(2, 3, *size))
    for level, (channels, stride) in kind.levels.items():
        assert found[level].shape == (2, channels, size[0] // stride, size[1] // stride)


def test_the_vit_is_that_of_timm():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    theirs = timm.create_model("vit_tiny_patch16_224", pretrained=False).eval()
    ours = Vit().eval()
    ours.load_state_dict(theirs.state_dict())
    pixels = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        expected = theirs.forward_features(2 * pixels - 1)[:, 1:].transpose(1, 2).unflatten(2, (14, 14))
        torch.testing.assert_close(ours.features(pixels)["block11"], expected, atol=1e-4, rtol=1e-4)


def test_a_class_score_of_a_cell_is_not_mixed_with_other_cells_in_the_last_block():
    torch.manual_seed(0)
    network = Vit().eval()
    with torch.no_grad():
        for block in network.blocks[:-1]:  # nothing passes between cells before the last block
            block.attn.proj.weight.zero_()
            block.attn.proj.bias.zero_()
        pixels = torch.rand(1, 3, 64, 64)
        before = network.class_scores(pixels)
        pixels[..., :16, :16] = 0
        after = network.class_scores(pixels)
    assert not torch.allclose(before[..., 0, 0], after[..., 0, 0])
    torch.testing.assert_close(before[..., 1:, :], after[..., 1:, :])


@pytest.mark.parametrize(("stride", "cells"), [(32, 3), (16, 6), (8, 12)])
def test_a_smaller_stride_gives_finer_scores_with_the_same_weights(stride, cells):
    torch.manual_seed(0)
    network = MobileNet(stride).eval()
    network.load_state_dict(MobileNet().state_dict())
    with torch.no_grad():
        assert network.class_scores(torch.rand(1, 3, 96, 96)).shape == (1, 1000, cells, cells)


@pytest.mark.parametrize(("size", "row"), [(5, 0), (6, 1)])
def test_the_spare_pixel_of_padding_goes_to_the_end(size, row):
    """An even side with stride 2 needs one pixel of padding: the first window begins at the first pixel."""
    layer = torch.nn.Conv2d(1, 1, 3, 2, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0, 1, 1] = 1
        picture = torch.arange(size * size).float().view(1, 1, size, size)
        assert convolved(layer, picture)[0, 0, 0, 0] == picture[0, 0, row, row]


def test_which_file_was_read_is_told_by_its_checksum(models, caplog):
    path = models / "frozen" / "mobilenetv2.safetensors"
    load_mobilenet(models)
    assert f"mobilenetv2.safetensors: sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}" in caplog.text
    assert not any(p.requires_grad for p in load_vit(models).parameters())


def test_a_missing_file_and_a_file_of_another_network_are_told_in_one_sentence(models, tmp_path):
    with pytest.raises(WeightsUnavailable, match=r"mobilenetv2 is not at .*LFSS_MODELS"):
        load_mobilenet(tmp_path)
    (tmp_path / "frozen").mkdir()
    (tmp_path / "frozen/mobilenetv2.safetensors").symlink_to(models / "frozen/resnet50v2_l3.safetensors")
    with pytest.raises(WeightsMismatch, match="do not fit MobileNet"):
        load_mobilenet(tmp_path)


@pytest.mark.parametrize("preset", [teachers.vit, teachers.vit_raw, teachers.resnet50, teachers.mobilenet])
def test_every_preset_loads_from_the_models_folder(preset, models):
    predictor = Predictor.load(preset(), device="cpu", models_dir=models)
    vlm, backbone = predictor.encoders.vlm, predictor.encoders.backbone
    pixels = torch.rand(1, 3, 128, 128)
    evidence = vlm.encode_dense(pixels)
    assert evidence.shape == (1, vlm.dim, 28, 28)
    assert evidence.abs().max() <= 1.001
    assert [level.shape[1] for level in backbone(pixels)] == list(backbone.channels)
    assert (vlm.text_trust("puppy"), vlm.text_trust("Sofa"), vlm.text_trust("zzz")) == (1, 1, 0)


def test_labels_cover_the_classes_that_show_them():
    names = imagenet_names()
    groups = teachers.class_groups(names)
    assert names[groups["cat"][0]] == "tabby cat"
    assert len(groups["dog"]) == 118
    assert groups["goldfish"] == [1]
    covered = {number for numbers in groups.values() for number in numbers}
    assert covered == set(range(1000))
