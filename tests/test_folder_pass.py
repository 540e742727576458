"""What a folder teaches: prototypes from all pictures, presence, competition, and when to leave alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.folder_pass import FolderConfig, Sample, join, judge, read, take_sample, teach
from tests.masks import coin, noise

C, H, W = 8, 6, 6
CONFIG = FolderConfig(grid=8)
DOG, CAT, GRASS, ROOM = torch.eye(C)[0], torch.eye(C)[1], torch.eye(C)[2], torch.eye(C)[3]


def picture(shown: Tensor, thing: Tensor, around: Tensor = GRASS, *, seed: int = 0) -> Tensor:
    """(C, h, w): the thing where ``shown`` (h, w) is true."""
    cells = torch.where(shown[..., None], thing, around).permute(2, 0, 1)
    return cells + 0.05 * noise(C, H, W, seed=seed)


def sample(cells: Tensor, *first: Tensor | None, presence: tuple[float, ...] = (1.0,), checked=()) -> Sample:
    maps = [None if m is None else m.float().numpy() for m in first]
    return take_sample(cells, maps, presence, checked or [False] * len(first), grid=8)


def folder(count: int = 6, *, wrong: float = 0.2) -> tuple[list[Sample], list[Tensor]]:
    """Pictures of a dog whose first maps are wrong in a share of the cells; and where the dog is."""
    samples, truths = [], []
    for i in range(count):
        shown = coin(H, W, seed=i, share=0.4)
        flipped = shown ^ coin(H, W, seed=100 + i, share=wrong)
        samples.append(sample(picture(shown, DOG, seed=i), torch.where(flipped, 0.9, 0.1)))
        truths.append(shown)
    return samples, truths


def test_the_vector_of_a_picture_is_the_loop_of_equation_2():
    cells, first = noise(C, H, W), torch.rand(H, W, generator=torch.Generator().manual_seed(1))
    (one,) = [sample(cells, first, presence=(0.7,))]
    made = teach([one])
    total, mass, ground, area = torch.zeros(C), 0.0, torch.zeros(C), 0.0
    kept = cells.half().float()
    for r in range(H):
        for c in range(W):
            y = float(first[r, c])
            if y > 0.5:
                total += y * kept[:, r, c]
                mass += y
            ground += (1 - 0.7 * y) * kept[:, r, c]
            area += 1 - 0.7 * y
    torch.testing.assert_close(made.vectors[0, 0], total / mass, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(made.prototypes()[0], ground / area, rtol=1e-4, atol=1e-5)
    assert float(made.weight[0, 0]) == pytest.approx(0.7)


def test_the_prototype_is_the_mean_of_the_pictures_weighted_by_presence():
    samples = [
        sample(noise(C, H, W, seed=s), torch.ones(H, W), presence=(p,)) for s, p in ((0, 1.0), (1, 0.5))
    ]
    sums = teach(samples)
    a, b = (s.cells.float().mean((1, 2)) for s in samples)
    torch.testing.assert_close(sums.prototypes()[1], (a + 0.5 * b) / 1.5, rtol=1e-4, atol=1e-5)


def test_leaving_a_picture_out_is_teaching_without_it():
    samples, _ = folder(4)
    made = teach(samples).prototypes(without=1)
    torch.testing.assert_close(made, teach([s for i, s in enumerate(samples) if i != 1]).prototypes())


def test_wrong_cells_of_first_maps_are_put_right():
    samples, truths = folder()
    prototypes = teach(samples).prototypes()
    for one, shown in zip(samples, truths):
        assert torch.equal(read(one.cells.float(), prototypes, scale=20.0)[0] > 0, shown)


def test_pictures_without_the_object_teach_the_background():
    samples, _ = folder(3)
    without = sample(
        picture(torch.zeros(H, W, dtype=torch.bool), DOG, ROOM), torch.zeros(H, W), presence=(0.0,)
    )
    ground = [
        F.cosine_similarity(teach(s).prototypes()[0], ROOM, dim=0) for s in (samples, [*samples, without])
    ]
    assert ground[1] > ground[0] + 0.3


def test_a_picture_of_something_else_hardly_moves_the_prototype():
    samples, _ = folder(3, wrong=0.0)
    shown = coin(H, W, seed=50)
    foreign = picture(shown, CAT, seed=9)
    likeness = []
    for presence in (0.05, 1.0):
        taught = teach([*samples, sample(foreign, shown, presence=(presence,))]).prototypes()[1]
        likeness.append(float(F.cosine_similarity(taught, DOG, dim=0)))
    assert likeness[0] > 0.99
    assert likeness[1] < 0.97


def test_labels_compete_for_cells_and_teach_only_what_they_win():
    shown = coin(H, W, seed=3)
    cells = picture(shown, DOG, CAT)
    dog = torch.where(shown, 0.9, 0.6)  # claims the cat too, but less
    cat = torch.where(shown, 0.2, 0.8)
    prototypes = teach([sample(cells, dog, cat, presence=(1.0, 1.0))]).prototypes()
    assert float(F.cosine_similarity(prototypes[1], DOG, dim=0)) > 0.98
    logits = read(cells, prototypes, scale=20.0)
    assert torch.equal(logits[0] > 0, shown)
    assert torch.equal(logits[1] > 0, ~shown)


def test_a_label_without_a_map_neither_teaches_nor_takes_background():
    shown = coin(H, W, seed=3)
    one = sample(picture(shown, DOG), shown, None, presence=(1.0, 0.0))
    sums = teach([one])
    assert sums.weight.tolist() == [[1.0, 0.0]]
    assert not sums.prototypes()[2].any()


def test_cells_are_sampled_evenly_and_maps_with_them():
    cells, score = noise(C, 40, 30), torch.rand(80, 60, generator=torch.Generator().manual_seed(0))
    one = take_sample(cells, [score.numpy()], [1.0], [False], grid=16)
    assert one.cells.shape == (C, 13, 10)
    assert torch.equal(one.cells, cells[:, 1::3, 1::3].half())
    torch.testing.assert_close(one.first[0], F.avg_pool2d(score[None], 2)[0, 1::3, 1::3])


def test_the_final_map_is_the_mean_in_logits_within_the_limit():
    first, new = np.array([[0.5, 0.999999, 0.2]], np.float32), np.array([[0.9, 0.5, 0.2]], np.float32)
    made = join(first, new, FolderConfig(limit=6.0, share=0.5), shown=1.0)
    logit = lambda p: np.log(p / (1 - p))  # noqa: E731
    expected = [logit(0.9) / 2, 3.0, logit(0.2)]
    np.testing.assert_allclose(logit(made[0].astype(np.float64)), expected, atol=1e-3)


def test_a_folder_that_hardly_shows_the_object_hardly_weighs():
    first, new = np.array([[0.5]], np.float32), np.array([[0.9]], np.float32)
    half, none = (join(first, new, FolderConfig(share=1.0), shown=shown) for shown in (0.5, 0.0))
    assert half[0, 0] == pytest.approx(0.75, abs=1e-4)  # odds of 9, to the power of a half
    assert none[0, 0] == pytest.approx(0.5)
    samples, _ = folder(2)
    absent = sample(noise(C, H, W), torch.ones(H, W), presence=(0.0,))
    assert teach([*samples, absent, absent]).shown().tolist() == pytest.approx([0.5])


def test_it_helps_where_it_agrees_and_leaves_alone_where_it_does_not():
    samples, _ = folder()
    verdict = judge(samples, teach(samples), ["dog"], CONFIG)[0]
    assert verdict.helps
    assert "'dog'" in verdict.reason
    confused = [sample(noise(C, H, W, seed=i), torch.where(coin(H, W, seed=i), 0.9, 0.1)) for i in range(6)]
    verdict = judge(confused, teach(confused), ["dog"], CONFIG)[0]
    assert not verdict.helps
    assert "nothing is changed" in verdict.reason


def test_three_checked_pictures_decide_alone():
    samples, truths = folder(wrong=0.05)
    # The first maps look right, but what the person accepted is something else.
    other = [sample(picture(t, DOG, seed=i), ~t, checked=[True]) for i, t in enumerate(truths[:3])]
    verdict = judge([*other, *samples], teach([*other, *samples]), ["dog"], CONFIG)[0]
    assert not verdict.helps
    assert "you accepted" in verdict.reason
    assert judge([*other[:2], *samples], teach([*other[:2], *samples]), ["dog"], CONFIG)[0].helps


@pytest.mark.parametrize("count", [0, 1])
def test_one_picture_alone_teaches_nothing_and_two_do(count):
    samples, _ = folder(2)
    empty = samples[1]._replace(first=torch.zeros(1, H, W))
    given = [*samples[:count], empty]
    verdict = judge(given, teach(given), ["dog"], CONFIG)[0]
    assert not verdict.helps
    assert "nothing to learn from" in verdict.reason
    assert "nothing to learn from" not in judge(samples, teach(samples), ["dog"], CONFIG)[0].reason
