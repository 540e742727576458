"""Polygons: drawn again by each target's rule they are the mask; simpler ones stay close to it."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import blob, mask, random_masks
from hypothesis import given, settings
from hypothesis import strategies as st

from lfss.annotations import raster
from lfss.annotations.outlines import trace
from lfss.annotations.rings import Part, bridged, simplify
from lfss.errors import InputError

TARGETS: tuple[raster.Target, ...] = ("coco", "opencv", "pillow")
RING = mask(
    "..........",
    ".######...",
    ".######..#",
    ".##..##...",
    ".##..##...",
    ".######...",
    "..........",
)


def loop_fill(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Even-odd rule at the centres of pixels, one pixel at a time."""
    filled = np.zeros(size, bool)
    for row in range(size[0]):
        for column in range(size[1]):
            x, y = column + 0.5, row + 0.5
            for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0)):
                if (x1 <= x) != (x2 <= x) and y1 + (x - x1) / (x2 - x1) * (y2 - y1) <= y:
                    filled[row, column] ^= True
    return filled


def drawn_again(polygons: tuple[np.ndarray, ...], size: tuple[int, int], target: raster.Target) -> np.ndarray:
    canvas = np.zeros(size, bool)
    for polygon in polygons:
        canvas |= raster.draw([polygon], size, target) > 0
    return canvas


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("drawn", [*random_masks(), RING])
def test_full_detail_draws_the_mask_pixel_for_pixel(drawn: np.ndarray, target: raster.Target) -> None:
    outline = trace(drawn, target=target, detail=0)
    np.testing.assert_array_equal(drawn_again(outline.polygons, drawn.shape, target), drawn)
    assert outline.iou == 1


@pytest.mark.parametrize("drawn", [RING, *[blob((24, 30), seed) for seed in range(3)]])
def test_coco_outlines_are_exact_for_a_plain_loop_too(drawn: np.ndarray) -> None:
    filled = np.zeros(drawn.shape, bool)
    for polygon in trace(drawn, detail=0).polygons:
        filled |= loop_fill(polygon, drawn.shape)
    np.testing.assert_array_equal(filled, drawn)


@pytest.mark.parametrize("seed", range(5))
def test_coco_drawing_agrees_with_a_plain_loop_away_from_rounding(seed: int) -> None:
    random = np.random.default_rng(seed)
    polygon = random.integers(0, 21, (7, 2)).astype(np.float32)  # corners of pixels: nothing is rounded
    ours = raster.draw([polygon], (20, 20), "coco") > 0
    assert np.count_nonzero(ours ^ loop_fill(polygon, (20, 20))) <= 0.03 * ours.size


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(TARGETS), st.sampled_from((0.25, 0.5, 1.0, 3.0)))
def test_no_part_loses_more_than_two_percent_a_pixel_of_detail(
    seed: int, target: raster.Target, detail: float
) -> None:
    drawn = blob((48, 56), seed, smooth=1.0 + seed % 4)
    outline = trace(drawn, target=target, detail=detail)
    again = drawn_again(outline.polygons, drawn.shape, target)
    iou = (again & drawn).sum() / (again | drawn).sum()
    assert iou == pytest.approx(outline.iou)
    assert iou >= 1 - 0.02 * detail


def test_at_half_a_pixel_the_iou_is_at_least_099() -> None:
    for seed in range(20):
        for target in TARGETS:
            assert trace(blob((64, 64), seed), target=target, detail=0.5).iou >= 0.99


