"""Objects of a mask: parts, cuts, joins; kept in a workspace; counted alike in all formats."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from samples import a_draft, digest_of

from lfss.annotations import FORMATS
from lfss.annotations.pieces import pieces
from lfss.drafts import Draft
from lfss.errors import InputError, UnknownName
from lfss.objects import MOST, carry, count, cut, join, numbered, parts, same, used
from lfss.packing import pack_objects, unpack_objects
from lfss.workspace import Workspace

SIZE = (120, 160)


def discs(*circles: tuple[int, int, int]) -> np.ndarray:
    canvas = np.zeros(SIZE, np.uint8)
    for x, y, radius in circles:
        cv2.circle(canvas, (x, y), radius, 1, -1)
    return canvas > 0


TWO = discs((40, 60, 25), (120, 60, 25))
TOUCHING = discs((50, 60, 25), (97, 60, 25))


def draft(mask: np.ndarray, objects: np.ndarray | None = None) -> Draft:
    return Draft("a.jpg", digest_of(1), "sheep", mask, status="edited", objects=objects)


def test_each_connected_part_is_an_object_and_crumbs_belong_to_the_nearest() -> None:
    mask = TWO.copy()
    mask[5, 150] = mask[115, 5] = True
    numbers = parts(mask)
    assert used(numbers) == [1, 2]
    assert (numbers > 0).sum() == mask.sum()
    assert numbers[5, 150] == numbers[60, 120]
    assert numbers[115, 5] == numbers[60, 40]
    assert len(used(parts(mask, crumb=0))) == 4
    assert used(parts(np.zeros(SIZE, bool))) == []


@pytest.mark.parametrize("turned", [False, True])
def test_a_crumb_on_the_last_row_of_a_long_picture_has_a_nearest_part(turned: bool) -> None:
    mask = np.zeros((2400, 30), bool)
    mask[100:130], mask[2000:2030], mask[2399, 5] = True, True, True
    numbers = parts(mask.T if turned else mask)
    assert used(numbers) == [1, 2]
    assert (numbers.T if turned else numbers)[2399, 5] == 2


def test_a_crumb_in_a_large_picture_belongs_to_the_part_that_is_nearest_there() -> None:
    """Large pictures are gone through in coarse steps."""
    mask = np.zeros((2400, 30), bool)
    mask[100:130], mask[2000:2030], mask[800, 5] = True, True, True
    numbers = parts(mask)
    assert (numbers[800, 5], numbers[110, 5], numbers[2010, 5]) == (1, 1, 2)


@pytest.mark.parametrize("turned", [False, True])
def test_a_crumb_on_the_border_belongs_to_the_part_that_is_nearest_there(turned: bool) -> None:
    """One pixel further in, another part would be nearer."""
    mask = np.zeros((40, 60), bool)
    mask[39, 30] = True
    mask[20:36, 30:50] = True  # 4 pixels above the crumb
    mask[39, 10:28] = True  # 3 pixels to its left
    numbers = parts(mask.T if turned else mask)
    numbers = numbers.T if turned else numbers
    assert numbers[39, 30] == numbers[39, 20] != numbers[30, 40]


def test_of_more_parts_than_can_be_counted_the_largest_are_objects() -> None:
    mask = np.zeros((520, 520), bool)
    mask[::2, ::2] = True  # 67,600 parts of one pixel
    mask[518, 517:519] = True
    numbers = parts(mask)
    assert len(used(numbers)) == MOST
    np.testing.assert_array_equal(numbers > 0, mask)
    assert (numbers[518, 516:519] == MOST).all(), "the largest keeps a number of its own"


def test_an_empty_mask_shows_no_object() -> None:
    assert count(draft(np.zeros(SIZE, bool))) == 0


def test_corners_that_touch_are_one_part() -> None:
    assert used(parts(np.eye(9, dtype=bool))) == [1]


@pytest.mark.parametrize(
    "line", [[(72, 0), (72, 119)], [(60, 0), (85, 119)], [(85, 10), (60, 60), (85, 110)]]
)
def test_a_line_cuts_what_it_crosses_and_costs_no_pixel(line: list) -> None:
    numbers = cut(parts(TOUCHING), np.array(line))
    assert used(numbers) == [1, 2]
    np.testing.assert_array_equal(numbers > 0, TOUCHING)
    assert numbers[60, 30] != numbers[60, 110]


def test_a_line_that_parts_nothing_changes_nothing() -> None:
    for line in ([(80, 0), (80, 119)], [(40, 0), (40, 60)]):
        np.testing.assert_array_equal(cut(parts(TWO), np.array(line)), parts(TWO))
    with pytest.raises(InputError, match="two points"):
        cut(parts(TWO), np.zeros((1, 2)))


def test_objects_are_joined() -> None:
    numbers = join(parts(TWO), [1, 2])
    assert used(numbers) == [1]
    assert count(draft(TWO, numbers)) == 1
    with pytest.raises(InputError, match="two objects"):
        join(parts(TWO), [1, 9])


def test_numbers_follow_an_edited_mask() -> None:
    numbers = cut(parts(TOUCHING), np.array([(72, 0), (72, 119)]))
    grown = TOUCHING | discs((120, 60, 10), (20, 110, 5))
    after = carry(numbers, grown)
    assert after is not None
    np.testing.assert_array_equal(after > 0, grown)
    assert after[60, 125] == after[60, 110]
    assert used(after) == [1, 2, 3], "what was drawn apart is an object of its own"
    assert carry(numbers, discs((150, 110, 5))) is None


def test_objects_that_grow_keep_their_numbers() -> None:
    after = carry(parts(TWO), TWO | discs((40, 60, 28), (120, 60, 27)))
    assert after is not None
    assert used(after) == [1, 2]
    assert after[60, 40] == parts(TWO)[60, 40]


def test_maps_that_differ_in_numbers_alone_are_the_same() -> None:
    numbers = parts(TWO)
    renamed = np.where(numbers == 1, 7, numbers).astype(np.uint16)
    assert same(numbers, renamed)
    assert same(renamed, numbers)
    assert not same(numbers, TWO.astype(np.uint16))
    np.testing.assert_array_equal(unpack_objects(pack_objects(numbers)), numbers)


def test_objects_stay_with_the_draft_and_are_one_undo_away(tmp_path: Path) -> None:
    with Workspace.open(tmp_path) as workspace:
        workspace.put_draft(a_draft(1, size=SIZE, mask=TOUCHING))
        numbers = cut(parts(TOUCHING), np.array([(72, 0), (72, 119)]))
        after = workspace.set_objects(digest_of(1), "dog", numbers)
        assert (after.status, count(after)) == ("edited", 2)
        np.testing.assert_array_equal(after.mask, TOUCHING)
    with Workspace.open(tmp_path) as workspace:
        (again,) = workspace.drafts()
        np.testing.assert_array_equal(again.objects, numbers)
        assert workspace.check() == []
        edited = workspace.edit_mask(digest_of(1), "dog", TOUCHING & (np.arange(160) > 30))
        assert count(edited) == 2
        workspace.undo(digest_of(1), "dog")
        assert workspace.undo(digest_of(1), "dog").objects is None


def test_numbers_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="as large as its mask"):
        draft(TWO, np.ones((3, 3), np.uint16))


def test_an_export_asks_how() -> None:
    assert [len(list(pieces(draft(TOUCHING), how))) for how in ("together", "parts", "each")] == [1, 1, 2]
    joined = draft(TWO, join(parts(TWO), [1, 2]))
    assert [len(list(pieces(joined, how))) for how in ("together", "parts", "each")] == [1, 1, 1]
    with pytest.raises(UnknownName, match="together"):
        list(pieces(draft(TWO), "all"))  # type: ignore[arg-type]


INSTANCES = [
    ("coco", {}),
    ("coco", {"rle": True}),
    ("labelme", {}),
    ("labelme", {"shapes": "polygon"}),
    ("cvat", {}),
    ("labelstudio", {}),
    ("labelstudio", {"shapes": "polygon"}),
    ("yolo", {}),
]


@pytest.mark.parametrize(("form", "options"), INSTANCES)
@pytest.mark.parametrize("how", ["together", "parts", "each"])
def test_counts_agree_between_formats_and_objects_come_back(form, options, how, tmp_path: Path) -> None:
    split = cut(parts(TOUCHING), np.array([(72, 0), (72, 119)]))
    behind_a_tree = join(parts(TWO), [1, 2])
    drafts = [
        Draft("split.jpg", digest_of(1), "sheep", TOUCHING, objects=split),
        Draft("joined.jpg", digest_of(2), "sheep", TWO, objects=behind_a_tree),
        Draft("plain.jpg", digest_of(3), "sheep", TWO),
        Draft("touching.jpg", digest_of(4), "sheep", TOUCHING),
    ]
    FORMATS[form].write(drafts, tmp_path / "out", objects=how, **options)
    found = {d.image_name.split(".")[0]: d for d in FORMATS[form].read(tmp_path / "out")}
    counts = [count(found[name]) for name in ("split", "joined", "plain", "touching")]
    # Left together, the file says that it does not tell objects apart, so parts count again; a line of
    # YOLO holds one polygon, in which the parts are tied.
    together = [1, 1, 1, 1] if form == "yolo" else [1, 2, 2, 1]
    assert counts == {"together": together, "parts": [2, 1, 2, 1], "each": [2, 1, 2, 2]}[how]
    for one in drafts:
        again = found[one.image_name.split(".")[0]].mask
        assert (again & one.mask).sum() > 0.97 * (again | one.mask).sum()
    if how == "parts" and found["split"].objects is not None:
        numbers = numbered(found["split"].mask, found["split"].objects)
        assert numbers[60, 30] != numbers[60, 110]
