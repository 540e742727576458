"""One bad entry costs that entry: the rest comes in, and a sentence names file, annotation and reason."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from drawn import png_bytes

from lfss.annotations import FORMATS, coco, labelme, png, voc
from lfss.annotations.reading import check_pixels
from lfss.annotations.report import Report
from lfss.drafts import Draft
from lfss.errors import InputError

SIZE = (40, 60)
SQUARE = [10, 10, 20, 10, 20, 20, 10, 20]


def photo(path: Path, size: tuple[int, int] = SIZE, *, orientation: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = PIL.Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    seed = sum(path.as_posix().encode())
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(path, exif=exif)
    return path


def dumped(path: Path, data: object, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(json.dumps(data, ensure_ascii=False).encode(encoding))
    return path


def coco_data(*annotations: dict, **image: object) -> dict:
    """A file with the given annotations of a.jpg, and a square of b.jpg."""
    shapes = [*annotations, {"image_id": 2, "segmentation": [SQUARE]}]
    return {
        "images": [
            {"id": 1, "file_name": "a.jpg", "height": 40, "width": 60} | image,
            {"id": 2, "file_name": "b.jpg", "height": 40, "width": 60},
        ],
        "categories": [{"id": 3, "name": "dog"}, {"id": 4, "name": " "}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 3} | s for n, s in enumerate(shapes, start=7)
        ],
    }


def labelme_data(*shapes: dict, **head: object) -> dict:
    first = {"label": "dog", "points": [[10, 10], [20, 10], [20, 20], [10, 20]], "shape_type": "polygon"}
    start = {"imagePath": "a.jpg", "imageHeight": 40, "imageWidth": 60}
    return start | head | {"shapes": [*shapes, first]}


def read(form: str, path: Path, **options: object) -> tuple[dict[str, Draft], Report]:
    report = Report()
    drafts = FORMATS[form].read(path, report=report, **options)
    return {d.image_name: d for d in drafts}, report


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ({"segmentation": [[1, 1, 5, 5]]}, "three points or more; it has 2"),
        ({"segmentation": [[1, 1]]}, "it has 1"),
        ({"segmentation": [[1, 1, 5, 1, 5]]}, "even count"),
        ({"segmentation": [[1, 1, 1e9, 1, 5, 5]]}, "cannot lie in a picture"),
        ({"segmentation": [["x", 1, 5, 1, 5, 5]]}, "damaged"),
        ({"segmentation": [[0.1, 0.1, 0.9, 0.1, 0.9, 0.9]]}, "between 0 and 1"),
        ({"segmentation": [[0, 0, 1, 0, 1, 1, 0, 1]]}, "between 0 and 1"),
        ({"segmentation": [[70, 10, 80, 10, 80, 20]]}, "covers no pixel"),
        ({"segmentation": [[-9, -9, -5, -9, -5, -5]]}, "covers no pixel"),
        ({"segmentation": {"size": [40, 60], "counts": [2400]}}, "covers no pixel"),
        ({"segmentation": {"size": [60, 40], "counts": [0, 2400]}}, r"\(width, height\)"),
        ({"segmentation": {"size": [40, 60], "counts": "!!"}}, "damaged"),
        ({"segmentation": {"size": [40, 60], "counts": [5]}}, "does not fit"),
        ({"segmentation": {"counts": [5]}}, "damaged"),
        ({"segmentation": [SQUARE], "category_id": 99}, "category_id 99"),
        ({"segmentation": [SQUARE], "category_id": 4}, "blank"),
    ],
)
def test_a_bad_coco_annotation_costs_itself(annotation: dict, reason: str, tmp_path: Path) -> None:
    file = dumped(tmp_path / "c.json", coco_data(annotation))
    found, report = read("coco", file)
    assert {n: d.mask.sum() for n, d in found.items()} == {"b.jpg": 100}
    (sentence,) = report.left_out
    assert sentence.startswith("'c.json', annotation 7 on 'a.jpg': ")
    assert re.search(reason, sentence), sentence
    with pytest.raises(InputError, match="annotation 7"):
        coco.read(file)


def test_an_annotation_of_no_image_and_boxes_alone_are_told(tmp_path: Path) -> None:
    data = coco_data({"image_id": 5, "segmentation": [SQUARE]}, {"bbox": [1, 1, 3, 3], "segmentation": [[]]})
    found, report = read("coco", dumped(tmp_path / "c.json", data))
    assert list(found) == ["b.jpg"]
    assert "image_id 5" in report.left_out[0]
    assert "1 annotations have no outline" in report.left_out[1]


def test_a_pixel_in_the_corner_is_no_share_of_the_picture_where_this_program_drew_it() -> None:
    corner = [np.array([[0, 0], [0.5, 0], [0.5, 0.5]], np.float32)]
    check_pixels(corner, SIZE, own=True)
    for rings, own in ((corner, False), ([corner[0] / 3], True)):
        with pytest.raises(InputError, match="between 0 and 1"):
            check_pixels(rings, SIZE, own=own)


def test_files_of_two_splits_have_their_pictures_in_folders_of_their_own(tmp_path: Path) -> None:
    for split in ("train", "val"):
        dumped(tmp_path / f"annotations/instances_{split}.json", coco_data({"segmentation": [SQUARE]}))
        for name in ("a.jpg", "b.jpg"):
            photo(tmp_path / "images" / split / name)
    drafts = coco.read(tmp_path)
    assert sorted(d.image_path.relative_to(tmp_path / "images").as_posix() for d in drafts) == [
        "train/a.jpg", "train/b.jpg", "val/a.jpg", "val/b.jpg",
    ]  # fmt: skip


def test_a_bad_polygon_does_not_cost_the_good_one_beside_it(tmp_path: Path) -> None:
    found, report = read(
        "coco", dumped(tmp_path / "c.json", coco_data({"segmentation": [SQUARE, [1, 1, 2, 2]]}))
    )
    assert found["a.jpg"].mask.sum() == 100
    assert "one of its 2 polygons" in report.left_out[0]


@pytest.mark.parametrize("shape", [SQUARE, [[10, 10], [20, 10], [20, 20], [10, 20]], [SQUARE]])
def test_a_polygon_without_its_outer_list_is_read(shape: list, tmp_path: Path) -> None:
    found, report = read("coco", dumped(tmp_path / "c.json", coco_data({"segmentation": shape})))
    assert found["a.jpg"].mask.sum() == 100
    assert not report.left_out


@pytest.mark.parametrize("key", [1, "1", 1.0])
def test_numbers_written_as_text_are_the_same_numbers(key: object, tmp_path: Path) -> None:
    data = coco_data({"segmentation": [SQUARE], "category_id": "3", "image_id": key})
    found, report = read("coco", dumped(tmp_path / "c.json", data))
    assert len(found) == 2, report.left_out


@pytest.mark.parametrize(
    "size", [{"height": None}, {"height": 40.0, "width": "60"}, {"width": 0, "height": 0}]
)
def test_a_missing_size_is_that_of_the_picture(size: dict, tmp_path: Path) -> None:
    file = dumped(tmp_path / "c.json", coco_data({"segmentation": [SQUARE]}, **size))
    for name in ("a.jpg", "b.jpg"):
        photo(tmp_path / "photos" / name)
    found, report = read("coco", file, images=tmp_path / "photos")
    assert found["a.jpg"].size == SIZE
    assert not report.left_out


def test_an_unknown_size_without_the_picture_costs_that_picture(tmp_path: Path) -> None:
    found, report = read(
        "coco", dumped(tmp_path / "c.json", coco_data({"segmentation": [SQUARE]}, width=None))
    )
    assert list(found) == ["b.jpg"]
    assert "does not give the size of 'a.jpg'" in report.left_out[0]


def test_a_picture_of_another_size_or_a_damaged_one_costs_itself(tmp_path: Path) -> None:
    file = dumped(tmp_path / "c.json", coco_data({"segmentation": [SQUARE]}, file_name="a.jpg"))
    photo(tmp_path / "photos/b.jpg")
    photo(tmp_path / "photos/a.jpg", (20, 30))
    found, report = read("coco", file, images=tmp_path / "photos")
    assert list(found) == ["b.jpg"]
    assert "'a.jpg' is 20 x 30" in report.left_out[0]
    assert "scaled" in report.left_out[0]
    (tmp_path / "photos/a.jpg").write_bytes(b"\xff\xd8\xff damaged")
    found, report = read("coco", file, images=tmp_path / "photos")
    assert list(found) == ["b.jpg"]
    assert "not a picture that can be read" in report.left_out[0]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_coordinates_of_the_stored_frame_are_turned_with_the_picture(
    orientation: int, tmp_path: Path
) -> None:
    photo(tmp_path / "photos/a.jpg", orientation=orientation)
    photo(tmp_path / "photos/b.jpg")
    stored = np.zeros(SIZE, bool)
    stored[10:20, 10:20] = True
    stored[10, 20] = True
    counts = [0, 0]
    flat = stored.T.reshape(-1).astype(int)
    turns = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *turns, flat.size]).tolist()
    file = dumped(tmp_path / "c.json", coco_data({"segmentation": {"size": list(SIZE), "counts": counts}}))
    found, report = read("coco", file, images=tmp_path / "photos")
    turned = PIL.Image.fromarray(stored.astype(np.uint8))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    way = {5: "TRANSPOSE", 6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"}[orientation]
    wanted = np.array(turned.transpose(PIL.Image.Transpose[way])) > 0
    np.testing.assert_array_equal(found["a.jpg"].mask, wanted)
    assert any("(EXIF): a.jpg." in note for note in report.notes)
    assert not report.left_out


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ({"shape_type": "point", "points": [[5, 5]]}, "'point'"),
        ({"shape_type": "line", "points": [[5, 5], [9, 9]]}, "'line'"),
        ({"shape_type": "linestrip", "points": [[5, 5], [9, 9], [1, 5]]}, "'linestrip'"),
        ({"shape_type": "cuboid", "points": [[5, 5]] * 8}, "'cuboid'"),
        ({"points": [[5, 5]]}, "three points"),
        ({"points": [[5, 5], [9, 9]]}, "three points"),
        ({"shape_type": "circle", "points": [[5, 5]]}, "two points"),
        ({"points": [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]}, "between 0 and 1"),
        ({"shape_type": "rectangle", "points": [[0.1, 0.1], [0.9, 0.9]]}, "between 0 and 1"),
        ({"points": [[100, 5], [120, 5], [120, 20]]}, "covers no pixel"),
        ({"label": " "}, "blank"),
        ({"label": None}, "blank"),
        ({"shape_type": "mask", "points": [[1, 1], [4, 3]], "mask": "AAAA"}, "cannot be read"),
        ({"points": {"x": 1}}, "damaged"),
    ],
)
def test_a_bad_labelme_shape_costs_itself(shape: dict, reason: str, tmp_path: Path) -> None:
    good = {"label": "dog", "points": [[1, 1], [4, 1], [4, 4]], "shape_type": "polygon"}
    dumped(tmp_path / "a.json", labelme_data(good | shape))
    found, report = read("labelme", tmp_path)
    assert found["a.jpg"].mask.sum() == 121
    (sentence,) = report.left_out
    assert sentence.startswith("'a.json', shape 1 (")
    assert reason in sentence


def test_what_can_be_drawn_is_drawn(tmp_path: Path) -> None:
    def drawn(**shape: object) -> np.ndarray:
        data = labelme_data() | {"shapes": [{"label": "dog", **shape}]}
        return labelme.read(dumped(tmp_path / "a.json", data))[0].mask

    corners = [[10, 10], [29, 10], [29, 19], [10, 19]]
    for turn in range(4):
        box = drawn(shape_type="rectangle", points=corners[turn:] + corners[:turn])
        assert box[10:20, 10:30].all()
        assert box.sum() == 200
    assert drawn(shape_type="rectangle", points=[[50, 30], [60, 40]]).sum() == 100, "cut off at the edge"
    assert drawn(shape_type="rectangle", points=[[-5, -5], [4, 4]]).sum() == 25
    disc = drawn(shape_type="circle", points=[[30, 20], [40, 20]])
    assert abs(disc.sum() - np.pi * 100) < 40
    assert disc[20, 20:41].all()
    diamond = drawn(shape_type="rotation", points=[[30, 10], [40, 20], [30, 30], [20, 20]], direction=0.78)
    assert diamond.sum() == 221
    crop = base64.b64encode(png_bytes(np.ones((4, 4), np.uint8))).decode()
    assert drawn(shape_type="mask", points=[[58, 38], [61, 41]], mask=crop).sum() == 4


def test_other_json_files_are_passed_over_and_damaged_ones_named(tmp_path: Path) -> None:
    dumped(tmp_path / "a.json", labelme_data())
    dumped(tmp_path / "classes.json", ["dog"])
    dumped(tmp_path / "config.json", {"version": 1})
    (tmp_path / "cut.json").write_text('{"shapes": [')
    (tmp_path / "list.json").write_text("[" * 100_000)
    found, report = read("labelme", tmp_path)
    assert list(found) == ["a.jpg"]
    assert "'classes.json', 'config.json'" in report.notes[0]
    assert [line.split(":")[0] for line in report.left_out] == ["'cut.json'", "'list.json'"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_text_with_a_byte_order_mark_is_read(encoding: str, tmp_path: Path) -> None:
    dumped(tmp_path / "a.json", labelme_data({"label": "犬", "points": [[1, 1], [4, 1], [4, 4]]}), encoding)
    assert {d.label for d in labelme.read(tmp_path)} == {"dog", "犬"}
    dumped(tmp_path / "c.json", coco_data(), encoding)
    assert len(coco.read(tmp_path / "c.json")) == 1


def test_another_encoding_is_named(tmp_path: Path) -> None:
    dumped(tmp_path / "a.json", labelme_data(label="狗"), "gbk")
    with pytest.raises(InputError, match="not text in UTF-8"):
        labelme.read(tmp_path / "a.json")


def test_a_picture_that_lies_inside_the_file_is_read(tmp_path: Path) -> None:
    data = photo(tmp_path / "elsewhere.png").read_bytes()
    file = dumped(
        tmp_path / "in/a.json", labelme_data(imageData=base64.b64encode(data).decode(), imageHeight=None)
    )
    found, report = read("labelme", file)
    assert report.embedded[found["a.jpg"].image_digest] == ("a.jpg", data)
    assert "inside the file" in report.notes[0]


def test_labels_that_differ_in_spaces_are_one(tmp_path: Path) -> None:
    data = coco_data(
        {"segmentation": [SQUARE]}, {"segmentation": [[30, 30, 35, 30, 35, 35]], "category_id": 5}
    )
    data["categories"].append({"id": 5, "name": "dog "})
    found = coco.read(dumped(tmp_path / "c.json", data))
    assert [(d.image_name, d.label) for d in found] == [("a.jpg", "dog"), ("b.jpg", "dog")]
    assert found[0].mask[10, 10]
    assert found[0].mask[31, 34]


def test_a_bad_mask_in_a_folder_costs_itself(tmp_path: Path) -> None:
    (tmp_path / "masks/deep").mkdir(parents=True)
    for name in ("a.PNG", "deep/b.bmp", "c.tif"):
        PIL.Image.fromarray(np.eye(40, 60, dtype=np.uint8)).save(tmp_path / "masks" / name)
    (tmp_path / "masks/bad.png").write_bytes(b"no picture")
    report = Report()
    found = png.read(tmp_path / "masks", label="dog", report=report)
    assert sorted(d.image_name for d in found) == ["a", "b", "c"]
    assert report.left_out[0].startswith("'bad.png': ")


def test_a_bad_map_or_colour_of_voc_costs_itself(tmp_path: Path) -> None:
    (tmp_path / "SegmentationClass/cam1").mkdir(parents=True)
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\ndog:9,0,0::\n")
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[5:9, 5:9] = (9, 0, 0)
    pixels[20:22] = (1, 2, 3)
    PIL.Image.fromarray(pixels).save(tmp_path / "SegmentationClass/cam1/a.png")
    (tmp_path / "SegmentationClass/cut.png").write_bytes(b"\x89PNG")
    report = Report()
    (found,) = voc.read(tmp_path, report=report)
    assert (found.image_name, found.mask.sum()) == ("a", 16)
    assert ["#010203" in line or "cut.png" in line for line in report.left_out] == [True, True]


def test_results_of_segment_are_masks_of_its_label(tmp_path: Path) -> None:
    dumped(tmp_path / "out/lfss-run.json", {"settings": {"label": ["red deer", "stag"]}, "results": []})
    mask = np.eye(40, 60, dtype=np.uint8) * 255
    for name in ("sub/a.mask.png", "sub/b.jpg.mask.png", "sub/a.overlay.jpg"):
        (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(mask).save(tmp_path / "out" / name)
    for name in ("a.jpg", "b.jpg", "b.png"):
        photo(tmp_path / "photos/sub" / name)
    found, report = read("png", tmp_path / "out", images=tmp_path / "photos")
    assert {n: d.label for n, d in found.items()} == {"a.jpg": "red deer", "b.jpg": "red deer"}
    assert not report.left_out
