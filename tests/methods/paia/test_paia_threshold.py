"""PAIA, step 3: distances, their statistics, the threshold and the gate."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lfss.methods.paia.step1_prototypes import prototype_cosines
from lfss.methods.paia.step3_threshold import Threshold, distances, gate, normalise, statistics
from tests.masks import noise

B, N, M, C, H, W = 2, 3, 4, 6, 4, 5


def given_distances(seed: int = 0) -> Tensor:
    return noise(B, N, M, H, W, seed=seed).square() + 0.1


def everything() -> Tensor:
    return torch.ones(B, N, M, dtype=torch.bool)


@pytest.mark.parametrize("kind", ["cosine", "euclidean"])
def test_distances_are_the_textbook_ones(kind):
    features, prototypes = noise(B, M, C, H, W), noise(B, N, C, seed=1)
    made = distances(features, prototypes, prototype_cosines(features, prototypes), kind=kind)
    for b, n, m, r, c in [(0, 0, 0, 0, 0), (1, 2, 3, 2, 4), (0, 1, 2, 3, 1)]:
        x, p = features[b, m, :, r, c], prototypes[b, n]
        expected = (
            1 - float(x @ p / (x.norm() * p.norm())) if kind == "cosine" else float((x - p).square().sum())
        )
        assert made[b, n, m, r, c] == pytest.approx(expected, abs=1e-4)


def test_normalised_distances_have_mean_1_over_the_set():
    counted = everything()
    counted[:, 0, 2:] = False
    made = normalise(given_distances(), counted)
    assert made[:, 0, :2].flatten(1).mean(1).tolist() == pytest.approx([1, 1])
    assert made[:, 1].flatten(1).mean(1).tolist() == pytest.approx([1, 1])
    torch.testing.assert_close(
        made[0, 1] / made[0, 1, 0, 0, 0], given_distances()[0, 1] / given_distances()[0, 1, 0, 0, 0]
    )


def test_distances_of_0_stay_0():
    assert not normalise(torch.zeros(B, N, M, H, W), everything()).any()


def test_statistics_are_the_textbook_ones_over_the_counted_pictures():
    counted = everything()
    counted[1, 2, 1:] = False
    values = given_distances()
    made = statistics(values, counted)
    for b in range(B):
        for n in range(N):
            cells = values[b, n][counted[b, n]].flatten().double().tolist()
            mean = sum(cells) / len(cells)
            moments = [sum((x - mean) ** p for x in cells) / len(cells) for p in (2, 3, 4)]
            shape = [moments[0], moments[1] / moments[0] ** 1.5, moments[2] / moments[0] ** 2 - 3]
            assert made[b, n].tolist() == pytest.approx([min(cells), max(cells), *shape], rel=1e-3, abs=1e-3)


def test_statistics_do_not_change_with_the_unit_or_the_order():
    # T-C7
    values = given_distances()
    order = torch.randperm(M * H * W, generator=torch.Generator().manual_seed(0))
    shuffled = values.flatten(2)[:, :, order].view_as(values)
    expected = statistics(normalise(values, everything()), everything())
    for other in (7.5 * values, shuffled):
        torch.testing.assert_close(statistics(normalise(other, everything()), everything()), expected)


def test_equal_distances_have_statistics_without_nan():
    made = statistics(torch.ones(B, N, M, H, W), everything())
    assert made[0, 0].tolist() == [1, 1, 0, 0, 0]


def test_a_set_without_a_picture_has_statistics_without_nan():
    assert not statistics(given_distances(), torch.zeros_like(everything())).any()


def test_the_threshold_starts_at_the_mean_distance():
    made = Threshold()(statistics(given_distances(), everything()))
    assert made.tolist() == [[1.0] * N] * B


def test_gates():
    normalised = torch.tensor([0.5, 0.9, 1.0, 1.1, 3.0]).view(1, 1, 1, 1, 5)
    one = torch.ones(1, 1)
    hard = gate(normalised, one, kind="hard", sharpness=10.0)
    assert hard.flatten().tolist() == [1, 1, 0, 0, 0]  # strictly nearer than the threshold
    soft = gate(normalised, one, kind="soft", sharpness=10.0)
    assert soft.flatten().tolist() == pytest.approx([0.9933, 0.7311, 0.5, 0.2689, 0.0], abs=1e-4)
    through = gate(normalised, one, kind="straight-through", sharpness=10.0)
    torch.testing.assert_close(through, hard)


@pytest.mark.parametrize(("kind", "reached"), [("soft", True), ("straight-through", True), ("hard", False)])
def test_the_network_learns_through_all_gates_but_the_printed_one(kind, reached):
    network, values = Threshold(), normalise(given_distances(), everything())
    passed = gate(values, network(statistics(values, everything())), kind=kind, sharpness=10.0)
    assert passed.requires_grad == reached
    if reached:
        passed.sum().backward()
        assert network.out.bias.grad is not None
        assert network.out.bias.grad.any()


def test_thresholds_without_end_pass_everything_or_nothing():
    values = given_distances()
    for kind in ("soft", "hard"):
        all_of_it = gate(values, torch.full((B, N), torch.inf), kind=kind, sharpness=10.0)
        nothing = gate(values, torch.full((B, N), -torch.inf), kind=kind, sharpness=10.0)
        assert bool((all_of_it == 1).all())
        assert not nothing.any()
