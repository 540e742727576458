"""PAIA, steps 1 and 2: prototypes and soft-masked average pooling, against loops written from the paper."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lfss.methods.paia.step1_prototypes import class_margin, original_prototypes, prototype_cosines
from lfss.methods.paia.step2_soft_pooling import soft_masked_average, soft_masks
from lfss.similarity import masked_average
from tests.masks import coin, mask, noise

B, N, K, M, C, H, W = 2, 3, 2, 4, 6, 4, 5


def shares(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def supports(seed: int = 0) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Features, inside and outside of N classes with different numbers of supports."""
    counts = [K, K + 1, 1]
    features = [noise(B, k, C, H, W, seed=seed + n) for n, k in enumerate(counts)]
    inside = [coin(B, k, H, W, seed=seed + 10 + n).float() for n, k in enumerate(counts)]
    outside = [(1 - m) * coin(B, k, H, W, seed=seed + 20).float() for m, k in zip(inside, counts)]
    return features, inside, outside


def test_class_prototypes_are_the_loop_of_equation_1():
    features, inside, outside = supports()
    made = original_prototypes(features, inside, outside)
    for b in range(B):
        for n in range(N):
            total = torch.zeros(C)
            for k in range(features[n].shape[1]):
                cells = features[n][b, k][:, inside[n][b, k] > 0]
                total += cells.mean(1)
            torch.testing.assert_close(made.prototypes[b, 1 + n], total / features[n].shape[1])
    assert made.shots.tolist() == [[2, 3, 1]] * B


def test_the_background_is_the_mean_of_all_pixels_of_no_class():
    features, inside, outside = supports()
    made = original_prototypes(features, inside, outside).prototypes[:, 0]
    for b in range(B):
        cells = [f[b, k][:, o[b, k] > 0] for f, o in zip(features, outside) for k in range(f.shape[1])]
        torch.testing.assert_close(made[b], torch.cat(cells, 1).mean(1))


def test_the_background_by_pictures_weighs_each_picture_the_same():
    features, inside, outside = supports()
    made = original_prototypes(features, inside, outside, background="images").prototypes[:, 0]
    for b in range(B):
        means = [
            f[b, k][:, o[b, k] > 0].mean(1) for f, o in zip(features, outside) for k in range(f.shape[1])
        ]
        torch.testing.assert_close(made[b], torch.stack(means).mean(0))


def test_a_support_without_object_is_left_out_of_the_mean():
    features, inside = noise(1, 2, C, H, W), coin(1, 2, H, W).float()
    inside[:, 1] = 0
    made = original_prototypes([features], [inside], [1 - inside])
    torch.testing.assert_close(made.prototypes[:, 1], masked_average(features[:, 0], inside[:, 0]))
    assert made.shots.tolist() == [[1]]


def test_a_class_that_no_support_shows_has_no_shots():
    features, nothing = noise(1, 2, C, H, W), torch.zeros(1, 2, H, W)
    made = original_prototypes([features], [nothing], [1 - nothing])
    assert not made.prototypes[:, 1].any()
    assert made.shots.tolist() == [[0]]


def test_where_no_background_is_known_what_is_not_object_stands_for_it():
    features, inside = noise(2, 1, C, H, W), coin(2, 1, H, W).float()
    outside = torch.zeros_like(inside)
    outside[1, 0, 0, 0] = 1  # the second episode knows one cell
    made = original_prototypes([features], [inside], [outside]).prototypes[:, 0]
    torch.testing.assert_close(made[0], masked_average(features[:1, 0], 1 - inside[:1, 0])[0])
    torch.testing.assert_close(made[1], features[1, 0, :, 0, 0])


