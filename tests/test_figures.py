"""Pictures for people: colours where they belong, inputs unchanged, odd sizes and letters survived."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from lfss import figures
from lfss.images import Image, read_image
from lfss.labels import Label
from lfss.stages import Prediction, Stage


def grey(height: int = 60, width: int = 80, level: int = 100) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def block(height: int = 60, width: int = 80) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height // 2, width // 4 : width // 2] = True
    return mask


def prediction(query: Image, shots: int = 1, label: str = "dog", columns: int = 1) -> Prediction:
    cells = np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5)
    points = np.array([[3, 4], [30, 40], [59, 79]])
    stages = (
        Stage("text_evidence", "Text evidence", "map", (cells,) * shots, cells, "Yellow fits the words."),
        Stage("initial_mask", "Initial mask", "mask", (cells > 0.5,) * shots, cells > 0.5),
        Stage("seeds", "Seeds", "points", (points,) * shots, None, "word " * 40),
        Stage("fcm", "FCM", "map", (), cells, "High is object.", -0.5, 2.0),
        Stage("prediction", "Prediction", "mask", (), block(*query.size)),
    )
    mask = block(*query.size)
    return Prediction(mask, mask.astype(np.float32), 0.9, stages * columns, Label(label), "mini", 0.5, 0.1)


def test_overlay_tints_the_mask_and_leaves_the_rest():
    pixels = grey()
    drawn = figures.overlay(pixels, block(), (200, 0, 50), 0.5, outline=False)
    assert (drawn[block()] == (150, 50, 75)).all()
    assert (drawn[~block()] == 100).all()
    assert (pixels == 100).all()


def test_overlay_outline_follows_the_border_and_empty_and_full_masks_pass():
    drawn = figures.overlay(grey(), block(), opacity=0.0)
    changed = (drawn != 100).any(axis=2)
    assert changed[15, 20:40].all()
    assert not changed[20:25, 25:35].any()
    assert not changed[45:].any()
    np.testing.assert_array_equal(figures.overlay(grey(), block() & False), grey())
    assert figures.overlay(grey(), block() | True).shape == (60, 80, 3)


def test_overlay_stretches_a_mask_of_cells():
    cells = np.array([[True, False], [False, False]])
    drawn = figures.overlay(grey(), cells, opacity=1.0, outline=False)
    tinted = (drawn == figures.OBJECT_COLOR).all(axis=2)
    assert tinted[:15, :20].all()
    assert not tinted[31:].any()
    assert not tinted[:, 41:].any()


def test_colours_of_a_map_rise_in_brightness_and_ends_are_clipped():
    colors = figures.colorize(np.linspace(-1, 3, 256)[None], -1, 3)[0].astype(float)
    brightness = colors @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(brightness) > -2).all()
    assert brightness[-1] > brightness[0] + 150
    np.testing.assert_array_equal(colors, figures.colorize(np.linspace(0, 1, 256)[None])[0])
    ends = figures.colorize(np.array([[-9.0, 0.0, 1.0, 9.0]]))[0]
    np.testing.assert_array_equal(ends[0], ends[1])
    np.testing.assert_array_equal(ends[2], ends[3])


def test_a_map_of_one_value_or_without_numbers_has_colours_too():
    assert figures.colorize(np.zeros((2, 2)), 0.5, 0.5).shape == (2, 2, 3)
    odd = figures.colorize(np.array([[np.nan, np.inf, 1.0]]))[0]
    assert (odd[:2] == 128).all()
    assert (odd[2] != 128).any()


@pytest.mark.parametrize("kind", ["map", "mask", "points"])
def test_every_kind_is_drawn_at_the_pictures_size_without_touching_it(kind):
    image = read_image(grey())
    values = np.array([[3, 4], [30, 40]]) if kind == "points" else np.eye(4, dtype=np.float32) > 0.5
    stage = Stage("any", "Any", kind, (), values)
    drawn = figures.draw(stage, image)
    assert drawn.shape == (60, 80, 3)
    assert (drawn != 100).any()
    assert (image.pixels == 100).all()


def test_a_map_without_a_range_is_drawn_from_0_to_1():
    values = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    drawn = [
        figures.draw(Stage("any", "Any", "map", (), values, **span), read_image(grey()))
        for span in ({}, {"low": 0.0, "high": 1.0})
    ]
    np.testing.assert_array_equal(*drawn)


def test_points_lie_where_they_say_also_in_a_shrunk_picture():
    image = read_image(grey(600, 800))
    drawn = figures.draw(Stage("seeds", "Seeds", "points", (), np.array([[300, 200]])), image, max_side=400)
    assert drawn.shape == (300, 400, 3)
    rows, columns = np.nonzero((drawn == figures.POINT_COLOR).all(axis=2))
    assert abs(rows.mean() - 150) < 2
    assert abs(columns.mean() - 100) < 2


def test_numbers_of_regions_are_not_blended_at_their_borders():
    regions = np.zeros((2, 2), np.float32)
    regions[:, 1] = 4
    stage = Stage("superpixels", "Superpixels", "regions", (), regions, low=0, high=4)
    assert len(np.unique(figures.draw(stage, read_image(grey())).reshape(-1, 3), axis=0)) == 2


def test_a_number_is_written_on_the_picture():
    stage = Stage("presence", "Presence", "number", (), np.array(0.93))
    drawn = figures.draw(stage, read_image(grey(300, 400)))
    assert (drawn[:60, :120] != 100).any()
    assert (drawn[100:] == 100).all()


def test_a_side_without_values_shows_the_picture_alone():
    image = read_image(grey())
    stage = Stage("seeds", "Seeds", "points", (np.zeros((1, 2)),), None)
    np.testing.assert_array_equal(figures.draw(stage, image), grey())
    np.testing.assert_array_equal(figures.draw(stage, image, support=3), grey())
    assert (figures.draw(stage, image, support=0) != 100).any()


def test_no_points_and_points_on_one_spot_are_drawn():
    image = read_image(grey())
    for points in (np.zeros((0, 2)), np.full((40, 2), 7)):
        assert figures.draw(Stage("seeds", "Seeds", "points", (), points), image).shape == (60, 80, 3)


def test_strip_has_a_column_for_each_stage_and_a_row_for_each_picture():
    query = read_image(grey())
    one = figures.strip(prediction(query), query, [query])
    three = figures.strip(prediction(query, 3), query, [query] * 3)
    wide = figures.strip(prediction(query, columns=2), query, [query])
    assert one.dtype == np.uint8
    assert (one[0] == 255).all()
    assert three.shape[1] == one.shape[1] < wide.shape[1]
    assert three.shape[0] > one.shape[0]
    assert figures.strip(prediction(query, 9), query, [query] * 9).shape == three.shape


def test_a_caption_takes_as_many_lines_as_it_needs_in_its_own_letters():
    query = read_image(grey())

    def height(words: str) -> int:
        stage = Stage("any", "Any", "number", (), np.array(0.5), words)
        bare = Prediction(block(), block().astype(np.float32), 1.0, (stage,), Label("dog"), "mini", 0.5, 0.1)
        return figures.strip(bare, query, [], thumb=200).shape[0]

    assert height("Yellow fits the words here.") == height("x") < height("Yellow fits the words. " * 9)


def test_strip_shows_map_colours_and_the_mask_of_the_query():
    query = read_image(grey())
    drawn = figures.strip(prediction(query, 0), query, []).reshape(-1, 3)
    scale = figures.colorize(np.linspace(0, 1, 50)[None])[0]
    assert all((drawn == color).all(axis=1).any() for color in (scale[0], scale[-1]))
    tint = np.rint(np.array(figures.OBJECT_COLOR) * 0.45 + 100 * 0.55)
    assert (np.abs(drawn - tint).max(axis=1) <= 1).sum() > 200


@pytest.mark.parametrize(("height", "width"), [(8, 4000), (4000, 8), (8, 8), (3000, 4000)])
def test_strip_takes_pictures_of_every_shape(height, width):
    query = read_image(grey(height, width))
    drawn = figures.strip(prediction(query), query, [query])
    assert drawn.shape[0] < 1200
    assert drawn.shape[1] < 1600


@pytest.mark.parametrize("text", ["犬 🐕 \u200dسگ", "x" * 200, "a\nb\tc", "𐍈"])
def test_letters_outside_the_font_are_replaced_and_long_lines_shortened(text):
    query = read_image(grey(), name=text)
    assert figures.strip(prediction(query, label=text), query, [query]).ndim == 3


def test_strip_without_stages_is_a_picture_still():
    query = read_image(grey())
    bare = Prediction(block(), block().astype(np.float32), 1.0, (), Label("dog"), "mini", 0.5, 0.1)
    assert figures.strip(bare, query, []).shape[1] > 232


def test_png_files_hold_what_was_given(tmp_path):
    color = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    path = tmp_path / "Übung 犬.png"
    figures.save_png_atomic(path, color)
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(path)), color)
    figures.save_png_atomic(path, block())
    with PIL.Image.open(path) as opened:
        assert opened.mode == "L"
        np.testing.assert_array_equal(np.asarray(opened), block() * 255)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    figures.write_atomic(path, b"old")

    def full(_self, _target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        figures.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
