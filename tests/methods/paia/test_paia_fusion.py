"""PAIA, step 4 and the losses: fused prototypes, their iterations, and what these must equal."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.methods.paia.config import PaiaConfig
from lfss.methods.paia.losses import IGNORE, alignment_loss, segmentation_loss, support_loss
from lfss.methods.paia.step1_prototypes import Original, original_prototypes, prototype_cosines
from lfss.methods.paia.step2_soft_pooling import Pooled, soft_masked_average, soft_masks
from lfss.methods.paia.step3_threshold import Threshold, normalise, statistics
from lfss.methods.paia.step4_fusion import Auxiliary, Fusion, fuse, iterative_fusion
from tests.masks import coin, noise

B, N, K, M, C, H, W = 2, 2, 2, 3, 6, 4, 5
CONFIG = PaiaConfig()


def supports(seed: int = 0) -> tuple[list[Tensor], list[Tensor]]:
    features = [noise(B, K, C, H, W, seed=seed + n) for n in range(N)]
    return features, [coin(B, K, H, W, seed=seed + 10 + n).float() for n in range(N)]


def original(seed: int = 0) -> Original:
    features, inside = supports(seed)
    return original_prototypes(features, inside, [1 - m for m in inside])


def pictures(count: int = M, seed: int = 30) -> Auxiliary:
    """``count`` pictures of each class, one class after the other."""
    shown = torch.eye(N).repeat_interleave(count, 1).expand(B, -1, -1)
    return Auxiliary(noise(B, N * count, C, H, W, seed=seed), shown)


def fixed(value: float) -> Threshold:
    network = Threshold()
    torch.nn.init.constant_(network.out.bias, value)
    return network


def last(first: Original, auxiliary: Auxiliary, config: PaiaConfig, network: Threshold | None) -> Fusion:
    *_, made = iterative_fusion(first, auxiliary, config, network)
    return made


def assert_same(made: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)


def test_fused_prototypes_are_the_loop_of_equation_5():
    first, auxiliary, network = original(), pictures(), fixed(0.9)
    made = last(first, auxiliary, replace(CONFIG, iterations=1), network).prototypes
    cosines = prototype_cosines(auxiliary.features, first.prototypes)
    distance = 1 - cosines[:, :, 1:]
    for b in range(B):
        for n in range(N):
            total, count = K * first.prototypes[b, 1 + n], K
            for m in range(n * M, (n + 1) * M):
                probability = (20 * cosines[b, m]).softmax(0)[1 + n]
                nearest = cosines[b, m].argmax(0) == 1 + n
                near = distance[b, m, n] / distance[b, :, n].mean() < 0.9
                weight = probability * nearest * near
                if weight.sum() > 0:
                    total = total + (auxiliary.features[b, m] * weight).sum((1, 2)) / weight.sum()
                    count += 1
            assert_same(made[b, 1 + n], total / count)


def test_the_background_stays_that_of_the_supports():
    first = original()
    assert torch.equal(last(first, pictures(), CONFIG, None).prototypes[:, 0], first.prototypes[:, 0])


def test_the_background_learns_from_auxiliary_pictures_by_option_as_a_loop_says():
    first, auxiliary = original(), pictures()
    config = replace(CONFIG, iterations=1, teach_background=True)
    made = last(first, auxiliary, config, None).prototypes[:, 0]
    cosines = prototype_cosines(auxiliary.features, first.prototypes)
    for b in range(B):
        total, count = N * K * first.prototypes[b, 0], N * K
        for m in range(N * M):
            weight = (20 * cosines[b, m]).softmax(0)[0] * (cosines[b, m].argmax(0) == 0)
            if weight.sum() > 0:
                total = total + (auxiliary.features[b, m] * weight).sum((1, 2)) / weight.sum()
                count += 1
        assert_same(made[b], total / count)


def test_an_auxiliary_picture_teaches_only_the_classes_it_is_known_to_show():
    first, auxiliary = original(), pictures()
    config = replace(CONFIG, iterations=1)
    made = last(first, auxiliary, config, None).prototypes
    mine = Auxiliary(auxiliary.features[:, :M], auxiliary.shown[:, :, :M])
    alone = last(first, mine, config, None).prototypes
    assert_same(made[:, 1], alone[:, 1])
    assert_same(alone[:, 2], first.prototypes[:, 2])


def test_without_auxiliary_pictures_nothing_is_fused():
    # T-C3, first half: U = 0 is PANet.
    assert not list(iterative_fusion(original(), pictures(0), CONFIG, Threshold()))


def test_no_iteration_fuses_nothing():
    # T-C6
    assert not list(iterative_fusion(original(), pictures(), replace(CONFIG, iterations=0), Threshold()))


def test_a_threshold_that_passes_nothing_leaves_the_prototypes():
    # T-C3, second half: gamma to minus infinity.
    first = original()
    made = last(first, pictures(), CONFIG, fixed(-1e9))
    assert_same(made.prototypes, first.prototypes)
    assert not made.taken.any()
    assert made.filtered.any()


def test_the_euclidean_distance_is_taken_from_each_classs_own_prototype():
    first, auxiliary = original(), pictures()
    config = replace(CONFIG, distance="euclidean", iterations=1)
    network = fixed(0.0)
    made = last(first, auxiliary, config, network)
    squares = [
        (auxiliary.features - first.prototypes[:, n + 1, :, None, None][:, None]).square().sum(2)
        for n in range(N)
    ]
    counted = torch.ones(B, N, N * M, dtype=torch.bool)  # the set of a class is all pictures
    seen = normalise(torch.stack(squares, 1), counted)
    assert_same(made.threshold, network(statistics(seen, counted)))


def test_a_threshold_that_passes_everything_is_soft_pooling_alone():
    # T-C4
    first = original()
    made = last(first, pictures(), CONFIG, fixed(1e9))
    assert_same(made.prototypes, last(first, pictures(), CONFIG, None).prototypes)
    assert not made.filtered.any()


def test_a_picture_read_like_a_support_changes_nothing():
    # T-C5: the support again, with its own mask as a sure prediction.
    first = original()
    features, inside = supports()
    again = torch.cat(features, 1)
    masks = torch.cat([m[:, :, None] * torch.eye(N)[n].view(1, 1, N, 1, 1) for n, m in enumerate(inside)], 1)
    shown = torch.eye(N).repeat_interleave(K, 1).expand(B, -1, -1)
    assert_same(fuse(first, soft_masked_average(again, masks), shown), first.prototypes)


def test_the_same_pictures_twice_change_no_average_and_no_threshold():
    # T-C8
    first, auxiliary, network = original(), pictures(), Threshold()
    torch.nn.init.normal_(network.out.weight, generator=torch.Generator().manual_seed(0))
    twice = Auxiliary(*(torch.cat((t, t), dim) for t, dim in zip(auxiliary, (1, 2))))
    config = replace(CONFIG, iterations=1)
    one, two = last(first, auxiliary, config, network), last(first, twice, config, network)
    assert_same(two.threshold, one.threshold)
    assert_same(two.taken, torch.cat((one.taken, one.taken), 2))
    # Without supports' weight against them the fused prototypes agree too.
    weightless = first._replace(shots=torch.zeros_like(first.shots))
    assert_same(
        last(weightless, twice, config, network).prototypes,
        last(weightless, auxiliary, config, network).prototypes,
    )


def test_a_picture_in_which_nothing_is_left_does_not_shorten_the_prototype():
    # T-C1: as a zero vector it would change the length; left out it changes nothing.
    first = original()
    pooled = Pooled(torch.zeros(B, M, N, C), torch.zeros(B, M, N))
    assert torch.equal(fuse(first, pooled, torch.ones(B, N, M)), first.prototypes)


def test_presence_weighs_a_picture_and_the_option_weighs_all():
    first = original()
    pooled = Pooled(noise(B, 1, N, C), torch.ones(B, 1, N))
    made = fuse(first, pooled, torch.full((B, N, 1), 0.5), weight=3.0)
    expected = (K * first.prototypes[:, 1:] + 1.5 * pooled.vectors[:, 0]) / (K + 1.5)
    assert_same(made[:, 1:], expected)


def test_each_iteration_reads_by_the_last_prototypes():
    first, auxiliary = original(), pictures()
    two = list(iterative_fusion(first, auxiliary, replace(CONFIG, iterations=2), None))
    cosines = prototype_cosines(auxiliary.features, two[0].prototypes)
    soft = soft_masks(cosines, scale=20.0)
    assert_same(two[1].taken, (soft.probability * soft.chosen).transpose(1, 2))
    assert not torch.allclose(two[0].prototypes, two[1].prototypes)


def test_more_pictures_of_the_class_bring_the_prototype_nearer_to_it():
    # A class is a direction; the one support was taken of an unusual example.
    true, ground = torch.eye(C)[0], torch.eye(C)[1]
    scene = torch.where(coin(1, 1, 1, H, W, seed=5), true.view(1, 1, C, 1, 1), ground.view(1, 1, C, 1, 1))
    odd = F.normalize(true + torch.eye(C)[2], dim=0)
    first = Original(torch.stack((ground, odd))[None], torch.ones(1, 1))
    auxiliary = Auxiliary(scene + 0.1 * noise(1, 4, C, H, W), torch.ones(1, 1, 4))
    made = last(first, auxiliary, CONFIG, Threshold()).prototypes
    before, after = (F.cosine_similarity(p[0, 1], true, dim=0) for p in (first.prototypes, made))
    assert after > before + 0.1


def test_gradients_reach_the_network_and_the_features_through_all_iterations():
    first, auxiliary, network = original(), pictures(), Threshold()
    features = auxiliary.features.clone().requires_grad_()
    steps = list(iterative_fusion(first, auxiliary._replace(features=features), CONFIG, network, kind="soft"))
    steps[-1].prototypes.square().sum().backward()
    assert features.grad is not None
    assert features.grad.any()
    for parameter in (network.out.weight, network.out.bias):
        assert parameter.grad is not None
        assert parameter.grad.any()


def test_arguments_are_left_as_they_were():
    first, auxiliary = original(), pictures()
    before = [t.clone() for t in (*first, *auxiliary)]
    last(first, auxiliary, CONFIG, Threshold())
    for now, was in zip((*first, *auxiliary), before):
        assert torch.equal(now, was)


def test_the_query_loss_is_cross_entropy_over_pixels_that_count():
    features, prototypes = noise(B, 1, C, H, W), noise(B, N + 1, C, seed=1)
    truth = torch.randint(0, N + 1, (B, 1, H, W), generator=torch.Generator().manual_seed(2))
    truth[0, 0, 0] = IGNORE
    total, count = 0.0, 0
    cosines = prototype_cosines(features, prototypes)[:, 0]
    for b in range(B):
        for r in range(H):
            for c in range(W):
                if truth[b, 0, r, c] != IGNORE:
                    total -= float((20 * cosines[b, :, r, c]).log_softmax(0)[truth[b, 0, r, c]])
                    count += 1
    made = segmentation_loss(features, prototypes, truth, scale=20.0)
    assert float(made) == pytest.approx(total / count, rel=1e-4)


def test_a_loss_of_ignored_pixels_is_0_and_has_a_gradient_of_0():
    features = noise(B, 1, C, H, W).requires_grad_()
    loss = segmentation_loss(features, noise(B, 2, C), torch.full((B, 1, H, W), IGNORE), scale=20.0)
    loss.backward()
    assert float(loss.detach()) == 0
    assert features.grad is not None
    assert not features.grad.any()


def test_a_loss_of_one_pixel_is_that_pixels_cross_entropy():
    features, prototypes = noise(1, 1, C, H, W), noise(1, 2, C, seed=1)
    truth = torch.full((1, 1, H, W), IGNORE)
    logits = 20 * prototype_cosines(features, prototypes)[0, 0, :, 1, 2]  # (2,)
    truth[0, 0, 1, 2] = logits.argmin()
    expected = -logits.log_softmax(0).min()
    assert expected > 0.5
    assert_same(segmentation_loss(features, prototypes, truth, scale=20.0), expected)


def test_the_support_loss_is_the_mean_over_the_classes():
    features, inside = supports()
    prototypes = original().prototypes
    truths = [(n + 1) * m.long() for n, m in enumerate(inside)]
    each = [segmentation_loss(f, prototypes, t, scale=20.0) for f, t in zip(features, truths)]
    assert_same(support_loss(features, prototypes, truths, scale=20.0), sum(each) / 2)


def test_alignment_segments_the_supports_by_the_predicted_query():
    features, inside = supports()
    query = noise(B, C, H, W, seed=9)
    cosines = prototype_cosines(query[:, None], original().prototypes)[:, 0]
    made = alignment_loss(
        query, cosines, features, [m.long() * (n + 1) for n, m in enumerate(inside)], scale=20.0
    )
    predicted, losses = cosines.argmax(1), []
    for n in range(N):
        cells = [[query[b][:, predicted[b] == number].mean(1) for number in (0, n + 1)] for b in range(B)]
        both = torch.stack([torch.stack(pair) for pair in cells])
        losses.append(segmentation_loss(features[n], both, inside[n].long(), scale=20.0))
    assert_same(made, sum(losses) / 2)


def test_alignment_skips_a_query_that_is_not_predicted_to_show_the_class():
    """The loss of two queries is that of the one in which the class is found."""
    features, inside = supports()
    query = noise(B, C, H, W, seed=9)
    cosines = noise(B, 2, H, W, seed=8)
    cosines[1, 0] = 100
    given = [features[0]], [inside[0].long()]
    made = alignment_loss(query, cosines, *given, scale=20.0)
    one = alignment_loss(query[:1], cosines[:1], [features[0][:1]], [inside[0][:1].long()], scale=20.0)
    assert float(one) > 0
    assert_same(made, one)


def test_alignment_skips_a_class_that_the_query_is_not_predicted_to_show():
    features, inside = supports()
    cosines = torch.zeros(B, N + 1, H, W)
    cosines[:, 0] = 1
    made = alignment_loss(noise(B, C, H, W), cosines, features, [m.long() for m in inside], scale=20.0)
    assert float(made) == 0
