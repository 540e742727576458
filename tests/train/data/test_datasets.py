"""Readers: the same record from every layout, and every bad folder told in a sentence."""

from __future__ import annotations

import csv
import json
import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_sets import (
    CAT,
    COW,
    DOG,
    SIDE,
    block,
    class_map,
    picture,
    write_animals,
    write_coco,
    write_folder,
    write_fss,
    write_voc,
)  # fmt: skip

from lfss.annotations.rle import coco_counts, to_string
from lfss.errors import InputError, UnknownName
from train.data.classmaps import read_label
from train.data.datasets import check_counts, open_data
from train.data.layouts import MaskFile, _shape
from train.data.splits import MIN_AREA, OFFICIAL, Official, pascal_fold
from train.mini.photos import fraction, held_out, never_trained, split_rule


def test_voc_gives_pictures_classes_and_unknown_pixels(tmp_path: Path) -> None:
    blocks = {CAT: block(10, 10, 30), DOG: block(50, 50, 40)}
    data = open_data(write_voc(tmp_path / "voc", {"val": [blocks]}), "voc", cache=tmp_path / "cache")
    sample = data.samples[0]
    classes, ignore = sample.read_classes()
    expected = class_map(blocks)
    assert sample.read_image().shape == (SIDE, SIDE, 3)
    np.testing.assert_array_equal(classes, np.where(expected == 255, 0, expected))
    np.testing.assert_array_equal(ignore, expected == 255)
    assert sample.areas == {CAT: 900, DOG: 1600}
    mask, unknown = sample.read_mask(DOG)
    assert mask.dtype == unknown.dtype == np.bool_
    assert mask.sum() == 1600


def test_splits_are_kept_apart_and_all_is_their_union(tmp_path: Path) -> None:
    root = write_animals(tmp_path / "voc", each=2)
    val = open_data(root, "voc", split="val", cache=tmp_path / "cache")
    whole = open_data(root, "voc", cache=tmp_path / "cache")
    assert [s.id for s in val.samples] == [f"val_{i:03d}" for i in range(8)]
    assert {s.split for s in whole.samples} == {"train", "val"}
    assert len(whole.samples) == 16


def test_a_devkit_root_is_found(tmp_path: Path) -> None:
    write_voc(tmp_path / "VOCdevkit" / "VOC2012", {"val": [{CAT: block()}]})
    assert len(open_data(tmp_path, "voc", cache=tmp_path / "cache").samples) == 1


@pytest.mark.parametrize("side", [45, 46])
def test_area_rule_keeps_2048_pixels_and_more(tmp_path: Path, side: int) -> None:
    root = write_voc(tmp_path / "voc", {"val": [{CAT: block(0, 0, side)}]})
    data = open_data(root, "voc", cache=tmp_path / "cache")
    assert bool(data.ids_of(CAT)) == (side * side >= MIN_AREA)


def test_grid_rule_counts_points_of_every_32nd_pixel(tmp_path: Path) -> None:
    blocks = [{CAT: block(0, 0, 34)}, {CAT: (0, 0, 2, 66)}, {CAT: (2, 2, 33, 96)}]
    data = open_data(write_voc(tmp_path / "voc", {"val": blocks}), "voc", cache=tmp_path / "cache")
    slow = []
    for blocks_ in blocks:
        values = class_map(blocks_)
        slow.append(sum(values[r, c] == CAT for r in range(1, SIDE, 32) for c in range(1, SIDE, 32)))
    assert [s.points.get(CAT, 0) for s in data.samples] == slow == [4, 3, 0]
    assert data.ids_of(CAT, "grid") == ("val_000", "val_001")
    assert data.ids_of(CAT, "area") == ("val_002",)


def test_folder_names_classes_and_keeps_splits(tmp_path: Path) -> None:
    rows = [("a", "train", {3: block()}), ("b", "test", {3: block(), 14: (0, 0, 10, 10)})]
    root = write_folder(tmp_path / "garments", rows, {3: "belt", 14: "dress"})
    data = open_data(root, "folder", split="test", cache=tmp_path / "cache")
    assert data.classes == {3: "belt", 14: "dress"}
    assert [s.id for s in data.samples] == ["images/b.png"]
    assert data.samples[0].areas[14] == 100
    assert data.class_ids(["dress"]) == (14,)
    assert data.name == "garments"


