"""The shared maths, against loops written from the equations."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lfss.similarity import (
    CHANNELS,
    EPS,
    Cells,
    concat_levels,
    cosine_map,
    lengths,
    masked_average,
    pool_cells,
    resize_map,
    unit,
)
from tests.masks import coin, mask, noise

N, C, H, W = 2, 5, 4, 6


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The textbook cosine of two vectors, in double precision."""
    a, b = a.double(), b.double()
    return (a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()


def test_unit_vectors_have_length_one_and_keep_their_direction():
    features = noise(N, C, H, W)
    made = unit(features)
    torch.testing.assert_close(made.norm(dim=1), torch.ones(N, H, W))
    torch.testing.assert_close(made * features.norm(dim=1, keepdim=True), features)


def test_zero_vectors_stay_zero():
    assert not unit(torch.zeros(1, C, 2, 2)).any()


@pytest.mark.parametrize("weight", [coin(N, H, W, seed=1), coin(N, H, W, seed=1).float() * 0.3])
def test_masked_average_is_the_loop_of_equation_2(weight):
    features = noise(N, C, H, W)
    for n in range(N):
        total, mass = torch.zeros(C), 0.0
        for r in range(H):
            for c in range(W):
                total += features[n, :, r, c] * float(weight[n, r, c])
                mass += float(weight[n, r, c])
        torch.testing.assert_close(masked_average(features, weight)[n], total / mass)


def test_masked_average_of_nothing_is_zero():
    assert not masked_average(noise(N, C, H, W), torch.zeros(N, H, W)).any()


def test_masked_average_of_one_cell_is_that_cell():
    features = noise(1, C, 2, 3)
    torch.testing.assert_close(masked_average(features, mask("...", "..#")), features[:, :, 1, 2])


def test_a_soft_mask_before_a_cosine_does_nothing():
    features, vector = noise(1, C, H, W), noise(1, C, seed=1)
    soft = torch.rand(1, 1, H, W, generator=torch.Generator().manual_seed(2)) + 0.01
    torch.testing.assert_close(cosine_map(features * soft, vector), cosine_map(features, vector))


def test_cosine_map_is_the_loop_over_cells_and_vectors():
    features, vectors = noise(N, C, H, W), noise(N, 3, C, seed=1)
    maps = cosine_map(features, vectors)
    assert maps.shape == (N, 3, H, W)
    for n in range(N):
        for p in range(3):
            for r in range(H):
                for c in range(W):
                    expected = cosine(features[n, :, r, c], vectors[n, p])
                    assert maps[n, p, r, c] == pytest.approx(float(expected), abs=1e-6)
    torch.testing.assert_close(cosine_map(features, vectors[:, 1]), maps[:, 1])


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e4])
def test_cosine_ignores_length(scale):
    features, vector = noise(1, C, H, W), noise(1, C, seed=1)
    expected = cosine_map(features, vector)
    torch.testing.assert_close(cosine_map(scale * features, vector), expected)
    torch.testing.assert_close(cosine_map(features, scale * vector), expected)


def test_cosine_with_a_zero_on_either_side_is_zero():
    features = noise(1, C, 2, 2)
    assert not cosine_map(features, torch.zeros(1, C)).any()
    assert not cosine_map(torch.zeros(1, C, 2, 2), noise(1, C)).any()


def test_resize_map_is_bilinear_with_corners_not_aligned():
    maps = noise(2, 3, 4, 5)
    expected = F.interpolate(maps, (8, 9), mode="bilinear", align_corners=False)
    assert torch.equal(resize_map(maps, (8, 9)), expected)
    assert torch.equal(resize_map(maps[0, 0], (8, 9)), expected[0, 0])
    assert resize_map(maps, (4, 5)) is maps


