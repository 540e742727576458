"""Step 4: attention, the focused prototype and the two correlation maps."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.methods.lfss import attention, correlation_maps, focused_prototype
from lfss.similarity import cosine_map, masked_average
from tests.masks import coin, mask, noise

N, K, C, H, W = 2, 2, 5, 4, 6
EXACT = 100
QUERY, SUPPORT = noise(N, C, H, W), noise(N, K, C, H, W, seed=1)
QUERY_MASK, SUPPORT_MASK = coin(N, H, W, seed=2), coin(N, K, H, W, seed=3)


def attention_by_loop(
    query: Tensor, query_mask: Tensor, support: Tensor, support_mask: Tensor, temperature: float
) -> Tensor:
    """Eq. 13 for one episode: the mean over query cells of a softmax over support cells. (K, h, w)."""
    keys = [tuple(i) for i in support_mask.nonzero().tolist()]
    made, asking = torch.zeros(support_mask.shape), query_mask.nonzero().tolist()
    for r, c in asking:
        weights = [
            math.exp(float(F.cosine_similarity(query[:, r, c], support[k, :, y, x], dim=0)) / temperature)
            for k, y, x in keys
        ]
        for key, weight in zip(keys, weights):
            made[key] += weight / sum(weights) / len(asking)
    return made


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_attention_is_the_loop_of_equation_13(temperature):
    made = attention(QUERY, QUERY_MASK, SUPPORT, SUPPORT_MASK, temperature=temperature, queries=EXACT)
    for n in range(N):
        expected = attention_by_loop(QUERY[n], QUERY_MASK[n], SUPPORT[n], SUPPORT_MASK[n], temperature)
        torch.testing.assert_close(made[n], expected, atol=1e-6, rtol=1e-4)


def test_the_temperature_is_the_papers_unless_another_is_given():
    given = (QUERY, QUERY_MASK, SUPPORT, SUPPORT_MASK)
    assert torch.equal(attention(*given), attention(*given, temperature=1.0))


@pytest.mark.parametrize("cells", [1, 3])
def test_attention_of_an_empty_query_is_uniform_over_the_supports_cells(cells):
    area = torch.zeros(1, K, H, W, dtype=torch.bool)
    area[0, 1, 2, :cells] = True
    made = attention(QUERY[:1], torch.zeros(1, H, W, dtype=torch.bool), SUPPORT[:1], area)
    torch.testing.assert_close(made, area.float() / cells)


@pytest.mark.parametrize("queries", [2, 3, EXACT])
def test_attention_sums_to_one_and_is_zero_outside_the_masks(queries):  # T-A18
    made = attention(QUERY, QUERY_MASK, SUPPORT, SUPPORT_MASK, temperature=0.1, queries=queries)
    torch.testing.assert_close(made.sum((1, 2, 3)), torch.ones(N))
    assert not made[~SUPPORT_MASK].any()
    assert (made >= 0).all()


def test_pooling_equal_query_cells_changes_nothing():
    coarse, area = noise(1, C, 3, 3), mask("#..", "##.", "..#")
    query, fine = (x.repeat_interleave(2, -1).repeat_interleave(2, -2) for x in (coarse, area))
    given = (query, fine, SUPPORT[:1], SUPPORT_MASK[:1])
    exact = attention(*given, temperature=0.1, queries=EXACT)
    torch.testing.assert_close(attention(*given, temperature=0.1, queries=3), exact)


def test_permuting_query_cells_keeps_the_attention():  # T-A16
    order = torch.randperm(H * W, generator=torch.Generator().manual_seed(4))
    query = QUERY.flatten(2)[..., order].view_as(QUERY)
    area = QUERY_MASK.flatten(1)[..., order].view_as(QUERY_MASK)
    made = attention(query, area, SUPPORT, SUPPORT_MASK, queries=EXACT)
    torch.testing.assert_close(made, attention(QUERY, QUERY_MASK, SUPPORT, SUPPORT_MASK, queries=EXACT))


def test_permuting_support_cells_permutes_the_attention_and_keeps_the_prototype():  # T-A16
    order = torch.randperm(H * W, generator=torch.Generator().manual_seed(5))
    support = SUPPORT.flatten(3)[..., order].view_as(SUPPORT)
    area = SUPPORT_MASK.flatten(2)[..., order].view_as(SUPPORT_MASK)
    straight = attention(QUERY, QUERY_MASK, SUPPORT, SUPPORT_MASK, queries=EXACT)
    turned = attention(QUERY, QUERY_MASK, support, area, queries=EXACT)
    torch.testing.assert_close(turned, straight.flatten(2)[..., order].view_as(straight))
    torch.testing.assert_close(focused_prototype(support, turned), focused_prototype(SUPPORT, straight))


def test_equal_support_cells_give_the_masked_average():  # T-A17
    support = torch.where(SUPPORT_MASK[:, :, None], noise(1, 1, C, 1, 1, seed=6), SUPPORT)
    weight = attention(QUERY, QUERY_MASK, support, SUPPORT_MASK)
    made = focused_prototype(support, weight)
    torch.testing.assert_close(made, noise(1, C, seed=6).expand(N, C))


def test_endless_temperature_gives_uniform_attention():  # T-A17
    weight = attention(QUERY, QUERY_MASK, SUPPORT, SUPPORT_MASK, temperature=1e6)
    expected = SUPPORT_MASK / SUPPORT_MASK.sum((1, 2, 3), keepdim=True)
    torch.testing.assert_close(weight, expected)
    shots_side_by_side = SUPPORT.transpose(1, 2).flatten(3)
    average = masked_average(shots_side_by_side, SUPPORT_MASK.flatten(2))
    torch.testing.assert_close(focused_prototype(SUPPORT, weight), average)


def test_an_empty_query_mask_gives_the_plain_average_of_the_supports():
    weight = attention(QUERY, torch.zeros_like(QUERY_MASK), SUPPORT, SUPPORT_MASK)
    torch.testing.assert_close(weight, SUPPORT_MASK / SUPPORT_MASK.sum((1, 2, 3), keepdim=True))


def test_empty_support_masks_give_zeros_and_no_nan():
    weight = attention(QUERY, QUERY_MASK, SUPPORT, torch.zeros_like(SUPPORT_MASK))
    assert torch.equal(weight, torch.zeros(N, K, H, W))
    rcm, fcm = correlation_maps(QUERY, QUERY_MASK, focused_prototype(SUPPORT, weight))
    assert not rcm.any()
    assert not fcm.any()


def test_a_shot_with_an_empty_mask_gets_no_attention():
    area = SUPPORT_MASK.clone()
    area[:, 1] = False
    weight = attention(QUERY, QUERY_MASK, SUPPORT, area)
    alone = attention(QUERY, QUERY_MASK, SUPPORT[:, :1], SUPPORT_MASK[:, :1])
    torch.testing.assert_close(weight[:, :1], alone)
    assert not weight[:, 1].any()


def test_a_single_cell_on_both_sides_gets_all_attention():
    area = mask("......", "....#.", "......", "......")
    weight = attention(QUERY[:1], area, SUPPORT[:1, :1], area[None])
    torch.testing.assert_close(weight[0], area.float())
    torch.testing.assert_close(focused_prototype(SUPPORT[:1, :1], weight), SUPPORT[:1, 0, :, 1, 4])


def test_sharp_attention_finds_the_part_that_the_query_shows():
    support = torch.eye(C)[mask("##....", "##....", "....##", "....##").long()].permute(0, 3, 1, 2)[:, None]
    query = torch.eye(C)[1].view(1, C, 1, 1).expand(1, C, H, W)
    every = torch.ones(1, 1, H, W, dtype=torch.bool)
    weight = attention(query, every[:, 0], support, every, temperature=0.05)
    torch.testing.assert_close(weight[0, 0][support[0, 0, 1] == 1].sum(), torch.tensor(1.0))


def test_k_copies_of_a_shot_share_its_attention():  # T-A21
    copies = (SUPPORT[:, :1].expand(N, 3, C, H, W), SUPPORT_MASK[:, :1].expand(N, 3, H, W))
    one = attention(QUERY, QUERY_MASK, SUPPORT[:, :1], SUPPORT_MASK[:, :1])
    three = attention(QUERY, QUERY_MASK, *copies)
    torch.testing.assert_close(three, one.expand(N, 3, H, W) / 3)
    torch.testing.assert_close(focused_prototype(copies[0], three), focused_prototype(SUPPORT[:, :1], one))


def test_focused_prototype_is_the_weighted_sum_of_equation_14():
    weight = noise(N, K, H, W, seed=7).softmax(1)
    made = focused_prototype(SUPPORT, weight)
    for n in range(N):
        total = torch.zeros(C)
        for k in range(K):
            for r in range(H):
                for c in range(W):
                    total += weight[n, k, r, c] * SUPPORT[n, k, :, r, c]
        torch.testing.assert_close(made[n], total)


def test_rcm_is_fcm_under_the_mask():  # T-A19
    prototype = noise(N, C, seed=8)
    rcm, fcm = correlation_maps(QUERY, QUERY_MASK, prototype)
    torch.testing.assert_close(fcm, cosine_map(QUERY, prototype))
    for n in range(N):
        for r in range(H):
            for c in range(W):
                assert rcm[n, r, c] == (fcm[n, r, c] if QUERY_MASK[n, r, c] else 0)


def test_a_full_mask_makes_rcm_equal_fcm_and_an_empty_one_zero():  # T-A19
    prototype = noise(N, C, seed=8)
    rcm, fcm = correlation_maps(QUERY, torch.ones_like(QUERY_MASK), prototype)
    assert torch.equal(rcm, fcm)
    rcm, _ = correlation_maps(QUERY, torch.zeros_like(QUERY_MASK), prototype)
    assert torch.equal(rcm, torch.zeros_like(rcm))


def test_a_batch_of_two_is_two_batches_of_one():
    both = attention(QUERY, QUERY_MASK, SUPPORT, SUPPORT_MASK, temperature=0.1, queries=3)
    for n in (slice(1), slice(1, 2)):
        alone = attention(QUERY[n], QUERY_MASK[n], SUPPORT[n], SUPPORT_MASK[n], temperature=0.1, queries=3)
        torch.testing.assert_close(both[n], alone)