def test_fss_takes_white_for_the_folders_class(tmp_path: Path) -> None:
    root = write_fss(tmp_path / "fss", {"zebra": 2, "abacus": 1})
    data = open_data(root, "fss", cache=tmp_path / "cache")
    assert data.classes == {1: "abacus", 2: "zebra"}
    assert data.ids_of(2) == ("zebra/1", "zebra/2")
    classes, _ = data.sample("zebra/1").read_classes()
    assert classes.ndim == 2, "the files are in colour, white and black"
    assert set(np.unique(classes)) == {0, 2}


def test_saliencies_are_stretched_over_their_photo_and_unknown_between_the_limits(tmp_path: Path) -> None:
    photo = tmp_path / "photos" / "caltech101" / "wild_cat_0007.jpg"
    mask = tmp_path / "rough" / "masks" / "wild_cat" / "image_0007.png"
    for path, pixels in (
        (photo, np.zeros((60, 90, 3), np.uint8)),
        (mask, np.repeat(np.array([[0, 6, 15]], np.uint8), 3, 0).repeat(10, 0).repeat(10, 1)),
    ):
        path.parent.mkdir(parents=True)
        Image.fromarray(pixels).save(path)
    data = open_data(tmp_path / "rough", "saliency", cache=tmp_path / "cache")
    assert data.classes == {1: "wild cat"}
    classes, ignore = data.sample("wild_cat_0007").read_classes()
    assert classes.shape == (60, 90)
    assert not classes[:, :50].any()
    assert (classes[:, 65:] == 1).all()
    assert ignore[:, 35:55].all()
    assert not ignore[:, :25].any()


def test_class_numbers_above_255_survive(tmp_path: Path) -> None:
    root = write_fss(tmp_path / "fss", {f"c{i:03d}": 1 for i in range(257)})
    sample = open_data(root, "fss", cache=tmp_path / "cache").sample("c256/1")
    classes, ignore = sample.read_classes()
    assert classes.max() == 257
    assert not ignore.any()


