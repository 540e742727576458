"""What the files say, read with plain parsers; the real readers are in tests/roundtrip."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from drawn import a_draft, blob, mask

from lfss.annotations import (
    FORMATS,
    coco,
    coco_results,
    cvat,
    format_of,
    labelme,
    labelstudio,
    png,
    voc,
    yolo,
)
from lfss.annotations.palette import colours
from lfss.annotations.pieces import pieces
from lfss.drafts import Draft, Origin
from lfss.errors import ExportError, InputError, UnknownName

ODD = "ca\"t's <b>/ñ & 猫 🐈"
SPECK = mask(
    "............", ".####.......", ".#..#.....#.", ".#..#.......", ".####.......", *["............"] * 5
)


def scene() -> list[Draft]:
    """Two labels that overlap on one picture, an absent object, a rejected draft, one by hand."""
    return [
        a_draft("1.jpg", "dog", SPECK),
        a_draft("1.jpg", ODD, SPECK[:, ::-1], status="edited", score=None),
        a_draft("2.jpg", "dog", status="absent"),
        a_draft("3.jpg", "dog", status="rejected"),
        a_draft("4.jpg", "dog", status="accepted", score=None, origin=Origin()),
    ]


def load(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def instances(folder: Path, **options) -> dict:
    coco.write(scene(), folder / "coco", **options)
    return load(folder / "coco/annotations/instances_default.json")


@pytest.mark.parametrize("rle", [False, True])
def test_coco_measures_are_those_of_the_mask_whatever_the_outline(tmp_path: Path, rle: bool) -> None:
    data = instances(tmp_path, rle=rle, objects="together")
    first = data["annotations"][0]
    assert (first["area"], first["bbox"], first["iscrowd"], first["score"]) == (13, [1, 1, 10, 4], 0, 0.75)
    assert [a["id"] for a in data["annotations"]] == [1, 2, 3]
    assert [i["id"] for i in data["images"]] == [1, 2, 3, 4]
    assert [c["name"] for c in data["categories"]] == ["dog", ODD]
    assert isinstance(first["segmentation"], dict if rle else list)


def test_coco_says_who_made_a_mask_and_how_well_its_outline_fits(tmp_path: Path) -> None:
    said = [a["attributes"] for a in instances(tmp_path, objects="together")["annotations"]]
    assert [s["status"] for s in said] == ["proposed", "edited", "accepted"]
    assert said[0]["model"] == "mini 0.1.0"
    assert said[0]["prompt"] == "dog, puppy"
    assert said[0]["threshold"] == 0.4
    assert (said[0]["outline_iou"], said[2]["model"]) == (1.0, "person")
    assert said[0]["outline_vertices"] >= 8


def test_coco_lists_absent_labels_with_their_picture(tmp_path: Path) -> None:
    images = instances(tmp_path)["images"]
    assert images[1]["lfss"]["absent"] == ["dog"]
    assert "absent" not in images[2]["lfss"], "rejected is not absent"


def test_objects_that_touch_by_a_neck_are_parted_where_each_is_asked_for() -> None:
    shape = np.zeros((40, 90), bool)
    shape[5:35, 5:40] = shape[5:35, 50:85] = shape[19:21] = True
    shape[:, :5] = shape[:, 85:] = False
    drawn = a_draft(shape=shape)
    counts = {how: len(list(pieces(drawn, how))) for how in ("together", "parts", "each")}
    assert counts == {"together": 1, "parts": 1, "each": 2}
    joined = a_draft(shape=shape, objects=shape.astype(np.uint16))
    assert len(list(pieces(joined, "each"))) == 1, "a person has said that it is one"


def test_coco_leaves_out_an_object_whose_parts_are_all_too_small(tmp_path: Path) -> None:
    assert len(instances(tmp_path, min_part=50)["annotations"]) == 1


def test_results_take_their_numbers_from_the_ground_truth(tmp_path: Path) -> None:
    truth = {
        "images": [{"id": 70 + n, "file_name": f"val/{n}.jpg"} for n in (4, 3, 2, 1)],
        "categories": [{"id": 8, "name": ODD}, {"id": 5, "name": "dog"}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    coco_results.write(scene(), tmp_path / "out", match=tmp_path / "truth.json", objects="together")
    results = load(tmp_path / "out/results.json")
    assert [(r["image_id"], r["category_id"], r["score"]) for r in results] == [
        (71, 5, 0.75),
        (71, 8, 1.0),
        (74, 5, 1.0),
    ]
    assert all(isinstance(r["segmentation"]["counts"], str) and "bbox" not in r for r in results)


def test_results_without_a_ground_truth_are_numbered_from_one(tmp_path: Path) -> None:
    coco_results.write(scene(), tmp_path / "out", objects="together")
    results = load(tmp_path / "out/results.json")
    assert [(r["image_id"], r["category_id"]) for r in results] == [(1, 1), (1, 2), (4, 1)]


@pytest.mark.parametrize(("lacks", "named"), [("images", "1.jpg"), ("categories", "dog")])
def test_results_for_another_ground_truth_are_refused(tmp_path: Path, lacks: str, named: str) -> None:
    truth = {
        "images": [{"id": n, "file_name": f"{n}.jpg"} for n in (1, 2, 3, 4)],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": ODD}],
    }
    truth[lacks] = truth[lacks][1:]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    with pytest.raises(ExportError, match=named):
        coco_results.write(scene(), tmp_path / "out", match=tmp_path / "truth.json")


def test_panoptic_covers_what_lies_below_and_leaves_out_what_is_covered_wholly(tmp_path: Path) -> None:
    full = np.ones((10, 12), bool)
    drafts = [a_draft("1.jpg", "dog", SPECK), a_draft("1.jpg", "sky", full), a_draft("2.jpg", "dog", SPECK)]
    FORMATS["coco-panoptic"].write(drafts, tmp_path / "out")
    data = load(tmp_path / "out/annotations/panoptic_default.json")
    first, second = data["annotations"]
    assert [(s["category_id"], s["area"]) for s in first["segments_info"]] == [(2, 120)]
    assert [(s["category_id"], s["area"]) for s in second["segments_info"]] == [(1, 13)]
    with PIL.Image.open(tmp_path / "out/annotations/panoptic_default/2.png") as colours_of:
        assert colours_of.mode == "RGB"
        number = second["segments_info"][0]["id"]
        np.testing.assert_array_equal(np.array(colours_of) @ (1, 256, 65536) == number, SPECK)


def test_panoptic_numbers_above_255_use_the_other_channels(tmp_path: Path) -> None:
    drafts = []
    for n in range(300):
        shape = np.zeros((20, 20), bool)
        shape[n // 20, n % 20] = True
        drafts.append(a_draft("1.jpg", "dog", shape))
    FORMATS["coco-panoptic"].write(drafts, tmp_path / "out")
    with PIL.Image.open(tmp_path / "out/annotations/panoptic_default/1.png") as picture:
        numbers = np.array(picture) @ (1, 256, 65536)
    assert sorted(np.unique(numbers)) == list(range(301))


def test_cvat_declares_labels_and_tells_who_made_a_mask(tmp_path: Path) -> None:
    cvat.write(scene(), tmp_path / "out", objects="together")
    root = ElementTree.parse(tmp_path / "out/annotations.xml").getroot()
    assert [e.text for e in root.findall("meta/task/labels/label/name")] == ["dog", ODD]
    images = root.findall("image")
    assert [i.get("name") for i in images] == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert [(i.get("width"), i.get("height")) for i in images] == [("12", "10")] * 4
    shapes = root.findall("image/mask")
    assert [s.get("source") for s in shapes] == ["auto", "semi-auto", "manual"]
    assert [s.get("z_order") for s in shapes] == ["0", "1", "0"]
    assert {a.get("name"): a.text for a in shapes[0]}["status"] == "proposed"
    assert {k: shapes[0].get(k) for k in ("left", "top", "width", "height")} == {
        "left": "1", "top": "1", "width": "10", "height": "4",
    }  # fmt: skip
    assert shapes[0].get("rle").split(",")[0] == "0", "the crop begins with the object"


def test_voc_maps_hold_labels_and_objects_in_vocs_colours(tmp_path: Path) -> None:
    voc.write(scene(), tmp_path / "out")
    lines = (tmp_path / "out/labelmap.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [
        "# label:color_rgb:parts:actions", "background:0,0,0::", "dog:128,0,0::", f"{ODD}:0,128,0::",
    ]  # fmt: skip
    listed = (tmp_path / "out/ImageSets/Segmentation/default.txt").read_text().split()
    assert listed == ["1", "2", "3", "4"]
    with PIL.Image.open(tmp_path / "out/SegmentationClass/1.png") as classes:
        assert classes.mode == "P"
        np.testing.assert_array_equal(np.array(classes) == 2, SPECK[:, ::-1])
        np.testing.assert_array_equal(np.array(classes) == 1, SPECK & ~SPECK[:, ::-1])
    with PIL.Image.open(tmp_path / "out/SegmentationClass/3.png") as classes:
        assert not np.array(classes).any()


def test_vocs_colours_are_the_known_ones() -> None:
    table = colours()
    assert len(set(table)) == 256
    assert (table[1], table[15], table[20], table[255]) == (
        (128, 0, 0), (192, 128, 128), (0, 64, 128), (224, 224, 192),
    )  # fmt: skip


@pytest.mark.parametrize("label", ["a:b", "#dog", "Background"])
def test_labels_that_mean_something_else_in_a_labelmap_are_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(ExportError, match="labelmap"):
        voc.write([a_draft(label=label)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_labels_than_a_byte_holds_are_refused_by_maps_alone(tmp_path: Path) -> None:
    drafts = [a_draft("1.jpg", f"label {n}", SPECK) for n in range(256)]
    for write in (voc.write, png.write):
        with pytest.raises(ExportError, match="256"):
            write(drafts, tmp_path / "out")
    png.write(drafts, tmp_path / "out", separate=True)
    assert len(list((tmp_path / "out/masks").iterdir())) == 256


def test_png_legend_says_values_colours_states_and_digests(tmp_path: Path) -> None:
    png.write(scene(), tmp_path / "out")
    legend = load(tmp_path / "out/legend.json")
    assert legend["labels"][1] == {"value": 2, "name": ODD, "color": "#008000"}
    assert [p["name"] for p in legend["pictures"]] == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert legend["pictures"][1]["absent"] == ["dog"]
    assert [d["status"] for d in legend["pictures"][0]["drafts"]] == ["proposed", "edited"]
    with PIL.Image.open(tmp_path / "out/masks/1.png") as picture:
        assert picture.convert("RGB").getpixel((1, 1)) == (128, 0, 0)


def test_separate_png_masks_keep_overlaps_in_folders_with_safe_names(tmp_path: Path) -> None:
    png.write(scene(), tmp_path / "out", separate=True)
    folders = {e["name"]: e["folder"] for e in load(tmp_path / "out/legend.json")["labels"]}
    assert folders[ODD] == "ñ & 猫 🐈"
    for label, shape in (("dog", SPECK), (ODD, SPECK[:, ::-1])):
        with PIL.Image.open(tmp_path / "out/masks" / folders[label] / "1.png") as picture:
            assert picture.mode == "L"
            np.testing.assert_array_equal(np.array(picture), np.where(shape, 255, 0))


def test_label_folders_that_would_fall_together_are_told_apart(tmp_path: Path) -> None:
    drafts = [a_draft("1.jpg", "a/b", SPECK), a_draft("1.jpg", "c/b", SPECK[:, ::-1])]
    png.write(drafts, tmp_path / "out", separate=True)
    assert sorted(p.name for p in (tmp_path / "out/masks").iterdir()) == ["b-1", "b-2"]


def test_label_studio_configuration_lists_labels_and_tasks_list_every_picture(tmp_path: Path) -> None:
    labelstudio.write(scene(), tmp_path / "out", prefix="/data/local-files/?d=my photos/")
    root = ElementTree.parse(tmp_path / "out/labeling_config.xml").getroot()
    assert [e.get("value") for e in root.iter("Label")] == ["dog", ODD]
    tasks = load(tmp_path / "out/tasks.json")
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=my photos/1.jpg"
    assert tasks[0]["data"]["lowest_score"] == 0.75
    assert tasks[1]["data"]["absent"] == "dog"
    assert (tasks[2]["predictions"], tasks[2]["annotations"]) == ([], [])
    assert tasks[0]["predictions"][0]["result"][0]["meta"]["text"] == [
        "proposed, made by mini 0.1.0, score 0.75"
    ]


def test_label_studio_names_are_quoted_as_addresses(tmp_path: Path) -> None:
    labelstudio.write([a_draft("50% größe #1&2.jpg")], tmp_path / "out", prefix="http://x/")
    assert (
        load(tmp_path / "out/tasks.json")[0]["data"]["image"]
        == "http://x/50%25%20gr%C3%B6%C3%9Fe%20%231%262.jpg"
    )


def test_label_studio_polygons_stay_within_the_percent_that_it_takes(tmp_path: Path) -> None:
    labelstudio.write([a_draft(shape=np.ones((10, 12), bool))], tmp_path / "out", shapes="polygon")
    value = load(tmp_path / "out/tasks.json")[0]["predictions"][0]["result"][0]["value"]
    points = np.array(value["points"])
    assert points.min() >= 0
    assert points.max() == 100
    assert np.array_equal(points, points.round(6))
    assert value["closed"] is True


def test_label_studio_polygons_leave_no_part_out_unless_asked_to(tmp_path: Path) -> None:
    labelstudio.write(scene(), tmp_path / "out", shapes="polygon")
    regions = load(tmp_path / "out/tasks.json")[0]["predictions"][0]["result"]
    assert len(regions) == 2, "the speck is a part of one pixel"


def test_labelme_masks_are_crops_with_inclusive_boxes(tmp_path: Path) -> None:
    labelme.write(scene(), tmp_path / "out", objects="together")
    data = load(tmp_path / "out/1.json")
    assert (data["imagePath"], data["imageHeight"], data["imageWidth"]) == ("1.jpg", 10, 12)
    assert data["shapes"][0]["points"] == [[1, 1], [10, 4]]
    assert data["shapes"][0]["flags"] == {"proposed": True}
    assert [s["label"] for s in data["shapes"]] == ["dog", ODD]
    assert load(tmp_path / "out/2.json")["shapes"] == []


def test_labelme_polygons_of_one_object_share_a_group(tmp_path: Path) -> None:
    labelme.write(scene(), tmp_path / "out", shapes="polygon", objects="together")
    assert [s["group_id"] for s in load(tmp_path / "out/1.json")["shapes"]] == [1, 1, 2, 2]
    assert [s["group_id"] for s in load(tmp_path / "out/4.json")["shapes"]] == [None]


def test_yolo_has_a_line_for_each_part_and_an_empty_file_for_none(tmp_path: Path) -> None:
    yolo.write(scene(), tmp_path / "out")
    lines = (tmp_path / "out/labels/train/1.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "0", "1", "1"]
    values = np.array([float(v) for line in lines for v in line.split()[1:]])
    assert values.min() >= 0
    assert values.max() < 1
    assert (tmp_path / "out/labels/train/2.txt").read_text() == ""


def test_yolo_keeps_every_pixel_of_what_a_person_called_an_object(tmp_path: Path) -> None:
    numbers = np.where(SPECK, 1, 0).astype(np.uint16)
    numbers[2, 10] = 2  # the speck, which nobody would keep otherwise
    shape = SPECK.copy()
    yolo.write([a_draft(shape=shape, objects=numbers)], tmp_path / "out")
    assert len((tmp_path / "out/labels/train/dog.txt").read_text().splitlines()) == 2


def test_yolo_draws_no_line_to_a_crumb(tmp_path: Path) -> None:
    shape = np.zeros((30, 40), bool)
    shape[2:22, 2:22] = shape[25:27, 36] = True  # 400 pixels, and 2 of them
    yolo.write([a_draft(shape=shape)], tmp_path / "out")
    (line,) = (tmp_path / "out/labels/train/dog.txt").read_text().splitlines()
    assert max(map(float, line.split()[1::2])) * 40 < 23


def test_yolo_settings_are_yaml_whatever_the_label(tmp_path: Path) -> None:
    yolo.write(
        [a_draft(label=ODD), a_draft("2.jpg", label="no: yes"), a_draft("3.jpg", "1")], tmp_path / "out"
    )
    text = (tmp_path / "out/data.yaml").read_text(encoding="utf-8")
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(text)["names"] == {0: ODD, 1: "no: yes", 2: "1"}


def test_settings_out_of_range_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    for name in ("coco", "yolo", "labelme", "labelstudio"):
        with pytest.raises(InputError):
            FORMATS[name].write(scene(), tmp_path / "out", detail=99)
    for name in ("labelme", "labelstudio"):
        with pytest.raises(UnknownName, match="circle"):
            FORMATS[name].write(scene(), tmp_path / "out", shapes="circle")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_drafts_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    drafts = [*scene(), a_draft("5.jpg", "dog", blob((10, 12), 2))]
    for folder in ("one", "two"):
        FORMATS[name].write(drafts, tmp_path / folder)
    for file in (tmp_path / "one").rglob("*"):
        if file.is_file():
            twin = tmp_path / "two" / file.relative_to(tmp_path / "one")
            assert file.read_bytes() == twin.read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_says_what_it_takes_and_how_to_import_it(name: str) -> None:
    form = format_of(name)
    assert form.name == name
    assert "labels" in form.options
    assert form.accepted({"labels": None, "no such": 1}) == {"labels": None}
    assert form.hint.endswith(".")
    assert (form.polygons is not None) == ("detail" in form.options)


def test_an_unknown_format_lists_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"coco.*png"):
        format_of("tiff")
