"""Marks as text become supports: which picture a mark names, and what it says of each pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from lfss.errors import SupportError
from lfss.marks import read_supports


def picture(path: Path, size: tuple[int, int] = (8, 10)) -> Path:
    """A grey picture of (H, W) pixels in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(np.full((*size, 3), 120, np.uint8)).save(path)
    return path


def drawing(path: Path, array: np.ndarray) -> Path:
    PILImage.fromarray(array).save(path)
    return path


def test_boxes_of_one_picture_count_together_and_the_rest_is_not_the_object(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    (support,) = read_supports([path], boxes=["a.png=1,0,3,2", f"{path}=5,3,8,6"])
    inside = np.zeros((8, 10), bool)
    inside[0:2, 1:3] = inside[3:6, 5:8] = True
    assert support.known is not None
    assert np.array_equal(support.known, np.where(inside, -1, 0))


def test_a_box_around_everything_says_nothing(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    (support,) = read_supports([path], boxes=["a.png=0,0,10,8"])
    assert support.known is None


def test_corners_are_rounded_to_pixels(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    (support,) = read_supports([path], boxes=["a.png=0.6,0.2,3.4,2.4"])
    assert support.known is not None
    assert np.array_equal(np.argwhere(support.known == -1).max(0), [1, 2])
    assert np.array_equal(np.argwhere(support.known == -1).min(0), [0, 1])


def test_a_mask_says_all_pixels_and_a_scribble_only_its_strokes(tmp_path: Path) -> None:
    masked, drawn, plain = (picture(tmp_path / name) for name in ("a.png", "b.png", "c.png"))
    mask = np.zeros((8, 10), np.uint8)
    mask[2:4, 2:5] = 255
    strokes = np.zeros((8, 10, 3), np.uint8)
    strokes[1, 1:4] = (0, 255, 0)  # green: the object
    strokes[5, 1:4] = (255, 0, 0)  # red: not the object
    supports = read_supports(
        [masked, drawn, plain],
        masks=[f"a.png={drawing(tmp_path / 'mask.png', mask)}"],
        scribbles=[f"b.png={drawing(tmp_path / 'strokes.png', strokes)}"],
    )
    assert supports[0].known is not None
    assert np.array_equal(supports[0].known, mask > 0)
    expected = np.full((8, 10), -1)
    expected[1, 1:4], expected[5, 1:4] = 1, 0
    assert supports[1].known is not None
    assert np.array_equal(supports[1].known, expected)
    assert supports[2].known is None


def test_names_may_hold_an_equals_sign(tmp_path: Path) -> None:
    paths = [picture(tmp_path / "a.png"), picture(tmp_path / "a.png=b.png")]
    first, second = read_supports(paths, boxes=["a.png=b.png=1,1,2,2"])
    assert first.known is None
    assert second.known is not None


def test_a_name_of_two_supports_needs_its_path(tmp_path: Path) -> None:
    one, two = picture(tmp_path / "x" / "a.png"), picture(tmp_path / "y" / "a.png")
    with pytest.raises(SupportError, match=r"Several supports are called 'a\.png'\. In --box"):
        read_supports([one, two], boxes=["a.png=1,1,2,2"])
    supports = read_supports([one, two], boxes=[f"{two}=1,1,2,2"])
    assert [support.known is None for support in supports] == [True, False]


def test_marks_that_cannot_be_used_are_explained(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    mask = drawing(tmp_path / "mask.png", np.full((8, 10), 255, np.uint8))
    for marks, words in (
        ({"boxes": ["b.png=1,1,2,2"]}, r"--box 'b\.png=1,1,2,2' names no support.*'a\.png'"),
        ({"boxes": ["a.png=1,1,2"]}, r"'1,1,2' of 'a\.png' is not four numbers"),
        ({"boxes": ["a.png=1,1,inf,2"]}, "is not four numbers"),
        ({"boxes": ["a.png=1,1,2,2"], "masks": [f"a.png={mask}"]}, r"more than one mark \(box, mask\)"),
        ({"masks": [f"a.png={mask}", f"a.png={mask}"]}, r"more than one mark \(mask, mask\)"),
    ):
        with pytest.raises(SupportError, match=words):
            read_supports([path], **marks)  # type: ignore[arg-type]


def test_a_message_lists_at_most_five_supports(tmp_path: Path) -> None:
    paths = [picture(tmp_path / f"{i}.png") for i in range(7)]
    with pytest.raises(SupportError, match=r"such as '0\.png', '1\.png', '2\.png', '3\.png', '4\.png'\.$"):
        read_supports(paths, boxes=["z.png=1,1,2,2"])


def test_no_picture_at_all_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SupportError, match="There is no picture in"):
        read_supports([tmp_path])
