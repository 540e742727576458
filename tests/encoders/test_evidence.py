"""Options of the text evidence: identities on random features, and parity with loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.encoders import evidence, vlm
from lfss.encoders.evidence import (
    Evidence,
    Mixing,
    affinity,
    guided,
    proxy_attention,
    repair_outliers,
    spread,
)
from lfss.encoders.last_layer import mixed_values, pool_values
from lfss.errors import InputError
from tests.encoders.test_vlm import RESNET, TRANSFORMER, build, dense_vit, mask_clip
from tests.masks import noise

WAYS = [proxy_attention, affinity]


def identity(grid: tuple[int, int], batch: int = 1) -> Mixing:
    return Mixing(torch.eye(grid[0] * grid[1]).expand(batch, -1, -1), grid)


@pytest.mark.parametrize("way", WAYS)
def test_weights_are_shares_on_the_features_grid(way) -> None:
    mixing = way(noise(2, 6, 3, 4))
    assert mixing.grid == (3, 4)
    assert (mixing.weights >= 0).all()
    torch.testing.assert_close(mixing.weights.sum(2), torch.ones(2, 12))


@pytest.mark.parametrize("way", WAYS)
def test_weights_do_not_depend_on_the_features_length_and_move_with_the_cells(way) -> None:
    features = noise(1, 6, 3, 4)
    torch.testing.assert_close(way(7 * features).weights, way(features).weights)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    shuffled = features.flatten(2)[..., order].unflatten(2, (3, 4))
    expected = way(features).weights[0][order][:, order]
    torch.testing.assert_close(way(shuffled).weights[0], expected)


def test_proxy_attention_equals_a_loop() -> None:
    features, shift, sharpness = noise(1, 5, 2, 3), 1.2, 3.0
    cells = F.normalize(features[0].flatten(1), dim=0).T
    cosines = [[float(a @ b) for b in cells] for a in cells]
    mean = sum(map(sum, cosines)) / 36
    weights = proxy_attention(features, shift=shift, sharpness=sharpness).weights[0]
    for i, row in enumerate(cosines):
        powers = [math.exp(sharpness * (c - shift * mean)) if c >= shift * mean else 0.0 for c in row]
        torch.testing.assert_close(weights[i], torch.tensor(powers) / sum(powers))


def test_affinity_equals_a_loop() -> None:
    features = noise(1, 5, 2, 3)
    cells = features[0].flatten(1).T
    cells = F.normalize(cells - cells.mean(0), dim=1)
    weights = affinity(features, power=4).weights[0]
    for i in range(6):
        powers = torch.tensor([max(0.0, float(cells[i] @ cells[j])) ** 4 for j in range(6)])
        torch.testing.assert_close(weights[i], powers / powers.sum(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_a_picture_of_one_colour_stays_as_it_is(way) -> None:
    constant = torch.ones(1, 6, 3, 4)
    cells = noise(1, 5, 1, 1).expand(1, 5, 3, 4)
    torch.testing.assert_close(way(constant)(cells), cells)
    assert way(constant).weights.isfinite().all()


def test_two_parts_that_look_unlike_do_not_listen_to_each_other() -> None:
    features = torch.zeros(1, 2, 2, 4)
    features[:, 0, :, :2], features[:, 1, :, 2:] = 1.0, 1.0
    cells = noise(1, 3, 2, 4)
    for way in WAYS:
        made = way(features)(cells)
        for half in (slice(0, 2), slice(2, 4)):
            mean = cells[..., half].mean((2, 3), keepdim=True)
            torch.testing.assert_close(made[..., half], mean.expand(1, 3, 2, 2), atol=1e-4, rtol=1e-4)


def test_spreading_is_linear_so_vectors_and_logits_spread_alike() -> None:
    cells, features, phrase = noise(1, 6, 3, 3), noise(1, 4, 5, 5, seed=1), noise(6, seed=2)
    logits = torch.einsum("bdhw,d->bhw", cells, phrase)[:, None]
    spread_first = torch.einsum("bdhw,d->bhw", spread(cells, features, rounds=2), phrase)[:, None]
    torch.testing.assert_close(spread(logits, features, rounds=2), spread_first, atol=1e-5, rtol=1e-4)
    assert torch.equal(spread(cells, features, rounds=0), cells)


# --- outliers -----------------------------------------------------------------------------------


def test_without_outliers_nothing_is_repaired() -> None:
    cells = F.normalize(noise(2, 8, 4, 5), dim=1)
    assert torch.equal(repair_outliers(cells), cells)


def test_an_outlier_becomes_the_mean_of_its_ordinary_neighbours() -> None:
    cells = F.normalize(noise(1, 8, 4, 5), dim=1)
    cells[..., 1, 2] *= 50
    cells[..., 0, 2] *= 50  # an outlier too: it does not count as a neighbour
    made = repair_outliers(cells)
    around = [(0, 1), (0, 3), (1, 1), (1, 3), (2, 1), (2, 2), (2, 3)]
    torch.testing.assert_close(made[0, :, 1, 2], torch.stack([cells[0, :, r, c] for r, c in around]).mean(0))
    untouched = torch.ones(4, 5, dtype=torch.bool)
    untouched[0, 2] = untouched[1, 2] = False
    assert torch.equal(made[..., untouched], cells[..., untouched])


def test_an_outlier_among_outliers_becomes_the_mean_of_all_ordinary_cells() -> None:
    cells = F.normalize(noise(1, 8, 7, 7), dim=1)
    cells[..., :3, :3] *= 50
    made = repair_outliers(cells)
    ordinary = torch.ones(7, 7, dtype=torch.bool)
    ordinary[:3, :3] = False
    torch.testing.assert_close(made[0, :, 1, 1], cells[0][:, ordinary].mean(1))


# --- the towers ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def picture() -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_with_the_identity_as_mixture_the_resnet_is_maskclip(picture: Tensor) -> None:
    tower = mask_clip(build(RESNET))
    plain = tower.encode_dense(picture)
    torch.testing.assert_close(tower.encode_dense(picture, mixing=identity((2, 2), 2)), plain)


def test_mixed_values_of_the_resnet_equal_a_loop_over_cells() -> None:
    pool = build(RESNET).visual.attnpool
    cells, mixing = noise(1, 256, 2, 3), proxy_attention(noise(1, 5, 2, 3, seed=1))
    made = pool_values(pool, cells, mixing)
    flat = cells[0].flatten(1).T
    values = [pool.v_proj.weight @ cell + pool.v_proj.bias for cell in flat]
    for i in range(6):
        heard = sum(float(w) * v for w, v in zip(mixing.weights[0, i], values))
        expected = pool.c_proj.weight @ heard + pool.c_proj.bias
        torch.testing.assert_close(made[0].flatten(1)[:, i], expected, atol=1e-4, rtol=1e-4)


def test_mixed_values_of_the_transformer_equal_a_loop_over_cells() -> None:
    block = build(TRANSFORMER).visual.transformer.resblocks[-1]
    tokens, mixing = noise(1, 7, 64), proxy_attention(noise(1, 5, 2, 3, seed=1))
    made = mixed_values(block, tokens, (2, 3), mixing)
    y, attn = block.ln_1(tokens[0]), block.attn
    values = y @ attn.in_proj_weight[128:].T + attn.in_proj_bias[128:]
    for i in range(6):
        heard = sum(float(w) * v for w, v in zip(mixing.weights[0, i], values[1:]))
        expected = heard @ attn.out_proj.weight.T + attn.out_proj.bias
        torch.testing.assert_close(made[0, i], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["resnet", "transformer"])
def test_a_finer_backbone_gives_the_text_its_grid(kind: str, picture: Tensor) -> None:
    tower = mask_clip(build(RESNET)) if kind == "resnet" else dense_vit(build(TRANSFORMER))
    mixing = proxy_attention(noise(2, 5, 8, 8))
    dense = tower.encode_dense(picture, mixing=mixing)
    assert dense.shape == (2, 24, 8, 8)
    torch.testing.assert_close(dense.norm(dim=1), torch.ones(2, 8, 8))


def test_the_transformers_outliers_are_repaired_before_its_last_block(
    picture: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = build(TRANSFORMER)
    seen: list[Tensor] = []
    real = evidence.repair_outliers
    monkeypatch.setattr(vlm, "repair_outliers", lambda cells: seen.append(cells) or real(cells))
    plain, repaired = (dense_vit(clip).encode_dense(picture, repair=r) for r in (False, True))
    (cells,) = seen
    assert cells.shape == (2, 64, 4, 4)
    torch.testing.assert_close(repaired, plain)  # random weights make no outlier
    visual = clip.visual
    visual.class_embedding.mul_(50)  # the class token is no cell
    tokens = visual._embeds(vlm.to_tower(picture, multiple=16, mean=vlm.MEAN, std=vlm.STD, device="cpu"))
    for block in visual.transformer.resblocks[:-1]:
        tokens = block(tokens)
    dense_vit(clip).encode_dense(picture, repair=True)
    torch.testing.assert_close(
        seen[1], tokens[:, 1:].transpose(1, 2).unflatten(2, (4, 4)), atol=1e-4, rtol=1e-4
    )


class TwoLevels:
    """A backbone of random features that depend on the picture."""

    name, channels = "two levels", (3, 3)

    def __call__(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return F.avg_pool2d(pixels, 8), F.avg_pool2d(pixels, 16)


def test_guided_is_the_towers_wired_by_hand(picture: Tensor) -> None:
    tower, backbone = mask_clip(build(RESNET)), TwoLevels()
    coarse = backbone(picture)[-1]
    dense, levels = guided(tower, backbone, Evidence(proxy=True, repair=True, spread=2))(picture)
    expected = tower.encode_dense(picture, mixing=proxy_attention(coarse), repair=True)
    torch.testing.assert_close(dense, spread(expected, coarse, rounds=2))
    assert [level.shape for level in levels] == [(2, 3, 8, 8), (2, 3, 4, 4)]
    plain, _ = guided(tower, backbone, Evidence())(picture)
    torch.testing.assert_close(plain, tower.encode_dense(picture))


def test_towers_that_share_a_trunk_can_only_spread(picture: Tensor) -> None:
    tower, backbone = mask_clip(build(RESNET)), TwoLevels()
    calls: list[int] = []

    def encode(pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        calls.append(1)
        return tower.encode_dense(pixels), backbone(pixels)

    dense, levels = guided(tower, backbone, Evidence(spread=1), encode)(picture)
    assert calls == [1]
    torch.testing.assert_close(dense, spread(tower.encode_dense(picture), levels[-1], rounds=1))
    with pytest.raises(InputError, match="Use the option 'spread' alone"):
        guided(tower, backbone, Evidence(proxy=True), encode)


def test_options_are_named_for_people() -> None:
    assert str(Evidence()) == "as it comes"
    assert str(Evidence(proxy=True, repair=True, spread=2)) == "proxy, repair, spread 2"