def test_masks_of_sixteen_bits_keep_their_numbers(tmp_path: Path) -> None:
    values = np.array([[0, 300], [7, 255]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    classes, ignore = read_label(MaskFile(tmp_path / "a.png", frozenset({7, 300})))
    assert classes.tolist() == [[0, 300], [7, 0]]
    assert ignore.tolist() == [[False, False], [False, True]]


def polygon(top: int, left: int, bottom: int, right: int) -> list[list[float]]:
    return [[left, top, right, top, right, bottom, left, bottom]]


def test_coco_reads_polygons_and_both_kinds_of_run_lengths_alike(tmp_path: Path) -> None:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[10:40, 20:70] = True
    counts = coco_counts(mask)
    outlines = [
        polygon(10, 20, 40, 70),
        {"size": [SIDE, SIDE], "counts": counts.tolist()},
        {"size": [SIDE, SIDE], "counts": to_string(counts)},
    ]
    for i, outline in enumerate(outlines):
        root = write_coco(tmp_path / str(i), [{"category_id": 17, "segmentation": outline}])
        sample = open_data(root, "coco", cache=tmp_path / "cache").samples[0]
        np.testing.assert_array_equal(sample.read_mask(17)[0], mask)
        assert sample.areas == {17: 1500}


def test_coco_takes_every_class_number_that_sixteen_bits_hold(tmp_path: Path) -> None:
    for number in (1, 65_535):
        assert _shape({"category_id": number, "segmentation": polygon(0, 0, 9, 9)}).class_id == number
    for number in (0, 65_536):
        with pytest.raises(ValueError, match="category_id"):
            _shape({"category_id": number, "segmentation": []})


def test_coco_lays_later_objects_on_top(tmp_path: Path) -> None:
    annotations = [
        {"category_id": 18, "segmentation": polygon(0, 0, 20, 20)},
        {"category_id": 17, "segmentation": polygon(0, 0, 40, 40)},
        {"category_id": 1, "segmentation": polygon(10, 10, 20, 20)},
    ]
    data = open_data(write_coco(tmp_path / "coco", annotations), "coco", cache=tmp_path / "cache")
    assert data.samples[0].areas == {1: 100, 17: 1500, 18: 0}
    assert data.without(["dog"]).samples == ()  # hidden, but marked


@pytest.mark.parametrize("crowd", ["ignore", "background"])
def test_crowds_count_for_no_class(tmp_path: Path, crowd: str) -> None:
    annotations = [
        {"category_id": 1, "segmentation": polygon(0, 0, 60, 60), "iscrowd": 1},
        {"category_id": 17, "segmentation": polygon(0, 0, 10, 10)},
    ]
    root = write_coco(tmp_path / "coco", annotations)
    sample = open_data(root, "coco", cache=tmp_path / "cache", crowd=crowd).samples[0]
    mask, ignore = sample.read_mask(1)
    assert not mask.any()
    assert ignore.sum() == (3500 if crowd == "ignore" else 0)
    assert sample.areas == {1: 0, 17: 100}


def test_official_coco_folders_and_split_names_are_found(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "coco", [{"category_id": 17, "segmentation": polygon(0, 0, 50, 50)}])
    (root / "images").rename(root / "val2014")
    table = json.loads((root / "annotations" / "instances.json").read_text())
    del table["images"][0]["split"]
    (root / "annotations" / "instances.json").unlink()
    (root / "annotations" / "instances_val2014.json").write_text(json.dumps(table))
    data = open_data(root, "coco", split="val2014", cache=tmp_path / "cache")
    assert [s.split for s in data.samples] == ["val2014"]


def test_upright_size_is_what_a_mask_must_have(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", {"val": [{CAT: block()}]})
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    lying = Image.fromarray(np.zeros((40, 80, 3), np.uint8))
    lying.save(root / "JPEGImages" / "val_000.jpg", exif=exif)
    Image.fromarray(np.zeros((80, 40), np.uint8)).save(root / "SegmentationClass" / "val_000.png")
    assert open_data(root, "voc", cache=tmp_path / "cache").samples[0].read_image().shape == (80, 40, 3)


def test_index_is_read_again_and_remade_when_a_mask_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, cache = write_voc(tmp_path / "voc", {"val": [{CAT: block()}]}), tmp_path / "cache"
    open_data(root, "voc", cache=cache)
    assert not capsys.readouterr().err
    open_data(root, "voc", cache=tmp_path / "other", progress=True)
    assert "measuring masks" in capsys.readouterr().err
    (stored,) = (cache / "index").iterdir()
    text = stored.read_text()
    stored.write_text(text.replace("3136", "4242"))
    assert open_data(root, "voc", cache=cache).samples[0].areas == {CAT: 4242}
    stored.write_text(text[:-20])
    assert open_data(root, "voc", cache=cache).samples[0].areas == {CAT: 3136}
    Image.fromarray(class_map({DOG: block(0, 0, 50)})).save(root / "SegmentationClass" / "val_000.png")
    assert open_data(root, "voc", cache=cache).samples[0].areas == {DOG: 2500}


def test_samples_travel_between_processes(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "coco", [{"category_id": 17, "segmentation": polygon(0, 0, 50, 50)}])
    sample = open_data(root, "coco", cache=tmp_path / "cache").samples[0]
    copy = pickle.loads(pickle.dumps(sample))
    np.testing.assert_array_equal(copy.read_mask(17)[0], sample.read_mask(17)[0])


def test_without_drops_every_picture_with_one_pixel_of_a_class(tmp_path: Path) -> None:
    entries = [{CAT: block()}, {COW: block(), CAT: (0, 0, 1, 1)}, {COW: block()}]
    data = open_data(write_voc(tmp_path / "voc", {"train": entries}), "voc", cache=tmp_path / "cache")
    assert [s.id for s in data.without(["cat", "unicorn"]).samples] == ["train_002"]


def broken(root: Path, how: str) -> Path:
    write_voc(root, {"val": [{CAT: block()}, {DOG: block()}]})
    mask, image = root / "SegmentationClass" / "val_001.png", root / "JPEGImages" / "val_001.jpg"
    if how == "no mask":
        mask.unlink()
    elif how == "no picture":
        image.unlink()
    elif how == "sizes":
        picture({}, size=(50, 60)).save(image)
    elif how == "value":
        Image.fromarray(class_map({77: block()})).save(mask)
    elif how == "colour":
        picture({DOG: block()}).save(mask)
    elif how == "text":
        mask.write_text("not a picture")
    elif how == "cut":
        mask.write_bytes(mask.read_bytes()[:60])
    return root


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no mask", r"have no mask; the first is '.*SegmentationClass/val_001.png'"),
        ("no picture", r"have no picture; the first is '.*JPEGImages/val_001.jpg'"),
        ("sizes", r"val_001.jpg' is 50 x 60 .*val_001.png' 96 x 96"),
        ("value", r"val_001.png' holds the value 77"),
        ("colour", r"val_001.png' is in colour"),
        ("text", r"val_001.png' cannot be read"),
        ("cut", r"val_001.png' cannot be read"),
    ],
)
def test_a_bad_file_is_named_before_work_starts(tmp_path: Path, how: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_data(broken(tmp_path / "voc", how), "voc", cache=tmp_path / "cache")
    assert not (tmp_path / "cache" / "index").exists()


@pytest.mark.parametrize(
    ("layout", "needed"),
    [
        ("voc", "ImageSets"),
        ("coco", "instances"),
        ("folder", "labels.csv"),
        ("fss", "1.jpg"),
        ("saliency", "NAME_1.png"),
    ],
)
def test_a_folder_that_is_no_data_set_says_what_it_lacks(tmp_path: Path, layout: str, needed: str) -> None:
    with pytest.raises(InputError, match=f"no data set of layout {layout}.*{needed}"):
        open_data(tmp_path, layout, cache=tmp_path / "cache")


def test_unknown_layout_split_class_and_folder_are_named(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "voc", {"val": [{CAT: block()}]})
    with pytest.raises(UnknownName, match=r"layout 'yolo'. Known: voc, coco, folder, fss, saliency"):
        open_data(root, "yolo", cache=tmp_path / "cache")
    with pytest.raises(UnknownName, match=r"split 'test'. Known: val"):
        open_data(root, "voc", split="test", cache=tmp_path / "cache")
    with pytest.raises(InputError, match="There is no folder"):
        open_data(tmp_path / "nowhere", "voc", cache=tmp_path / "cache")
    data = open_data(root, "voc", cache=tmp_path / "cache")
    with pytest.raises(UnknownName, match=r"class 'couch'. Known: aeroplane"):
        data.class_ids(["couch"])
    with pytest.raises(InputError, match="no picture 'x'"):
        data.sample("x")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("../secret.png,masks/a.png,,3=belt", "not inside its folder"),
        ("/etc/passwd,masks/a.png,,3=belt", "not inside its folder"),
        ("images/a.png,masks/gone.png,,3=belt", "names the mask .*gone.png', which is not there"),
        ("images/a.png,masks/a.png,,belt", "Write a number and a name"),
        ("images/a.png,masks/a.png,,255=void", "Write a number and a name"),
        ("images/a.png,masks/a.png,,3=shoe", "calls class 3 both 'shoe' and 'belt'"),
        ("images/a.png,masks/a.png,,3=belt\nimages/a.png,masks/a.png,,3=belt", "two rows"),
    ],
)
def test_bad_rows_of_a_table_are_told(tmp_path: Path, row: str, said: str) -> None:
    root = write_folder(tmp_path / "set", [("a", "", {3: block()}), ("b", "", {3: block()})], {3: "belt"})
    lines = (root / "labels.csv").read_text().splitlines()
    (root / "labels.csv").write_text("\n".join([lines[0], row, lines[2]]))
    with pytest.raises(InputError, match=said):
        open_data(root, "folder", cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("outline", "said"),
    [
        ({"size": [SIDE, SIDE], "counts": [5, 5]}, "does not fit its picture"),
        ({"size": [SIDE, SIDE], "counts": "P"}, "damaged or cut short"),
        ({"size": [SIDE, SIDE]}, "not a COCO instances file"),
    ],
)
def test_bad_coco_objects_are_told_with_their_file(tmp_path: Path, outline: dict, said: str) -> None:
    root = write_coco(tmp_path / "coco", [{"category_id": 17, "segmentation": outline}])
    with pytest.raises(InputError, match=said) as caught:
        open_data(root, "coco", cache=tmp_path / "cache")
    assert "instances.json" in str(caught.value)


