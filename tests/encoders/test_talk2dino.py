"""Talk2DINO on random weights: the projection's file, its text, and one pass for both towers."""

from __future__ import annotations

from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from lfss.encoders import talk2dino
from lfss.encoders.backbone import BACKBONES
from lfss.encoders.talk2dino import Projection, load_talk2dino, projection_state
from lfss.encoders.templates import TEMPLATES
from lfss.errors import WeightsMismatch, WeightsUnavailable
from lfss.presets import PRESETS
from tests.encoders.test_vlm import TRANSFORMER, build


def test_the_projection_is_two_layers_with_a_tanh_between() -> None:
    torch.manual_seed(0)
    module, text = Projection(512, 768), torch.randn(3, 512)
    first, second = module.linear_layer, module.hidden_layers[0]
    for row, made in zip(text, module(text)):
        hidden = torch.tanh(first.weight @ row + first.bias)
        torch.testing.assert_close(made, second.weight @ hidden + second.bias, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("beginning", ["", "proj."])
def test_only_the_projection_is_read_from_the_authors_file(tmp_path: Path, beginning: str) -> None:
    state = Projection(512, 768).state_dict()
    others = {"model.cls_token": torch.zeros(1, 1, 768), "logit_scale": torch.zeros(())}
    save_file({beginning + k: v.clone() for k, v in state.items()} | others, tmp_path / "model.safetensors")
    read = projection_state(tmp_path / "model.safetensors")
    assert read.keys() == state.keys()
    assert all(torch.equal(read[k], state[k]) for k in state)


def test_a_file_without_the_projection_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsMismatch, match=r"does not hold Talk2DINO's projection.*lorebianchi98"):
        projection_state(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsMismatch, match="not a safetensors file"):
        projection_state(tmp_path / "model.safetensors")


def test_missing_weights_are_an_error_never_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(WeightsUnavailable, match="Talk2DINO-ViTB"):
        PRESETS["talk2dino"].load("cpu", tmp_path)


class Cells:
    """A backbone of two levels, four channels each, from the picture's colours."""

    name, channels = "cells", (3, 4)

    def __call__(self, pixels: Tensor) -> tuple[Tensor, ...]:
        fine = F.avg_pool2d(pixels, 14)
        return fine, torch.cat((fine, fine.square().sum(1, keepdim=True)), 1)


def test_one_pass_serves_text_and_matching(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = build(TRANSFORMER)
    monkeypatch.setattr(talk2dino, "load_backbone", lambda name, **_: Cells())
    tokenizer = open_clip.get_tokenizer("RN50-quickgelu")
    monkeypatch.setattr(talk2dino, "load_clip", lambda *_, **__: (clip, tokenizer, "tiny"))
    tower, backbone, encode = load_talk2dino(random_weights=True)
    picture = torch.rand(1, 3, 28, 42, generator=torch.Generator().manual_seed(0))
    dense, levels = encode(picture)
    assert [tuple(level.shape) for level in levels] == [(1, 3, 2, 3), (1, 4, 2, 3)]
    torch.testing.assert_close(dense, F.normalize(backbone(picture)[-1], dim=1))
    assert torch.equal(tower.encode_dense(picture), dense)
    assert tower.dim == 4

    text = tower._text
    vectors = tower.encode_text(["dog"])
    raw = text._embed(text._tokenizer([t.replace("{}", "dog") for t in TEMPLATES]))
    projection = next(cell.cell_contents for cell in text._merge.__closure__ or ())
    torch.testing.assert_close(vectors[0], F.normalize(projection(raw.mean(0)), dim=0))
    assert talk2dino._fingerprint(projection) in tower.name


def test_its_backbone_is_known() -> None:
    assert talk2dino.BACKBONE in BACKBONES
