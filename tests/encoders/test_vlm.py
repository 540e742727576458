"""Dense CLIP against open_clip's own network, on random weights and tiny towers."""

import math

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from lfss.compat import ensure_torchvision
from lfss.encoders import vlm
from lfss.encoders.templates import TEMPLATES
from lfss.encoders.text import TextEncoder
from lfss.errors import UnknownName, WeightsMismatch, WeightsUnavailable

ensure_torchvision()
import open_clip  # noqa: E402

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
RESNET = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
TRANSFORMER = {"image_size": 64, "layers": 3, "width": 64, "head_width": 32, "patch_size": 16}


def build(vision: dict, *, quick_gelu: bool = True):
    torch.manual_seed(0)
    clip = open_clip.CLIP(embed_dim=24, vision_cfg=vision, text_cfg=TEXT, quick_gelu=quick_gelu).eval()
    for name, parameter in clip.visual.named_parameters():
        # Fresh biases and last norms are zero: a lost bias or branch would go unseen.
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
        elif name.endswith("bn3.weight"):
            torch.nn.init.ones_(parameter)
    return clip.requires_grad_(False)


def text_of(clip, **options):
    options = {"dim": 24, "name": "tiny"} | options
    return TextEncoder(clip, open_clip.get_tokenizer("RN50-quickgelu"), **options)


@pytest.fixture(scope="module")
def resnet():
    return build(RESNET)


@pytest.fixture(scope="module")
def transformer():
    return build(TRANSFORMER)


@pytest.fixture
def picture():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def normalised(pixels):
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    return (pixels - mean) / std


def mask_clip(clip):
    return vlm.MaskClip(clip, text_of(clip), name="tiny")


def dense_vit(clip, **options):
    return vlm.DenseViT(clip, text_of(clip), name="tiny", **options)


# --- ResNet -------------------------------------------------------------------------------------


def without_place(clip):
    pool = clip.visual.attnpool
    place = pool.positional_embedding.clone()
    pool.positional_embedding.zero_()
    return pool, place


def test_over_a_constant_map_every_cell_equals_clips_own_pooling():
    pool = build(RESNET | {"image_size": 128}).visual.attnpool
    pool.positional_embedding.zero_()
    cell = torch.randn(2, 256, 1, 1, generator=torch.Generator().manual_seed(2))
    constant = cell.expand(2, 256, 4, 4)
    dense = vlm.pool_values(pool, constant)
    torch.testing.assert_close(dense, pool(constant)[..., None, None].expand_as(dense), rtol=1e-4, atol=1e-5)


def test_the_value_path_equals_a_loop_over_cells(resnet):
    pool = resnet.visual.attnpool
    cells = torch.randn(2, 256, 3, 5, generator=torch.Generator().manual_seed(3))
    dense = vlm.pool_values(pool, cells)
    for b in range(2):
        for i in range(3):
            for j in range(5):
                value = pool.v_proj.weight @ cells[b, :, i, j] + pool.v_proj.bias
                out = pool.c_proj.weight @ value + pool.c_proj.bias
                torch.testing.assert_close(dense[b, :, i, j], out, rtol=1e-4, atol=1e-5)


def test_on_a_picture_of_one_cell_maskclip_equals_clips_image_embedding():
    # The mean token of one cell is the cell: without place, nothing is left to mix.
    clip = build(RESNET)
    clip.visual.attnpool.positional_embedding.zero_()
    picture = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    whole = clip.encode_image(normalised(picture), normalize=True)
    torch.testing.assert_close(mask_clip(clip).encode_dense(picture)[..., 0, 0], whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("side", "cells"), [(32, 1), (400, 13), (416, 13), (20, 1)])
def test_resnet_cells_cover_the_whole_picture(resnet, side, cells):
    assert mask_clip(resnet).encode_dense(torch.rand(1, 3, side, side)).shape == (1, 24, cells, cells)


def test_the_last_row_of_a_picture_is_seen(resnet, picture):
    changed = picture.clone()
    changed[:, :, -1] = 1 - changed[:, :, -1]
    tower = mask_clip(resnet)
    assert not torch.equal(tower.encode_dense(changed)[:, :, -1], tower.encode_dense(picture)[:, :, -1])


# --- transformer --------------------------------------------------------------------------------


def before_last(visual, x):
    """Tokens that reach the last block, by open_clip's own parts."""
    x = visual._embeds(x)
    for block in visual.transformer.resblocks[:-1]:
        x = block(x)
    return x, visual.transformer.resblocks[-1]