def test_coco_sizes_are_compared_before_any_outline_is_drawn(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "coco", [{"category_id": 17, "segmentation": polygon(0, 0, 9, 9)}])
    path = root / "annotations" / "instances.json"
    path.write_text(path.read_text().replace(f'"height": {SIDE}', '"height": 900000000'))
    with pytest.raises(InputError, match=r"7.jpg' is 96 x 96"):
        open_data(root, "coco", cache=tmp_path / "cache")


def test_counts_of_an_official_split_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [{CAT: block()}, {DOG: block()}, {DOG: block(0, 0, 20)}]
    root = write_voc(tmp_path / "voc", {"val": entries})
    data = open_data(root, "voc", split="val", cache=tmp_path / "cache")
    folds = [pascal_fold(i).novel for i in range(4)]
    wrong = check_counts(data, folds)
    assert [c.found for c in wrong[:5]] == [3, 0, 1, 1, 0]
    assert not any(count.right for count in wrong)
    monkeypatch.setitem(OFFICIAL, ("voc", "val"), Official(3, {"area": (0, 1, 1, 0)}))
    assert all(count.right for count in check_counts(data, folds))
    unnamed = open_data(root, "voc", cache=tmp_path / "cache")
    assert check_counts(unnamed, folds) == []


@pytest.mark.weights
def test_real_voc_has_the_counts_that_its_sources_state(real_data: Path, real_cache: Path) -> None:
    root = real_data / "voc"
    with (root / "class_counts.csv").open(newline="") as file:
        stated = {row["class"]: row for row in csv.DictReader(file)}
    for split in ("train", "val"):
        data = open_data(root, "voc", split=split, cache=real_cache)
        found = {name: len(data.ids_of(class_id)) for class_id, name in data.classes.items()}
        assert found == {name: int(row[split]) for name, row in stated.items()}