def test_the_nearest_prototype_leads_and_all_others_trail_it():
    features, prototypes = noise(B, M, C, H, W), noise(B, N + 1, C, seed=3)
    cosines = prototype_cosines(features, prototypes)
    margin = class_margin(cosines, scale=20.0)
    for b, m, r, c in [(0, 0, 0, 0), (1, 3, 2, 4), (0, 2, 3, 1)]:
        x = features[b, m, :, r, c]
        near = [float(x @ p / (x.norm() * p.norm())) for p in prototypes[b]]
        for n in range(1, N + 1):
            others = [value for place, value in enumerate(near) if place != n]
            assert margin[b, m, n - 1, r, c] == pytest.approx(20 * (near[n] - max(others)), abs=1e-4)


def test_with_one_class_the_margin_is_its_log_odds():
    cosines = noise(1, 1, 2, H, W).tanh()
    probability = (20 * cosines).softmax(2)[:, :, 1:]
    torch.testing.assert_close(class_margin(cosines, scale=20.0).sigmoid(), probability)


def test_soft_masks_are_the_softmax_and_its_maximum():
    cosines = noise(B, M, N + 1, H, W).tanh()
    soft = soft_masks(cosines, scale=20.0)
    for b, m, r, c in [(0, 0, 0, 0), (1, 3, 2, 4), (0, 1, 3, 2)]:
        powers = [math.exp(20 * float(v)) for v in cosines[b, m, :, r, c]]
        for n in range(1, N + 1):
            assert soft.probability[b, m, n - 1, r, c] == pytest.approx(powers[n] / sum(powers), abs=1e-5)
            assert bool(soft.chosen[b, m, n - 1, r, c]) == (powers[n] == max(powers))


def test_margins_in_cosine_make_nearly_binary_weights():
    # T-C9: margins of 0.1, 0.2 and 0.3 are probabilities of 0.88, 0.98 and 0.998.
    cosines = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.2, 0.3]]).view(1, 1, 2, 1, 3)
    made = soft_masks(cosines, scale=20.0).probability.flatten().tolist()
    assert made == pytest.approx([0.881, 0.982, 0.998], abs=1e-3)


def test_soft_masked_average_is_the_loop_of_equation_2():
    features, weight = noise(B, M, C, H, W), shares(B, M, N, H, W, seed=1)
    weight = weight * coin(B, M, N, H, W, seed=2)
    made = soft_masked_average(features, weight)
    for b in range(B):
        for m in range(M):
            for n in range(N):
                total, mass = torch.zeros(C), 0.0
                for r in range(H):
                    for c in range(W):
                        total += features[b, m, :, r, c] * float(weight[b, m, n, r, c])
                        mass += float(weight[b, m, n, r, c])
                torch.testing.assert_close(made.vectors[b, m, n], total / mass)


def test_only_the_ratio_of_weights_matters():
    # T-C2, first half: SMP(c Y) = SMP(Y).
    features, weight = noise(B, M, C, H, W), shares(B, M, N, H, W, seed=1)
    made, scaled = (soft_masked_average(features, w).vectors for w in (weight, 0.01 * weight))
    torch.testing.assert_close(made, scaled)


def test_equal_weights_are_masked_average_pooling():
    # T-C2, second half: with y constant SMP = MP.
    features, chosen = noise(B, M, C, H, W), coin(B, M, 1, H, W, seed=4)
    made = soft_masked_average(features, 0.3 * chosen)
    expected = masked_average(features.flatten(0, 1), chosen[:, :, 0].flatten(0, 1)).view(B, M, C)
    torch.testing.assert_close(made.vectors[:, :, 0], expected)


def test_a_picture_with_nothing_left_is_zero_and_says_so():
    features = noise(1, 1, C, 2, 3)
    weight = torch.cat((mask("...", "..."), mask("#..", "...")))[None, None].float()
    made = soft_masked_average(features, weight)
    assert not made.vectors[0, 0, 0].any()
    assert made.weight[0, 0].tolist() == [0, 1]
    torch.testing.assert_close(made.vectors[0, 0, 1], features[0, 0, :, 0, 0])