def finished(visual, cells):
    return F.normalize(visual.ln_post(cells) @ visual.proj, dim=-1).transpose(1, 2).unflatten(2, (4, 4))


def test_the_maskclip_head_equals_clips_last_block_with_the_identity_as_attention(transformer, picture):
    visual = transformer.visual
    x, last = before_last(visual, normalised(picture))
    alone = torch.full((17, 17), -math.inf).fill_diagonal_(0)
    reference = finished(visual, last(x, attn_mask=alone)[:, 1:])
    dense = dense_vit(transformer, head="maskclip").encode_dense(picture)
    torch.testing.assert_close(dense, reference, rtol=1e-4, atol=1e-5)


def test_the_nacl_head_equals_a_loop_over_heads_and_cells(transformer, picture):
    visual, sigma = transformer.visual, 1.5
    x, last = before_last(visual, normalised(picture))
    y, attn = last.ln_1(x), last.attn
    width, per_head = 64, 32
    out = torch.zeros(2, 16, width)
    for b in range(2):
        keys = y[b] @ attn.in_proj_weight[width : 2 * width].T + attn.in_proj_bias[width : 2 * width]
        values = y[b] @ attn.in_proj_weight[2 * width :].T + attn.in_proj_bias[2 * width :]
        for head in range(2):
            part = slice(head * per_head, (head + 1) * per_head)
            for cell in range(16):
                logits = keys[:, part] @ keys[cell + 1, part] / math.sqrt(per_head)
                for other in range(16):
                    squared = (cell // 4 - other // 4) ** 2 + (cell % 4 - other % 4) ** 2
                    logits[other + 1] += math.exp(-squared / (2 * sigma**2))
                out[b, cell, part] = logits.softmax(0) @ values[:, part]
    reference = finished(visual, out @ attn.out_proj.weight.T + attn.out_proj.bias)
    dense = dense_vit(transformer, head="nacl", sigma=sigma).encode_dense(picture)
    torch.testing.assert_close(dense, reference, rtol=1e-4, atol=1e-5)


def test_on_another_grid_the_positional_embedding_is_fitted_as_open_clip_does(transformer):
    larger = build(TRANSFORMER | {"image_size": 96})
    state = transformer.state_dict()
    open_clip.model.resize_pos_embed(state, larger)
    larger.load_state_dict(state)
    picture = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(
        dense_vit(transformer).encode_dense(picture),
        dense_vit(larger).encode_dense(picture),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("head", vlm.HEADS)
@pytest.mark.parametrize(("height", "width", "grid"), [(80, 48, (5, 3)), (90, 33, (6, 2)), (1, 1, (1, 1))])
def test_any_size_gives_one_cell_for_each_patch(transformer, head, height, width, grid):
    dense = dense_vit(transformer, head=head).encode_dense(torch.rand(1, 3, height, width))
    assert dense.shape == (1, 24, *grid)
    torch.testing.assert_close(dense.norm(dim=1), torch.ones(1, *grid))


def test_a_neighbourhood_without_width_is_refused(transformer):
    with pytest.raises(ValueError, match="above 0"):
        dense_vit(transformer, sigma=0)


def test_an_unknown_head_lists_the_known(transformer):
    with pytest.raises(UnknownName, match="maskclip, nacl"):
        dense_vit(transformer, head="clip")


# --- both ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["resnet", "transformer"])
def test_cells_are_unit_vectors_and_inputs_stay_as_they_were(kind, picture, request):
    clip = request.getfixturevalue(kind)
    tower = mask_clip(clip) if kind == "resnet" else dense_vit(clip)
    before = picture.clone()
    dense = tower.encode_dense(picture)
    torch.testing.assert_close(dense.norm(dim=1), torch.ones_like(dense[:, 0]))
    assert dense.dtype == torch.float32
    assert not dense.requires_grad
    assert torch.equal(picture, before)
    assert (tower.dim, tower.logit_scale, tower.text_trust("anything")) == (24, 100.0, 1.0)


@pytest.mark.parametrize(
    "pixels",
    [torch.zeros(3, 32, 32), torch.zeros(1, 1, 32, 32), torch.zeros(1, 3, 32, 32, dtype=torch.uint8)],
)
def test_pixels_of_another_form_are_refused(resnet, pixels):
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\)"):
        mask_clip(resnet).encode_dense(pixels)


# --- loading ------------------------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Two tiny towers in place of open_clip's list, with weights 'by hand' for the ResNet."""
    configs = {
        "tiny-RN": {"embed_dim": 24, "vision_cfg": RESNET, "text_cfg": TEXT},
        "tiny-ViT": {"embed_dim": 24, "vision_cfg": TRANSFORMER, "text_cfg": TEXT},
    }
    record = {"hf_hub": "timm/tiny_clip.openai/", "quick_gelu": True}
    monkeypatch.setattr(open_clip, "list_models", lambda: list(configs))
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: dict(configs[name]))
    monkeypatch.setattr(open_clip, "list_pretrained_tags_by_model", lambda name: ["openai"])
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda name, tag: record)
    monkeypatch.setattr(open_clip, "get_tokenizer", lambda name: open_clip.SimpleTokenizer())
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "timm" / "tiny_clip.openai"
    folder.mkdir(parents=True)
    return folder / "open_clip_model.safetensors"


