"""Step 2: the refiner, against prototypes that are really made, one for each cell."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.methods.lfss import background_similarity, refine, shared_prototype
from lfss.similarity import cosine_map, masked_average, pool_cells
from tests.masks import assert_mask, coin, mask, noise

C, H, W = 5, 4, 6
EXACT = 100


def prototypes_by_loop(
    features: Tensor, area: Tensor, temperature: float, form: str, *, every_column: bool = False
) -> Tensor:
    """Eq. 4 as printed: the background prototype of every cell of one picture. (C, h, w) -> (C, n)."""
    cells = features.double().flatten(1)
    if form == "self-support":
        cells = cells / cells.norm(dim=0)
    inside = area.flatten().tolist()
    values = [torch.zeros(C).double() if i else cells[:, j] for j, i in enumerate(inside)]
    made = torch.zeros_like(cells)
    for i in range(cells.shape[1]):
        asks = values[i] if form == "literal" else cells[:, i]
        columns = [j for j in range(cells.shape[1]) if every_column or not inside[j]]
        weight = torch.stack([temperature * asks @ values[j] for j in columns]).softmax(0)
        made[:, i] = sum(w * values[j] for w, j in zip(weight, columns))
    return made


def similarity_by_loop(features: Tensor, area: Tensor, temperature: float, form: str) -> Tensor:
    made = prototypes_by_loop(features, area, temperature, form)
    return F.cosine_similarity(features.double().flatten(1), made, dim=0).view(area.shape).float()


@pytest.mark.parametrize("form", ["self-support", "literal"])
@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.0, 20.0])
def test_background_similarity_is_the_cosine_with_explicit_prototypes(form, temperature):
    features, area = 1.5 * noise(2, C, H, W), coin(2, H, W, seed=1)
    made = background_similarity(features, area, temperature=temperature, keys=EXACT, form=form)
    for n in range(2):
        expected = similarity_by_loop(features[n], area[n], temperature, form)
        torch.testing.assert_close(made[n], expected, atol=2e-5, rtol=1e-4)


def test_a_pooled_cell_counts_as_often_as_the_cells_it_stands_for():
    features, area = noise(1, C, 5, 7), coin(1, 5, 7, seed=1)
    made = background_similarity(features, area, temperature=2.0, keys=3)
    unit = F.normalize(features, dim=1)
    pooled = pool_cells(unit, ~area, 3)
    repeated = torch.cat([v.expand(int(k), -1) for v, k in zip(pooled.vectors[0], pooled.weight[0])])
    for r in range(5):
        for c in range(7):
            weight = (2.0 * repeated @ unit[0, :, r, c]).softmax(0)
            expected = F.cosine_similarity(weight @ repeated, unit[0, :, r, c], dim=0)
            assert made[0, r, c] == pytest.approx(float(expected), abs=1e-5)


def test_pooling_equal_cells_changes_nothing():
    coarse, area = noise(1, C, 3, 3), mask("#..", "##.", "...")
    features, fine = (x.repeat_interleave(2, -1).repeat_interleave(2, -2) for x in (coarse, area))
    exact = background_similarity(features, fine, keys=EXACT)
    torch.testing.assert_close(background_similarity(features, fine, keys=3), exact, atol=1e-5, rtol=0)


def test_normalising_over_all_columns_changes_only_the_length_of_a_prototype():  # T-A3
    features, area = noise(C, H, W), coin(H, W, seed=1)
    background = prototypes_by_loop(features, area, 1.0, "literal")
    everywhere = prototypes_by_loop(features, area, 1.0, "literal", every_column=True)
    assert F.cosine_similarity(background, everywhere, dim=0).min() > 1 - 1e-12


def test_without_background_the_similarity_is_minus_one():
    features = noise(2, C, H, W)
    area = torch.stack((torch.ones(H, W).bool(), coin(H, W)))
    made = background_similarity(features, area)
    assert (made[0] == -1).all()
    torch.testing.assert_close(made[1:], background_similarity(features[1:], area[1:]))


def test_a_single_background_cell_is_everybodys_prototype():
    features, area = noise(1, C, H, W), torch.ones(1, H, W, dtype=torch.bool)
    area[0, 2, 3] = False
    expected = cosine_map(features, features[:, :, 2, 3])
    torch.testing.assert_close(background_similarity(features, area, keys=EXACT), expected)


def test_large_raw_features_do_not_underflow():
    features, area = 100 * noise(1, C, H, W), coin(1, H, W, seed=1)
    made = background_similarity(features, area, temperature=1.0, keys=EXACT, form="literal")
    expected = similarity_by_loop(features[0], area[0], 1.0, "literal")
    torch.testing.assert_close(made[0], expected, atol=1e-5, rtol=0)


def test_small_raw_features_do_not_vanish():
    features, area = noise(1, 5, 4, 6), mask("......", ".###..", ".###..", "......")
    options = {"temperature": 0.0, "keys": 100, "form": "literal"}
    made = background_similarity(1e-4 * features, area, **options)
    torch.testing.assert_close(made, background_similarity(features, area, **options), atol=1e-3, rtol=1e-3)


def test_shared_prototype_is_the_weighted_sum_of_equation_3():
    support, query = noise(2, C), noise(2, C, seed=1)
    torch.testing.assert_close(shared_prototype(support, query, 0.3), 0.3 * support + 0.7 * query)


def test_alpha_one_ignores_the_query():  # T-A5
    support, query = noise(2, C), noise(2, C, seed=1)
    assert torch.equal(shared_prototype(support, query, 1.0), support)
    assert torch.equal(shared_prototype(support, query, 0.0), query)


def test_every_cell_goes_to_the_more_similar_side():
    features, prototype = noise(1, C, H, W), noise(1, C, seed=1)
    background = noise(1, H, W, seed=2).tanh()
    made = refine(features, coin(1, H, W), prototype, background)
    for r in range(H):
        for c in range(W):
            likeness = float(F.cosine_similarity(features[0, :, r, c], prototype[0], dim=0))
            assert bool(made[0, r, c]) == (likeness > float(background[0, r, c]))


def test_ties_in_the_refiner_go_to_the_background():
    features, prototype = noise(1, C, 2, 2), noise(1, C, seed=1)
    background = cosine_map(features, prototype)
    background[0, 0, 0] -= 0.1
    assert_mask(refine(features, mask("..", "##"), prototype, background), "#.", "..")


def refined(features: Tensor, area: Tensor, **options) -> Tensor:
    """One picture refined with its own prototype."""
    background = background_similarity(features, area, keys=EXACT, **options)
    return refine(features, area, masked_average(features, area), background)


def two_colours(area: Tensor) -> Tensor:
    """Two well separated kinds of features with some noise."""
    kinds = torch.eye(C)[:2] + 0.3
    return kinds[area.long()].permute(0, 3, 1, 2) + 0.05 * noise(len(area), C, *area.shape[1:])


@pytest.mark.parametrize("form", ["self-support", "literal"])
def test_a_coarse_mask_of_a_two_colour_picture_becomes_exact(form):  # T-A6
    truth = mask("......", ".####.", ".####.", "......")
    coarse = mask("......", ".###..", ".####.", "....##")
    assert torch.equal(refined(two_colours(truth), coarse, form=form), truth)


def test_the_refiner_drops_a_false_island():
    truth = mask("##.....", "##.....")
    assert_mask(refined(two_colours(truth), mask("##....#", "##.....")), "##.....", "##.....")


def test_permuting_cells_permutes_the_refined_mask():  # T-A4
    features, area = noise(1, C, H, W), coin(1, H, W, seed=1)
    order = torch.randperm(H * W, generator=torch.Generator().manual_seed(3))
    shuffled = features.flatten(2)[..., order].view_as(features)
    made = refined(shuffled, area.flatten(1)[..., order].view_as(area))
    assert torch.equal(made, refined(features, area).flatten(1)[..., order].view_as(area))


@pytest.mark.parametrize("form", ["self-support", "literal"])
def test_with_endless_temperature_a_mask_can_only_shrink(form):  # T-A7
    for seed in range(5):
        features, area = noise(1, C, H, W, seed=seed), coin(1, H, W, seed=seed + 10)
        # Literal logits are raw products: a cell must prefer itself to longer neighbours.
        features = F.normalize(features, dim=1)
        made = refined(features, area, temperature=1e4, form=form)
        assert not (made & ~area).any()


@pytest.mark.parametrize("area", [mask("..", ".."), mask("##", "##")])
def test_an_empty_and_a_full_mask_stay_as_they_are(area):
    features = noise(1, C, 2, 2)
    made = refine(features, area, noise(1, C, seed=1), noise(1, 2, 2, seed=2))
    assert torch.equal(made, area)


def test_a_mask_that_would_vanish_stays():
    features = noise(1, C, 2, 2)
    made = refine(features, mask("#.", ".."), noise(1, C, seed=1), torch.ones(1, 2, 2))
    assert_mask(made, "#.", "..")


def test_a_batch_of_two_is_two_batches_of_one():
    features, area = noise(2, C, 20, 21), coin(2, 20, 21, seed=1)
    both = background_similarity(features, area)
    for n in range(2):
        alone = background_similarity(features[n : n + 1], area[n : n + 1])
        torch.testing.assert_close(both[n : n + 1], alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_similarity_keeps_shape_and_type(dtype):
    made = background_similarity(noise(2, C, H, W).to(dtype), coin(2, H, W))
    assert made.shape == (2, H, W)
    assert made.dtype == dtype