def test_less_detail_means_fewer_points() -> None:
    disc = np.hypot(*np.mgrid[-60:61, -60:61]) < 55
    counts = [trace(disc, detail=detail).vertices for detail in (0, 0.5, 1, 2)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 3 * counts[1]


def test_before_a_part_keeps_every_corner_a_quarter_of_a_pixel_is_tried() -> None:
    """Speckles allow no pixel to be wrong at any coarse detail; full detail alone would take 4,800 points."""
    speckles = [blob((64, 64), seed, smooth=1.5) for seed in range(8)]
    assert sum(trace(mask, detail=1.0).vertices for mask in speckles) < 4600
    assert sum(trace(mask, detail=0).vertices for mask in speckles) > 5800


@pytest.mark.parametrize("target", TARGETS)
def test_single_pixels_and_lines_survive_any_detail(target: raster.Target) -> None:
    drawn = mask("#.........", "...####...", "..........", ".#........", ".#.......#")
    outline = trace(drawn, target=target, detail=20)
    np.testing.assert_array_equal(drawn_again(outline.polygons, drawn.shape, target), drawn)
    assert len(outline.polygons) == 4
    assert all(len(p) >= 3 for p in outline.polygons), "readers refuse polygons of fewer points"


@pytest.mark.parametrize("drawn", [mask("#"), mask("##"), mask("#", "#", "#")])
def test_a_polygon_of_one_or_two_places_has_three_points_and_no_more(drawn: np.ndarray) -> None:
    (polygon,) = trace(drawn, target="opencv").polygons
    assert len(polygon) == 3
    assert len({tuple(point) for point in polygon.tolist()}) == min(drawn.size, 2)


def test_a_hole_is_cut_open_and_each_part_has_one_polygon() -> None:
    outline = trace(RING)
    assert len(outline.polygons) == 2
    assert outline.iou == 1


def test_holes_in_a_row_are_all_joined() -> None:
    drawn = np.ones((9, 41), bool)
    drawn[4, 2:40:2] = False
    drawn[2:7, 20] = False
    for target in TARGETS:
        outline = trace(drawn, target=target)
        assert len(outline.polygons) == 1
        assert outline.iou == 1, target


def test_a_thousand_nested_holes_need_no_deep_recursion() -> None:
    drawn = np.ones((5, 6001), bool)
    drawn[2, 1:6000:2] = False
    assert trace(drawn, detail=0).iou == 1


def test_small_parts_can_be_left_out_and_the_iou_says_so() -> None:
    outline = trace(RING, min_part=2)
    assert len(outline.polygons) == 1
    assert outline.iou == pytest.approx(1 - 1 / RING.sum())


def test_an_empty_mask_has_no_polygons() -> None:
    assert trace(np.zeros((4, 5), bool)).polygons == ()


@pytest.mark.parametrize(
    "settings", [{"detail": -1}, {"detail": 21}, {"detail": float("nan")}, {"min_part": 0}]
)
def test_settings_out_of_range_are_refused(settings: dict) -> None:
    with pytest.raises(InputError):
        trace(RING, **settings)


def test_corners_at_full_detail_enclose_exactly_the_pixels() -> None:
    """The area by the shoelace formula is the number of pixels, for readers that measure so."""
    drawn = blob((30, 30), 3)
    total = 0.0
    for polygon in trace(drawn, detail=0).polygons:
        x, y = polygon.astype(float).T
        total += abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    assert total == drawn.sum()


def test_polygons_reaching_out_of_the_picture_are_cut_off() -> None:
    polygon = np.array([(-4, -4), (6, -4), (6, 6), (-4, 6)], np.float32)
    for target in TARGETS:
        drawn = raster.draw([polygon], (10, 10), target) > 0
        assert drawn[:6, :6].all()
        assert not drawn[8:].any()
        assert not drawn[:, 8:].any()


def test_bridged_polygons_are_one_walk_over_all_of_them_nearest_first() -> None:
    square = np.array([(0, 0), (4, 0), (4, 4), (0, 4)], np.float32)
    shifted = [square, square + (20, 0), square + (9, 0)]
    walk = bridged(shifted)
    assert len(walk) == 3 * len(square) + 2 * 2  # each of two bridges is entered and left
    assert {tuple(p) for p in walk.tolist()} == {tuple(p) for one in shifted for p in one.tolist()}
    x, y = walk.T
    area = (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2
    assert area == 3 * 16
    steps = np.abs(np.diff(walk, axis=0, append=walk[:1])).sum(1)
    assert sorted(steps.tolist())[-4:] == [5, 5, 7, 7]


def test_points_on_an_ellipse_lie_at_its_radii() -> None:
    points = raster.ellipse(10, 20, 6, 3)
    assert points.shape == (128, 2)
    np.testing.assert_allclose((((points - (10, 20)) / (6, 3)) ** 2).sum(1), 1)
    np.testing.assert_allclose(points[[0, 32, 64, 96]], [(16, 20), (10, 23), (4, 20), (10, 17)])


def test_points_turn_clockwise_about_one_of_them_or_their_middle() -> None:
    points = np.array([(1, 1), (3, 1), (3, 5), (1, 5)], float)
    np.testing.assert_allclose(raster.rotated(points, 90, about=0), [(1, 1), (1, 3), (-3, 3), (-3, 1)])
    np.testing.assert_allclose(raster.rotated(points, 90), [(4, 2), (4, 4), (0, 4), (0, 2)])


def test_a_line_of_three_points_becomes_simpler_and_its_ends_stay() -> None:
    """The walk along several rings is made of lines whose ends are kept, however near they lie."""
    lines = (
        [(0, 0), (2, 0.2), (4, 0)],
        [(4, 0), (4, 4)],
        [(4, 4), (2, 7), (0, 4)],
        [(0, 4), (0.1, 4)],
        [(0.1, 4), (0, 0)],
    )
    kept = simplify(Part(1, [np.array(line, np.float32) for line in lines]), 0.5)
    np.testing.assert_allclose(kept, [(0, 0), (4, 0), (4, 4), (2, 7), (0, 4), (0.1, 4)])


@pytest.mark.parametrize("target", TARGETS)
def test_the_border_of_a_part_with_a_hole_becomes_simpler(target: raster.Target) -> None:
    y, x = np.mgrid[:120, :120]
    away = np.hypot(x - 60, y - 60)
    ring = (away < 50) & (away > 20)
    (exact,), (simple,) = (trace(ring, target=target, detail=detail).polygons for detail in (0.0, 2.0))
    assert len(simple) < 40 < len(exact) / 4
    drawn = drawn_again((simple,), ring.shape, target)
    assert (drawn & ring).sum() > 0.93 * (drawn | ring).sum()
