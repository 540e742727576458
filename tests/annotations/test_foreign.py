"""Files as CVAT, Label Studio, ultralytics, Roboflow and COCO panoptic write them, rebuilt small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from drawn import blob

from lfss.annotations import FORMATS
from lfss.annotations.report import Report
from lfss.annotations.rle import brush
from lfss.drafts import Draft
from lfss.errors import InputError

SIZE = (40, 60)
PERCENT = np.array((100 / 60, 100 / 40))


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.as_posix())).integers(0, 255, (*SIZE, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(path)
    return path


def read(form: str, path: Path, **options: object) -> tuple[dict[tuple[str, str], Draft], Report]:
    report = Report()
    drafts = FORMATS[form].read(path, report=report, **options)
    return {(d.image_name, d.label): d for d in drafts}, report


# CVAT for images


def cvat(folder: Path, shapes: str, name: str = "cam1/a.jpg") -> Path:
    (folder / "annotations.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><job/></meta>'
        f'<image id="0" name="{name}" width="60" height="40">{shapes}</image></annotations>'
    )
    return folder


@pytest.mark.parametrize(
    ("shape", "pixels"),
    [
        ('<polygon label="dog" points="10.00,10.00;20.00,10.00;20.00,20.00;10.00,20.00"/>', 100),
        ('<box label="dog" xtl="10" ytl="10" xbr="20" ybr="30"/>', 200),
        ('<box label="dog" xtl="10" ytl="10" xbr="20" ybr="30" rotation="90"/>', 200),
        ('<mask label="dog" rle="1, 2, 3" left="5" top="6" width="3" height="2"/>', 2),
        ('<mask label="dog" rle="0, 6" left="58" top="6" width="3" height="2"/>', 4),
    ],
)
def test_shapes_of_cvat_are_drawn(shape: str, pixels: int, tmp_path: Path) -> None:
    found, report = read("cvat", cvat(tmp_path, shape))
    draft = found["a.jpg", "dog"]
    assert (draft.mask.sum(), draft.status, draft.origin.model) == (pixels, "accepted", "person")
    assert not report.left_out


def test_a_turned_box_and_an_ellipse_of_cvat_lie_where_cvat_draws_them(tmp_path: Path) -> None:
    box = '<box label="dog" xtl="10" ytl="10" xbr="20" ybr="30" rotation="90"/>'
    found, _ = read("cvat", cvat(tmp_path, box))
    assert found["a.jpg", "dog"].mask[15:25, 5:25].all()
    ellipse = '<ellipse label="dog" cx="30" cy="20" rx="20" ry="5" rotation="90"/>'
    found, _ = read("cvat", cvat(tmp_path, ellipse))
    rows, columns = (np.flatnonzero(found["a.jpg", "dog"].mask.any(axis)) for axis in (1, 0))
    assert (len(rows), len(columns)) == (40, 10)


def test_what_covers_no_area_in_cvat_costs_itself(tmp_path: Path) -> None:
    shapes = (
        '<polyline label="dog" points="1,1;5,5"/><points label="dog" points="1,1"/><tag label="sunny"/>'
        '<polygon label="dog" points="1,1;5,5"/>'
        '<mask label="dog" rle="5" left="1" top="1" width="3" height="3"/>'
        '<polygon label="cat" points="10,10;20,10;20,20;10,20"/>'
    )
    found, report = read("cvat", cvat(tmp_path, shapes))
    assert list(found) == [("a.jpg", "cat")]
    assert [line.split(":")[0] for line in report.left_out] == [
        f"'annotations.xml', 'cam1/a.jpg', shape {n} (dog)" for n in (1, 2, 3, 4)
    ]


def test_an_export_of_a_task_with_folders_finds_its_pictures(tmp_path: Path) -> None:
    shape = '<polygon label="dog" points="10,10;20,10;20,20;10,20"/>'
    photo(tmp_path / "images/cam2/a.jpg")
    picture = photo(tmp_path / "images/cam1/a.jpg")
    found, _ = read("cvat", cvat(tmp_path, shape))
    assert found["a.jpg", "dog"].image_path == picture


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><annotations>&a;</annotations>',
        "<annotations><image",
        "<osm/>",
        "no xml",
    ],
)
def test_hostile_or_damaged_xml_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(InputError, match=r"annotations\.xml"):
        FORMATS["cvat"].read(tmp_path)


def test_tracks_of_a_video_are_named(tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text('<annotations><track id="0" label="dog"/></annotations>')
    _, report = read("cvat", tmp_path)
    assert "1 tracks of a video" in report.left_out[0]


# YOLO

LINE = "{} 0.25 0.25 0.5 0.25 0.5 0.5 0.25 0.5\n"  # a square of 15 x 10 pixels


def yolo(folder: Path, layout: str, names: str = "names: [cat, dog]\n") -> Path:
    """A data set in one of the ways that tools lay it out: where labels and pictures of train and val go."""
    (folder / "data.yaml").write_text(names)
    for split in ("train", "val"):
        labels = folder / layout.format("labels", split)
        labels.mkdir(parents=True)
        (labels / "a.txt").write_text(LINE.format(1) if split == "train" else LINE.format(0))
        photo(folder / layout.format("images", split) / "a.jpg")
    return folder


@pytest.mark.parametrize("layout", ["{}/{}", "{1}/{0}"])
@pytest.mark.parametrize(
    "names", ["names: [cat, dog]\n", "names:\n  0: cat\n  1: dog\n", "names: {0: cat, '1': dog}"]
)
def test_data_sets_for_yolo_are_read_with_all_their_splits(layout: str, names: str, tmp_path: Path) -> None:
    report = Report()
    drafts = FORMATS["yolo"].read(yolo(tmp_path, layout, names), report=report)
    where = {(d.label, "train" in d.image_path.parts): d for d in drafts}
    assert set(where) == {("dog", True), ("cat", False)}
    assert where["dog", True].mask[10:20, 15:30].all()
    assert not report.left_out


def test_label_files_beside_the_names_of_labels_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/data.yaml").write_text("names: [cat, dog]\n")
    (tmp_path / "set/a.txt").write_text(LINE.format(1))
    photo(tmp_path / "photos/a.jpg")
    found, _ = read("yolo", tmp_path / "set", images=tmp_path / "photos")
    assert list(found) == [("a.jpg", "dog")]


def test_bad_lines_for_yolo_cost_themselves(tmp_path: Path) -> None:
    folder = yolo(tmp_path, "{}/{}")
    lines = [
        "1 0.5 0.5 0.2 0.2",
        "7 0.1 0.1 0.2 0.1 0.2 0.2",
        "1 10 10 20 10 20 20",
        "1 0.1 0.1 0.2",
        "x",
        "",
    ]
    (folder / "labels/train/a.txt").write_text("\n".join(lines) + "\n" + LINE.format(1))
    drafts, report = read("yolo", folder)
    assert drafts["a.jpg", "dog"].mask.sum() >= 150
    reasons = ["label number 7", "look like pixels", "x and y", "damaged", "1 boxes"]
    assert len(report.left_out) == 5
    assert all(reason in line for reason, line in zip(reasons, report.left_out))


def test_label_studio_s_yolo_export_names_its_labels_in_classes_txt(tmp_path: Path) -> None:
    folder = yolo(tmp_path, "{}/{}")
    (folder / "data.yaml").unlink()
    with pytest.raises(InputError, match=r"classes\.txt"):
        FORMATS["yolo"].read(folder)
    (folder / "classes.txt").write_text("cat\ndog\n")
    assert {label for _, label in read("yolo", folder)[0]} == {"cat", "dog"}


# Label Studio


def region(kind: str, value: dict, **more: object) -> dict:
    fields = {"id": "x", "type": kind, "original_width": 60, "original_height": 40, "image_rotation": 0}
    return fields | {"value": value | {kind: ["dog"]}} | more


SQUARE = (np.array([[10, 10], [20, 10], [20, 20], [10, 20]]) * PERCENT).tolist()
POLYGON = region("polygonlabels", {"points": SQUARE, "closed": True})


def tasks(
    folder: Path, *regions: dict, image: str = "/data/upload/4/3f9c21ab-a%20b.jpg", **task: object
) -> Path:
    file = folder / "export.json"
    annotation = {"id": 3, "completed_by": 1, "was_cancelled": False, "result": list(regions)}
    file.write_text(json.dumps([{"id": 1, "data": {"image": image}, "annotations": [annotation]} | task]))
    return file


@pytest.mark.parametrize(
    ("shape", "pixels"),
    [
        (POLYGON, 100),
        (region("rectanglelabels", {"x": 50, "y": 50, "width": 10, "height": 10, "rotation": 0}), 24),
        (region("ellipselabels", {"x": 50, "y": 50, "radiusX": 50, "radiusY": 50}), (1850, 1920)),
        (region("brushlabels", {"format": "rle", "rle": brush(blob(SIZE, 3))}), 960),
    ],
)
def test_regions_of_label_studio_are_drawn(shape: dict, pixels: object, tmp_path: Path) -> None:
    found, report = read("labelstudio", tasks(tmp_path, shape))
    draft = found["3f9c21ab-a b.jpg", "dog"]
    low, high = pixels if isinstance(pixels, tuple) else (pixels, pixels)
    assert low <= draft.mask.sum() <= high
    assert draft.status == "accepted"
    assert not report.left_out


@pytest.mark.parametrize(
    "image",
    [
        "/data/local-files/?d=cam1/a.jpg",
        "/data/upload/4/3f9c21ab-a.jpg",
        "s3://bucket/x/a.jpg?token=1",
        "a.jpg",
    ],
)
def test_the_addresses_of_label_studio_find_the_picture(image: str, tmp_path: Path) -> None:
    picture = photo(tmp_path / "photos/cam1/a.jpg")
    found, _ = read("labelstudio", tasks(tmp_path, POLYGON, image=image), images=tmp_path / "photos")
    assert found["a.jpg", "dog"].image_path == picture


def test_predictions_count_until_somebody_submits(tmp_path: Path) -> None:
    prediction = {"model_version": "sam", "score": 0.5, "result": [POLYGON]}
    found, _ = read("labelstudio", tasks(tmp_path, annotations=[], predictions=[prediction]))
    (draft,) = found.values()
    assert (draft.status, draft.origin.model, draft.score) == ("proposed", "sam", 0.5)
    other = region("rectanglelabels", {"x": 0, "y": 0, "width": 10, "height": 10})
    found, _ = read("labelstudio", tasks(tmp_path, other, predictions=[prediction]))
    (draft,) = found.values()
    assert (draft.status, draft.mask.sum()) == ("accepted", 24)


def test_what_the_model_proposed_is_accepted_by_whoever_submits_it(tmp_path: Path) -> None:
    proposed = POLYGON | {"meta": {"lfss": {"status": "proposed", "model": "mini"}}}
    edited = region("rectanglelabels", {"x": 0, "y": 0, "width": 10, "height": 10}) | {
        "meta": {"lfss": {"status": "edited", "model": "person"}}
    }
    edited["value"]["rectanglelabels"] = ["cat"]
    found, _ = read("labelstudio", tasks(tmp_path, proposed, edited))
    assert {label: draft.status for (_, label), draft in found.items()} == {
        "dog": "accepted", "cat": "edited",
    }  # fmt: skip


def test_a_label_from_a_control_of_its_own_is_that_of_the_region_with_its_number(tmp_path: Path) -> None:
    plain = {**POLYGON, "value": {"points": SQUARE, "closed": True}}
    labels = [
        {"id": number, "type": "labels", "value": {"labels": [label]}}
        for number, label in (("y", "cat"), ("x", "dog"))
    ]
    found, _ = read("labelstudio", tasks(tmp_path, plain, *labels))
    assert [label for _, label in found] == ["dog"]


def test_bad_regions_of_label_studio_cost_themselves(tmp_path: Path) -> None:
    keypoint = region("keypointlabels", {"x": 5, "y": 5})
    turned = POLYGON | {"image_rotation": 90}
    damaged = region("brushlabels", {"format": "rle", "rle": brush(blob(SIZE, 3))[:40]})
    small = region("brushlabels", {"format": "rle", "rle": brush(np.ones((5, 5), bool))})
    choice = {"type": "choices", "value": {"choices": ["good"]}}
    found, report = read("labelstudio", tasks(tmp_path, keypoint, turned, damaged, small, choice, POLYGON))
    (draft,) = found.values()
    assert draft.mask.sum() == 100
    assert [f"region {n} (dog)" in line for n, line in zip((1, 2, 3, 4), report.left_out)] == [True] * 4


# COCO panoptic


def panoptic(folder: Path, *segments: dict) -> Path:
    numbers = np.zeros((*SIZE, 3), np.uint8)
    numbers[2:6, 2:6] = (44, 1, 0)  # 300
    numbers[10:20, 10:20] = (7, 0, 0)
    numbers[30:33, 30:33] = (1, 0, 2)  # 131073
    (folder / "panoptic_val").mkdir()
    PIL.Image.fromarray(numbers).save(folder / "panoptic_val/a.png")
    data = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 40, "width": 60}],
        "categories": [{"id": 1, "name": "dog", "isthing": 1}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": list(segments)}],
    }
    (folder / "panoptic_val.json").write_text(json.dumps(data))
    return folder / "panoptic_val.json"


def test_segments_of_panoptic_are_read_and_bad_ones_cost_themselves(tmp_path: Path) -> None:
    segments = [{"id": 300, "category_id": 1}, {"id": 7, "category_id": 5}, {"id": 8, "category_id": 1}]
    segments.append({"id": 131073, "category_id": 1})
    found, report = read("coco-panoptic", panoptic(tmp_path, *segments))
    assert found["a.jpg", "dog"].mask.sum() == 16 + 9
    assert ["segment 7" in report.left_out[0], "segment 8" in report.left_out[1]] == [True, True]


def test_a_size_that_panoptic_leaves_open_is_that_of_the_png(tmp_path: Path) -> None:
    file = panoptic(tmp_path, {"id": 300, "category_id": 1})
    file.write_text(file.read_text().replace('"height": 40, "width": 60', '"height": null'))
    found, _ = read("coco-panoptic", file)
    assert found["a.jpg", "dog"].size == SIZE