@pytest.mark.weights
@pytest.mark.parametrize(
    ("name", "layout", "count"),
    [("coco", "coco", 586), ("horses", "folder", 116), ("camvid", "folder", 51), ("ccp", "folder", 121)],
)
def test_real_sets_of_every_layout_open_and_read(
    real_data: Path, real_cache: Path, name: str, layout: str, count: int
) -> None:
    data = open_data(real_data / name, layout, cache=real_cache)
    assert len(data.samples) == count
    for sample in data.samples[:: count // 5]:
        classes, ignore = sample.read_classes()
        assert classes.shape == ignore.shape == sample.read_image().shape[:2]
        areas = Counter(classes.ravel().tolist())
        assert {c: areas[c] for c in sample.areas} == sample.areas


def test_only_training_pictures_that_mini_was_kept_from_choose(tmp_path):
    root = write_voc(
        tmp_path / "voc", {"train": [{CAT: block(8, 20)}] * 60, "val": [{CAT: block(8, 20)}] * 3}
    )
    data = open_data(root, "voc", split="train", cache=tmp_path / "cache")
    kept = {s.id for s in held_out(data).samples}
    assert kept == {s.id for s in data.samples if fraction(s.id) < 0.06}
    assert 0 < len(kept) < 15
    with pytest.raises(InputError, match="Only VOC"):
        held_out(open_data(root, "voc", split="val", cache=tmp_path / "cache"))


def test_only_coco_pictures_that_mini_never_saw_measure(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "coco", [{"category_id": 17, "segmentation": polygon(0, 0, 50, 50)}])
    data = open_data(root, "coco", cache=tmp_path / "cache")
    (sample,) = data.samples
    share, hidden = split_rule()["share"]["coco"], split_rule()["coco_classes_without_masks"][0]
    names = [next(str(i) for i in range(99) if (fraction(str(i)) < share) == low) for low in (True, False)]
    samples = tuple(replace(sample, id=n, image=sample.image.with_stem(n)) for n in names)
    both = replace(data, samples=samples)
    assert [s.id for s in never_trained(both).samples] == names[:1]
    shown = replace(both, classes={**data.classes, 17: hidden})  # every picture shows a class kept out
    assert [s.id for s in never_trained(shown).samples] == names
    voc = write_voc(tmp_path / "voc", {"val": [{CAT: block(8, 20)}] * 3})
    with pytest.raises(InputError, match="layout coco"):
        never_trained(open_data(voc, "voc", split="val", cache=tmp_path / "cache"))
