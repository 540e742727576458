"""Step 3: seeds, shift, clusters and the association map, against loops over seeds and cells."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.methods.lfss import (
    Seeds,
    association_map,
    border_distance,
    cluster,
    place_seeds,
    seed_count,
    shift_seeds,
)
from lfss.similarity import masked_average, unit
from tests.masks import assert_mask, coin, mask, noise

C, H, W = 5, 7, 9
SHAPES = {
    "islands": mask(
        "###......", "###..##..", "###..##..", ".....##..", "......#..", "#........", "#......##"
    ),
    "touches the frame": mask(*["####....."] * 7),
    "full": mask(*["#########"] * 7),
    "one cell": mask("........#", *["........."] * 6),
    "line": mask("...#.....", "...#.....", "...#.....", *["........."] * 4),
}
shapes = pytest.mark.parametrize("area", SHAPES.values(), ids=SHAPES)


def points_of(seeds: Seeds, n: int = 0) -> list[tuple[int, int]]:
    """The valid seeds of one item as (row, column)."""
    return [(int(r), int(c)) for r, c in seeds.points[n][seeds.valid[n]]]


def spread(area: Tensor, most: int = 5) -> Seeds:
    return place_seeds(area, seed_count(area, most=most), most=most)


# -- number and place of seeds --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "seeds"), [(0, 0), (1, 1), (69, 1), (104, 1), (105, 2), (174, 3), (347, 5), (2500, 5)]
)
def test_one_seed_for_each_69_cells_of_a_50_by_50_map(cells, seeds):
    area = (torch.arange(2500) < cells).view(1, 50, 50)
    assert seed_count(area).tolist() == [seeds]


def test_there_are_never_more_seeds_than_cells():
    area = torch.cat((mask("##", ".."), mask("..", ".."), mask("##", "##")))
    assert seed_count(area, most=5).tolist() == [2, 0, 4]


def distance_by_loop(area: Tensor, others: list[tuple[int, int]] | None = None) -> Tensor:
    """Eq. 6: squared distance to the nearest background cell, ring cell, or chosen seed. (h, w)."""
    h, w = area.shape
    background = [
        (r, c)
        for r in range(-1, h + 1)
        for c in range(-1, w + 1)
        if not (0 <= r < h and 0 <= c < w and area[r, c])
    ] + (others or [])
    made = torch.zeros(h, w)
    for r in range(h):
        for c in range(w):
            made[r, c] = min((r - y) ** 2 + (c - x) ** 2 for y, x in background)
    return made


@shapes
def test_border_distance_is_the_nearest_of_all_background_cells(area):
    assert torch.equal(border_distance(area)[0], distance_by_loop(area[0]))


def test_border_distance_of_random_masks():
    area = coin(6, H, W, share=0.8)
    for n in range(6):
        assert torch.equal(border_distance(area)[n], distance_by_loop(area[n]))


@shapes
def test_seeds_are_the_loop_of_equation_6(area):
    chosen: list[tuple[int, int]] = []
    for _ in range(int(seed_count(area)[0])):
        distance = distance_by_loop(area[0], chosen).masked_fill(~area[0], -1)
        best = max(range(H * W), key=lambda i: (float(distance.flatten()[i]), -i))
        chosen.append((best // W, best % W))
    assert points_of(spread(area)) == chosen


@shapes
def test_seeds_lie_inside_their_mask_and_are_distinct(area):  # T-A8
    points = points_of(spread(area))
    assert len(set(points)) == len(points) == int(seed_count(area)[0])
    assert all(area[0, r, c] for r, c in points)


def test_seeds_of_random_masks_lie_inside_and_are_distinct():
    for seed in range(20):
        area = coin(1, 6, 6, seed=seed, share=0.05 + 0.05 * seed)
        points = points_of(spread(area))
        assert len(set(points)) == len(points) == int(seed_count(area)[0])
        assert all(area[0, r, c] for r, c in points)


def test_the_first_seed_of_an_odd_square_is_its_centre():  # T-A8
    area = torch.zeros(1, 60, 60, dtype=torch.bool)
    area[0, 10:31, 20:41] = True
    assert points_of(spread(area))[0] == (20, 30)


def test_seeds_keep_away_from_the_frame_where_the_mask_touches_it():
    for r, c in points_of(spread(SHAPES["full"], most=1)):
        assert 0 < r < H - 1
        assert 0 < c < W - 1


def test_an_empty_mask_gives_no_seeds():
    assert not spread(mask("...", "...")).valid.any()


# -- shift ----------------------------------------------------------------------------------------------


def shifted_by_loop(points: list[tuple[int, int]], area: Tensor, likeness: Tensor, window: int) -> list:
    """Eq. 7: seed by seed to the best free cell of the mask near it; it stays unless another is better."""
    points, reach = list(points), window // 2
    for i, (r, c) in enumerate(points):
        best = (r, c)
        for y in range(max(r - reach, 0), min(r + reach + 1, area.shape[0])):
            for x in range(max(c - reach, 0), min(c + reach + 1, area.shape[1])):
                free = bool(area[y, x]) and (y, x) not in points
                if free and likeness[y, x] > likeness[best]:
                    best = (y, x)
        points[i] = best
    return points


@shapes
@pytest.mark.parametrize("window", [1, 3, 5])
def test_shifted_seeds_are_the_loop_of_equation_7(area, window):
    likeness = noise(1, H, W, seed=window)
    seeds = spread(area)
    moved = points_of(shift_seeds(seeds, area, likeness, window=window))
    assert moved == shifted_by_loop(points_of(seeds), area[0], likeness[0], window)


def test_shifted_seeds_stay_inside_and_distinct():
    for seed in range(20):
        area, likeness = coin(2, 6, 6, seed=seed, share=0.5), noise(2, 6, 6, seed=seed)
        moved = shift_seeds(spread(area), area, likeness, window=5)
        for n in range(2):
            points = points_of(moved, n)
            assert len(set(points)) == len(points) == int(seed_count(area)[n])
            assert all(area[n, r, c] for r, c in points)


@shapes
def test_a_window_of_one_cell_moves_nothing(area):  # T-A9
    seeds = spread(area)
    assert torch.equal(shift_seeds(seeds, area, noise(1, H, W), window=1).points, seeds.points)


@shapes
def test_equal_similarity_moves_nothing(area):  # T-A10
    seeds = spread(area)
    moved = shift_seeds(seeds, area, torch.full((1, H, W), 0.3), window=5)
    assert torch.equal(moved.points, seeds.points)


def test_a_seed_moves_to_the_best_neighbour_but_not_out_of_the_mask():
    seeds = Seeds(torch.tensor([[[1, 1]]]), torch.tensor([[True]]))
    likeness = torch.tensor([[[0.1, 0.9, 0.2], [0.3, 0.0, 0.4], [0.1, 0.1, 0.1]]])
    area = mask("...", "###", "###")
    assert points_of(shift_seeds(seeds, area, likeness)) == [(1, 2)]


# -- clustering -----------------------------------------------------------------------------------------


def clustered_by_loop(
    features: Tensor, area: Tensor, points: list, sigma: float, radius: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """Eq. 9-11 for one picture: centres (P, C) and the nearest seed of each cell (h, w)."""
    cells = {
        (r, c): sigma * features[:, r, c].double() / features[:, r, c].double().norm()
        for r in range(area.shape[0])
        for c in range(area.shape[1])
        if area[r, c]
    }
    centres = [(cells[p], torch.tensor(p, dtype=torch.float64)) for p in points]

    def distance(cell, place, centre):
        near = (place - centre[1]).square().sum() / radius**2
        return ((cell - centre[0]).square().sum() + near).sqrt()

    places = {p: torch.tensor(p, dtype=torch.float64) for p in cells}
    for _ in range(iterations):
        moved = []
        for centre in centres:
            weight = {p: torch.exp(-distance(cells[p], places[p], centre)) for p in cells}
            total = sum(weight.values())
            moved.append(
                (
                    sum(weight[p] * cells[p] for p in cells) / total,
                    sum(weight[p] * places[p] for p in cells) / total,
                )
            )
        centres = moved
    nearest = torch.full(area.shape, -1)
    for p in cells:
        nearest[p] = min(range(len(centres)), key=lambda i: distance(cells[p], places[p], centres[i]))
    return torch.stack([c[0] for c in centres]).float() / sigma, nearest


@shapes
@pytest.mark.parametrize(("sigma", "radius", "iterations"), [(4.0, 2.0, 5), (1.0, 10.0, 1), (4.0, 2.0, 0)])
def test_clusters_are_the_loop_of_equations_9_to_11(area, sigma, radius, iterations):
    features, seeds = noise(1, C, H, W), spread(area)
    made = cluster(features, area, seeds, sigma=sigma, radius=radius, iterations=iterations)
    centres, nearest = clustered_by_loop(features[0], area[0], points_of(seeds), sigma, radius, iterations)
    torch.testing.assert_close(made.centres[seeds.valid], centres, atol=1e-3, rtol=1e-3)
    assert torch.equal(made.superpixels[0], nearest)
    assert not made.centres[~seeds.valid].any()


def test_one_seed_over_equal_features_is_masked_average_pooling():  # T-A11
    features = noise(1, C, 1, 1).expand(1, C, H, W)
    area = SHAPES["islands"]
    made = cluster(features, area, spread(area, most=1), radius=1e6)
    torch.testing.assert_close(made.centres[:, 0], masked_average(unit(features), area))


@shapes
def test_small_features_make_every_centre_the_masked_average(area):  # T-A12
    features, seeds = noise(1, C, H, W), spread(area)
    made = cluster(features, area, seeds, sigma=1e-3, radius=1e6)
    expected = masked_average(unit(features), area).expand(int(seeds.valid.sum()), -1)
    torch.testing.assert_close(made.centres[seeds.valid], expected, atol=1e-3, rtol=0)


@shapes
def test_long_features_leave_every_centre_at_its_seed(area):  # T-A12
    features, seeds = noise(1, C, H, W), spread(area)
    made = cluster(features.double(), area, seeds, sigma=1e4, radius=2.0)
    for i, (r, c) in enumerate(points_of(seeds)):
        expected = unit(features)[0, :, r, c].double()
        torch.testing.assert_close(made.centres[0, i], expected, atol=1e-6, rtol=0)


@shapes
def test_centres_lie_in_the_hull_of_the_masks_features(area):  # T-A13
    features, seeds = noise(1, C, H, W), spread(area)
    centres = cluster(features, area, seeds).centres[seeds.valid]
    inside = unit(features)[0][:, area[0]]
    assert (centres <= inside.amax(1) + 1e-5).all()
    assert (centres >= inside.amin(1) - 1e-5).all()


def test_permuting_seeds_permutes_the_centres():  # T-A13
    features, area = noise(1, C, H, W).double(), SHAPES["full"]
    seeds, order = spread(area), [3, 0, 4, 1, 2]
    turned = Seeds(seeds.points[:, order], seeds.valid[:, order])
    straight = cluster(features, area, seeds).centres
    torch.testing.assert_close(cluster(features, area, turned).centres, straight[:, order])


def test_mirroring_the_picture_with_its_seeds_keeps_the_centres():  # T-A13, places move with the cells
    features, area = noise(1, C, H, W).double(), SHAPES["islands"]
    seeds = spread(area)
    points = torch.stack((seeds.points[..., 0], W - 1 - seeds.points[..., 1]), -1)
    mirrored = cluster(features.flip(3), area.flip(2), Seeds(points, seeds.valid))
    torch.testing.assert_close(mirrored.centres, cluster(features, area, seeds).centres)


def test_features_outside_the_mask_never_matter():
    features, area = noise(1, C, H, W), SHAPES["islands"]
    other = torch.where(area[:, None], features, noise(1, C, H, W, seed=5))
    seeds = spread(area)
    assert torch.equal(cluster(features, area, seeds).centres, cluster(other, area, seeds).centres)


def test_two_parts_become_two_superpixels():
    area, left = SHAPES["full"], mask(*["#####...."] * 7)
    colours = torch.eye(C)[left.long()].permute(0, 3, 1, 2) + 0.01 * noise(1, C, H, W)
    seeds = Seeds(torch.tensor([[[3, 1], [3, 7]]]), torch.tensor([[True, True]]))
    assert_mask(cluster(colours, area, seeds).superpixels == 0, *["#####...."] * 7)


def test_an_empty_mask_gives_no_clusters_and_no_nan():
    area = mask(*["........."] * 7)
    made = cluster(noise(1, C, H, W), area, spread(area))
    assert not made.centres.any()
    assert (made.superpixels == -1).all()


# -- association map ------------------------------------------------------------------------------------


def test_association_map_is_the_mean_cosine_of_the_valid_centres():
    query, centres = noise(2, C, H, W), noise(2, 3, C, seed=1)
    valid = torch.tensor([[True, True, False], [True, False, False]])
    made = association_map(query, centres, valid)
    for n in range(2):
        for r in range(H):
            for c in range(W):
                cosines = [
                    float(F.cosine_similarity(query[n, :, r, c], centres[n, i], dim=0))
                    for i in range(3)
                    if valid[n, i]
                ]
                assert made[n, r, c] == pytest.approx(sum(cosines) / len(cosines), abs=1e-6)


def test_copies_of_one_prototype_change_nothing():  # T-A15
    query, centre = noise(1, C, H, W), noise(1, 1, C, seed=1)
    one = association_map(query, centre, torch.ones(1, 1, dtype=torch.bool))
    five = association_map(query, centre.expand(1, 5, C), torch.ones(1, 5, dtype=torch.bool))
    torch.testing.assert_close(five, one)


def test_without_a_prototype_the_map_is_zero():
    made = association_map(noise(1, C, H, W), noise(1, 3, C), torch.zeros(1, 3, dtype=torch.bool))
    assert not made.any()


def mapped(support: Tensor, area: Tensor, query: Tensor, seeds: Seeds) -> Tensor:
    return association_map(query, cluster(support, area, seeds).centres, seeds.valid)


def test_mirroring_the_query_mirrors_the_map():  # T-A14
    support, query, area = noise(1, C, H, W), noise(1, C, H, W, seed=1), SHAPES["islands"]
    straight = mapped(support, area, query, spread(area))
    torch.testing.assert_close(mapped(support, area, query.flip(3), spread(area)), straight.flip(2))


def test_mirroring_a_support_keeps_the_map():  # T-A14
    support, query = noise(1, C, H, W), noise(1, C, H, W, seed=1)
    area = mask(".........", ".....###.", ".....###.", ".....###.", *["........."] * 3)
    turned = mapped(support.flip(3), area.flip(2), query, spread(area.flip(2), most=1))  # one seed: no ties
    torch.testing.assert_close(turned, mapped(support, area, query, spread(area, most=1)))


def test_a_batch_of_two_is_two_batches_of_one():
    features, area = noise(2, C, H, W), coin(2, H, W, share=0.7)
    likeness = noise(2, H, W, seed=1)

    def run(n: slice) -> tuple[Tensor, ...]:
        seeds = shift_seeds(spread(area[n]), area[n], likeness[n])
        return (*seeds, *cluster(features[n], area[n], seeds))

    for both, first, second in zip(run(slice(2)), run(slice(1)), run(slice(1, 2))):
        torch.testing.assert_close(both, torch.cat((first, second)))


def test_shapes_and_types():
    area = torch.cat((SHAPES["islands"], SHAPES["one cell"]))
    seeds = spread(area)
    made = cluster(noise(2, C, H, W), area, seeds)
    assert seeds.points.shape == (2, 5, 2)
    assert seeds.points.dtype == torch.int64
    assert seeds.valid.sum(1).tolist() == [5, 1]
    assert made.centres.shape == (2, 5, C)
    assert made.superpixels.shape == (2, H, W)
    assert made.superpixels.dtype == torch.int64
    assert made.superpixels[1].amax() == 0