def pooled_by_loop(features: torch.Tensor, weight: torch.Tensor, grid: int) -> Cells:
    """Masked mean and mask size of each block of cells, block by block."""
    n, c, h, w = features.shape
    tall, wide = -(-h // grid), -(-w // grid)
    blocks = [(slice(r, r + tall), slice(q, q + wide)) for r in range(0, h, tall) for q in range(0, w, wide)]
    vectors, weights = torch.zeros(n, len(blocks), c), torch.zeros(n, len(blocks))
    for i in range(n):
        for j, (rows, columns) in enumerate(blocks):
            share = weight[i, rows, columns]
            weights[i, j] = share.sum()
            if share.sum() > 0:
                vectors[i, j] = (features[i, :, rows, columns] * share).sum((1, 2)) / share.sum()
    return Cells(vectors, weights)


@pytest.mark.parametrize("size", [(6, 6), (7, 5), (25, 25), (9, 4), (4, 9)])
@pytest.mark.parametrize("grid", [1, 3, 4, 16])
def test_pooled_cells_are_the_means_of_disjoint_blocks(size, grid):
    features, area = noise(N, C, *size), coin(N, *size, seed=1, share=0.3)
    made, expected = pool_cells(features, area, grid), pooled_by_loop(features, area.float(), grid)
    assert made.weight.shape[1] <= grid**2
    torch.testing.assert_close(made.weight, expected.weight)
    torch.testing.assert_close(made.vectors, expected.vectors)


@pytest.mark.parametrize("side", [25, 28, 48, 50])
def test_every_cell_counts_once_in_the_pooled_weights(side):
    area = coin(N, side, side, share=0.4)
    cells = pool_cells(noise(N, C, side, side), area, 16)
    torch.testing.assert_close(cells.weight.sum(1), area.sum((1, 2)).float())
    one = torch.zeros(side * side, 1, side * side, dtype=torch.bool)
    one[range(side * side), 0, range(side * side)] = True
    alone = pool_cells(torch.ones(side * side, 1, side, side), one.view(-1, side, side), 16)
    torch.testing.assert_close(alone.weight.sum(1), torch.ones(side * side))


def test_pooling_keeps_the_masked_sum_of_features():
    features, area = noise(N, C, 25, 25), coin(N, 25, 25, seed=1, share=0.4)
    cells = pool_cells(features, area, 16)
    total = (cells.vectors * cells.weight[..., None]).sum(1)
    torch.testing.assert_close(total, (features * area[:, None]).sum((2, 3)), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("grid", [6, 7, 100])
def test_nothing_is_pooled_where_the_grid_is_as_large_as_the_map(grid):
    features, area = noise(N, C, H, W), coin(N, H, W)
    cells = pool_cells(features, area, grid)
    assert torch.equal(cells.weight, area.flatten(1).float())
    torch.testing.assert_close(cells.vectors, (features * area[:, None]).flatten(2).transpose(1, 2))


def test_blocks_without_mask_weigh_nothing_and_are_zero():
    cells = pool_cells(noise(1, C, 4, 4), mask("##..", "##..", "....", "...."), 2)
    assert cells.weight.tolist() == [[4, 0, 0, 0]]
    assert not cells.vectors[0, 1:].any()


def test_lengths_are_those_of_a_loop_for_maps_longer_and_deeper_than_a_block_of_channels():
    features = noise(1, CHANNELS + 2, CHANNELS + 3, 2)
    torch.testing.assert_close(lengths(features), features.double().norm(dim=1).float())


@pytest.mark.parametrize("length", [1e-4, 1e-5])
def test_short_vectors_get_length_one_too(length):
    features = unit(noise(1, C, 2, 2)) * length
    torch.testing.assert_close(unit(features).norm(dim=1), torch.ones(1, 2, 2))


def test_the_length_of_nothing_is_the_smallest_one():
    assert lengths(torch.zeros(1, C, 1)).item() == pytest.approx(EPS)


def test_an_average_of_directions_ignores_lengths():
    features, weight = noise(N, C, H, W), coin(N, H, W, seed=1)
    stretched = features * (1 + torch.arange(H * W).view(1, 1, H, W))
    expected = masked_average(features / features.norm(dim=1, keepdim=True), weight)
    torch.testing.assert_close(masked_average(stretched, weight, directions=True), expected)


@pytest.mark.parametrize("grid", [2, 100])
def test_pooled_directions_ignore_lengths(grid):
    features, area = noise(N, C, H, W), coin(N, H, W, seed=1)
    stretched = features * (1 + torch.arange(H * W).view(1, 1, H, W))
    made = pool_cells(stretched, area, grid, directions=True)
    expected = pool_cells(features / features.norm(dim=1, keepdim=True), area, grid)
    torch.testing.assert_close(made.vectors, expected.vectors)
    assert torch.equal(made.weight, expected.weight)


@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 5), (2, 3, 4, 5)])
def test_a_map_that_has_the_size_already_is_not_copied(shape):
    maps = noise(*shape)
    assert resize_map(maps, (4, 5)) is maps
    assert resize_map(maps, (4, 6)).shape == (*shape[:-1], 6)


def test_concatenated_levels_have_equal_weight_and_unit_length():
    levels = (100 * noise(1, 7, H, W), 0.01 * noise(1, 4, 4, 5))
    made = concat_levels(levels)
    assert made.shape == (1, 11, H, W)
    torch.testing.assert_close(made.norm(dim=1), torch.ones(1, H, W))
    torch.testing.assert_close(made[:, :7].norm(dim=1), torch.full((1, H, W), 0.5**0.5))
    one = concat_levels(levels[:1])
    torch.testing.assert_close(one.norm(dim=1), torch.ones(1, H, W))


def test_a_map_deeper_and_longer_than_a_block_of_channels_is_pooled_whole():
    features, area = noise(1, CHANNELS + 2, CHANNELS + 2, 3), coin(1, CHANNELS + 2, 3, seed=1, share=0.3)
    made, expected = pool_cells(features, area, 16), pooled_by_loop(features, area.float(), 16)
    torch.testing.assert_close(made.vectors, expected.vectors)