def test_weights_from_a_file_give_the_network_they_came_from(tiny, resnet, picture, tmp_path):
    state = {k: v.clone() for k, v in resnet.state_dict().items()}
    save_file(state | {"context_length": torch.tensor(77)}, tiny)
    tower = vlm.load_vlm("tiny-RN", pretrained="openai", models_dir=tmp_path)
    assert isinstance(tower, vlm.MaskClip)
    assert tower.name == "tiny-RN/openai"
    torch.testing.assert_close(tower.encode_dense(picture), mask_clip(resnet).encode_dense(picture))


def test_a_file_of_another_tower_is_refused(tiny, resnet, tmp_path):
    save_file({k: v.clone() for k, v in resnet.state_dict().items()}, tiny)
    with pytest.raises(WeightsMismatch, match=r"visual\.class_embedding"):
        vlm.load_vlm("tiny-ViT", pretrained="openai", models_dir=tmp_path)


def test_missing_weights_are_an_error_never_random(tiny, tmp_path):
    with pytest.raises(WeightsUnavailable, match=r"timm/tiny_clip\.openai"):
        vlm.load_vlm("tiny-RN", pretrained="openai", models_dir=tmp_path)


def test_a_tower_with_random_weights_says_so(tiny):
    tower = vlm.load_vlm("tiny-ViT", pretrained="openai", random_weights=True, head="maskclip")
    assert isinstance(tower, vlm.DenseViT)
    assert "random weights" in tower.name
    assert "maskclip" in tower.name


def test_unknown_names_list_the_known(tiny):
    with pytest.raises(UnknownName, match="tiny-RN, tiny-ViT"):
        vlm.load_vlm("tiny", pretrained="openai")
    with pytest.raises(UnknownName, match="openai"):
        vlm.load_vlm("tiny-RN", pretrained="closedai")


def test_the_towers_of_the_presets_are_known_with_the_activation_of_their_weights():
    expected = {
        ("RN50-quickgelu", "openai"): ("timm/resnet50_clip.openai/", True),
        ("ViT-B-16", "openai"): ("timm/vit_base_patch16_clip_224.openai/", True),
        ("ViT-B-16", "laion2b_s34b_b88k"): ("laion/CLIP-ViT-B-16-laion2B-s34B-b88K/", False),
    }
    for (name, tag), (repository, quick_gelu) in expected.items():
        config, record = vlm._look_up(name, tag)
        assert (record["hf_hub"], config["quick_gelu"]) == (repository, quick_gelu)


def test_towers_with_another_kind_of_text_or_last_layer_are_not_offered():
    for name in ("ViT-B-16-SigLIP", "coca_ViT-B-32", "convnext_base", "ViT-H-14-worldwide"):
        with pytest.raises(UnknownName):
            vlm._look_up(name, "any")


def test_every_offered_tag_lives_on_the_hub_under_the_default_file_name():
    for name in open_clip.list_models():
        if vlm._is_plain(open_clip.get_model_config(name)):
            for tag in open_clip.list_pretrained_tags_by_model(name):
                assert open_clip.get_pretrained_cfg(name, tag)["hf_hub"].endswith("/"), (name, tag)


def test_the_papers_tower_builds_and_reads_85_templates():
    tower = vlm.load_vlm("RN50-quickgelu", pretrained="openai", random_weights=True)
    assert len(TEMPLATES) == 85
    assert tower.encode_dense(torch.rand(1, 3, 64, 96)).shape == (1, 1024, 2, 3)
    vectors = tower.encode_text(["dog"])
    assert vectors.shape == (1, 1024)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(1))
