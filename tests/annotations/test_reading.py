"""Files come back as drafts; foreign ones are understood, damaged and hostile ones refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from drawn import MACHINE, a_draft, blob, mask, png_bytes

from lfss.annotations import FORMATS, coco, labelme, png, reading, voc
from lfss.drafts import Draft, Origin
from lfss.errors import ImageError, InputError
from lfss.images import read_image

SIZE = (10, 12)
RING = mask(
    "............", ".####.......", ".#..#.....#.", ".#..#.......", ".####.......", *["............"] * 5
)
READABLE = [name for name, form in FORMATS.items() if form.read]


def scene() -> list[Draft]:
    return [
        a_draft("1.jpg", "dog", RING, presence=0.9),
        a_draft("1.jpg", "cat", ~RING, status="edited", score=None),
        a_draft("2.jpg", "dog", blob(SIZE, 1), status="accepted", origin=Origin(), score=None),
        a_draft("3.jpg", "dog", np.zeros(SIZE, bool), status="absent"),
    ]


def dumped(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def coco_data(**annotation) -> dict:
    shape = {"id": 1, "image_id": 7, "category_id": 3, "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]]}
    return {
        "images": [{"id": 7, "file_name": "sub/1.jpg", "height": 10, "width": 12}],
        "categories": [{"id": 3, "name": "dog"}],
        "annotations": [shape | annotation],
    }


def labelme_data(**shape) -> dict:
    first = {"label": "dog", "points": [[1, 1], [4, 3]], "shape_type": "rectangle"}
    return {
        "imagePath": "..\\photos\\1.jpg", "imageHeight": 10, "imageWidth": 12, "shapes": [first | shape],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["coco", "labelme", "png"])
def test_masks_states_scores_and_origins_come_back(name: str, tmp_path: Path) -> None:
    drafts = scene()
    FORMATS[name].write(drafts, tmp_path / "out", **({"rle": True} if name == "coco" else {}))
    found = {(d.image_name, d.label): d for d in FORMATS[name].read(tmp_path / "out")}
    assert found.keys() == {(d.image_name, d.label) for d in drafts}
    for draft in drafts:
        again = found[draft.image_name, draft.label]
        np.testing.assert_array_equal(again.mask, draft.mask)
        kept = ("status", "image_digest", "score", "presence", "origin")
        for field in kept[:2] if draft.status == "absent" else kept:
            assert getattr(again, field) == getattr(draft, field), field


def test_coco_polygons_come_back_as_their_readers_see_them(tmp_path: Path) -> None:
    drafts = [a_draft("1.jpg", "dog", blob((40, 50), 4))]
    coco.write(drafts, tmp_path / "out", detail=0)
    np.testing.assert_array_equal(coco.read(tmp_path / "out")[0].mask, drafts[0].mask)


def test_labelme_polygons_of_a_group_come_back_as_one_draft(tmp_path: Path) -> None:
    drafts = [a_draft("1.jpg", "dog", RING)]
    labelme.write(drafts, tmp_path / "out", shapes="polygon", detail=0)
    (found,) = labelme.read(tmp_path / "out")
    np.testing.assert_array_equal(found.mask, RING)


def test_voc_comes_back_by_label_with_what_lies_beside_it(tmp_path: Path) -> None:
    voc.write(scene(), tmp_path / "out")
    found = {(d.image_name, d.label): d for d in voc.read(tmp_path / "out", status="proposed")}
    assert found.keys() == {("1", "dog"), ("1", "cat"), ("2", "dog"), ("3", "dog")}
    assert found["3", "dog"].status == "absent"
    np.testing.assert_array_equal(found["1", "dog"].mask, RING)
    assert found["1", "dog"].status == "proposed"


def test_separate_png_masks_come_back_with_their_overlap(tmp_path: Path) -> None:
    drafts = [a_draft("1.jpg", "dog", RING), a_draft("1.jpg", "a/b", np.ones(SIZE, bool))]
    png.write(drafts, tmp_path / "out", separate=True)
    for again, draft in zip(png.read(tmp_path / "out"), drafts):
        np.testing.assert_array_equal(again.mask, draft.mask)


@pytest.mark.parametrize("name", READABLE)
def test_names_and_digests_are_read_from_the_pictures_where_they_are_given(name: str, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    PIL.Image.fromarray(np.full((*SIZE, 3), 9, np.uint8)).save(photos / "1.png")
    FORMATS[name].write([a_draft("1.png", "dog", RING, digest="")], tmp_path / "out")
    (found,) = FORMATS[name].read(tmp_path / "out", images=photos)
    assert found.image_digest == read_image(photos / "1.png").digest
    assert (found.image_name, found.image_path) == ("1.png", photos / "1.png")


@pytest.mark.parametrize("name", READABLE)
def test_pictures_of_another_size_are_refused(name: str, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    PIL.Image.new("RGB", (30, 20)).save(photos / "1.png")
    FORMATS[name].write([a_draft("1.png", "dog", RING)], tmp_path / "out")
    with pytest.raises(InputError, match=r"20 x 30 \(rows x columns\), its masks are 10 x 12"):
        FORMATS[name].read(tmp_path / "out", images=photos)


def test_foreign_coco_files_are_understood(tmp_path: Path) -> None:
    file = dumped(tmp_path / "a.json", coco_data(score=0.5, iscrowd=1))
    (found,) = coco.read(file, status="proposed")
    assert (found.image_name, found.label, found.score, found.status) == ("1.jpg", "dog", 0.5, "proposed")
    assert found.origin.model == "person"
    assert found.mask[:4, :4].all()
    assert found.mask.sum() == 16
    counts = {"size": [10, 12], "counts": [0, 10, 110]}
    (found,) = coco.read(dumped(tmp_path / "b.json", coco_data(segmentation=counts)))
    assert found.mask[:, 0].all()
    assert found.mask.sum() == 10
    assert coco.read(dumped(tmp_path / "c.json", coco_data(segmentation=[]))) == []


def test_what_makes_no_sense_as_origin_is_passed_over(tmp_path: Path) -> None:
    odd = {
        "status": "great",
        "model": 7,
        "threshold": "high",
        "presence": 8,
        "settings": "{",
        "supports": None,
    }
    (found,) = coco.read(dumped(tmp_path / "a.json", coco_data(attributes=odd, score="best")))
    assert (found.status, found.score, found.presence, found.origin) == ("accepted", None, None, Origin())


@pytest.mark.parametrize(
    "annotation",
    [
        {"image_id": 8},
        {"category_id": 9},
        {"image_id": []},
        {"segmentation": [[0, 0, 4, 0]]},
        {"segmentation": [[0, 0, 4, 0, 4]]},
        {"segmentation": [[0, 0, 1e300, 0, 4, 4]]},
        {"segmentation": [[0, 0, "x", 0, 4, 4]]},
        {"segmentation": [[0, 0, float("nan"), 0, 4, 4]]},
        {"segmentation": [[-999999, 0, 999999, 5] * 3000]},
        {"segmentation": {"size": [10, 12], "counts": [500]}},
        {"segmentation": {"size": [10, 12], "counts": [2**80]}},
        {"segmentation": {"size": [10, 12], "counts": "!!"}},
        {"segmentation": {"size": [9, 12], "counts": [120]}},
        {"segmentation": {"counts": [120]}},
        {"segmentation": 5},
    ],
)
def test_damaged_coco_annotations_are_one_sentence(annotation: dict, tmp_path: Path) -> None:
    file = dumped(tmp_path / "bad.json", coco_data(**annotation))
    with pytest.raises(InputError, match=r"bad\.json"):
        coco.read(file)


@pytest.mark.parametrize("size", [(0, 5), (-1, 5), (5.5, 5), ("x", 5), (True, 5), (10**6, 10**6), (None, 5)])
def test_impossible_sizes_are_refused_before_memory_is_taken(size: tuple, tmp_path: Path) -> None:
    data = coco_data()
    data["images"][0] |= {"height": size[0], "width": size[1]}
    with pytest.raises(InputError, match=r"bad\.json"):
        coco.read(dumped(tmp_path / "bad.json", data))


def test_more_masks_than_memory_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_PIXELS", 2_000_000)
    data = coco_data()
    data["images"][0] |= {"height": 1000, "width": 1000}
    data["annotations"] *= 2
    coco.read(dumped(tmp_path / "good.json", data))
    data["annotations"] += data["annotations"][:1]
    with pytest.raises(InputError, match="more than 2 megapixels of masks"):
        coco.read(dumped(tmp_path / "bad.json", data))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"images": []}', "[" * 100_000, "\x80"])
def test_files_that_are_no_annotations_are_one_sentence(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(text.encode("latin-1"))
    for read in (coco.read, labelme.read):
        with pytest.raises(InputError, match=r"bad\.json"):
            read(file)


@pytest.mark.parametrize("name", READABLE)
def test_a_path_without_such_files_is_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        FORMATS[name].read(tmp_path)
    with pytest.raises(InputError):
        FORMATS[name].read(tmp_path / "missing")


def test_names_in_files_never_lead_out_of_the_folder_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    PIL.Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "secret.png")
    for name in ("../secret.png", str(tmp_path / "secret.png"), ".."):
        data = coco_data()
        data["images"][0]["file_name"] = name
        (found,) = coco.read(dumped(tmp_path / "a.json", data), images=tmp_path / "photos")
        assert found.image_path is None
        assert "/" not in found.image_name


def test_foreign_labelme_files_are_understood(tmp_path: Path) -> None:
    (found,) = labelme.read(dumped(tmp_path / "a.json", labelme_data()))
    assert (found.image_name, found.label, found.status) == ("1.jpg", "dog", "accepted")
    assert found.mask[1:4, 1:5].all()
    assert found.mask.sum() == 12
    triangle = {"shape_type": None, "points": [[0, 0], [9.5, 0], [0, 9]]}
    (found,) = labelme.read(dumped(tmp_path / "a.json", labelme_data(**triangle)))
    assert found.mask[0, :9].all()
    assert 40 < found.mask.sum() < 60


@pytest.mark.parametrize(
    "shape",
    [
        {"shape_type": "line"},
        {"points": [[1, 1]]},
        {"points": [[40, 1], [50, 3]]},
        {"points": [[-9, 1], [-4, 3]]},
        {"label": ""},
        {"label": 5},
        {"shape_type": "mask", "mask": "AAAA"},
        {"shape_type": "mask", "mask": base64.b64encode(png_bytes(np.ones((3, 3), np.uint8))).decode()},
        {"shape_type": "mask", "mask": base64.b64encode(png_bytes(np.ones((3, 4), np.uint8))[:40]).decode()},
        {"shape_type": "mask"},
    ],
)
def test_damaged_labelme_shapes_are_one_sentence(shape: dict, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"bad\.json"):
        labelme.read(dumped(tmp_path / "bad.json", labelme_data(**shape)))


def test_a_huge_png_in_a_labelme_file_is_not_decoded(tmp_path: Path) -> None:
    bomb = bytearray(png_bytes(np.ones((3, 4), np.uint8)))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    text = base64.b64encode(bytes(bomb)).decode()
    with pytest.raises(InputError, match=r"bad\.json"):
        labelme.read(dumped(tmp_path / "bad.json", labelme_data(shape_type="mask", mask=text)))


def write_voc(folder: Path, classes: PIL.Image.Image, labelmap: str) -> Path:
    (folder / "SegmentationClass").mkdir(parents=True)
    classes.save(folder / "SegmentationClass/1.png")
    (folder / "labelmap.txt").write_text(labelmap, encoding="utf-8")
    return folder


def test_foreign_voc_maps_in_colour_or_grey_are_understood(tmp_path: Path) -> None:
    labelmap = "# comment\nbackground:0,0,0::\ndog:10,20,30:head,tail:\ncat:1,2,3::\n"
    colour = np.zeros((*SIZE, 3), np.uint8)
    colour[RING] = (10, 20, 30)
    colour[9] = (224, 224, 192)  # left open
    grey = np.where(RING, 1, 0).astype(np.uint8)
    grey[9] = 255
    for name, array in (("colour", colour), ("grey", grey)):
        (found,) = voc.read(write_voc(tmp_path / name, PIL.Image.fromarray(array), labelmap))
        assert found.label == "dog"
        np.testing.assert_array_equal(found.mask, RING)


def test_a_colour_that_the_labelmap_lacks_is_named(tmp_path: Path) -> None:
    picture = PIL.Image.new("RGB", SIZE[::-1], (1, 2, 3))
    with pytest.raises(InputError, match="#010203"):
        voc.read(write_voc(tmp_path, picture, "background:0,0,0::\n"))


@pytest.mark.parametrize("labelmap", ["dog\n", "dog:1,2::\n", "dog:a,b,c::\n"])
def test_damaged_labelmaps_are_one_sentence(labelmap: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labelmap\.txt"):
        voc.read(write_voc(tmp_path, PIL.Image.new("RGB", SIZE[::-1]), labelmap))


def test_plain_png_masks_need_a_label_and_black_means_absent(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.where(RING, 255, 0).astype(np.uint8)).save(tmp_path / "1.png")
    PIL.Image.fromarray(np.dstack([RING * np.uint8(9)] * 3)).save(tmp_path / "2.png")
    PIL.Image.new("1", SIZE[::-1]).save(tmp_path / "3.png")
    with pytest.raises(InputError, match="Give their label"):
        png.read(tmp_path)
    one, two, three = png.read(tmp_path, label="dog")
    np.testing.assert_array_equal(one.mask, RING)
    np.testing.assert_array_equal(two.mask, RING)
    assert (one.status, three.status) == ("accepted", "absent")
    assert png.read(tmp_path / "1.png", label="dog")[0].image_name == "1"


def test_damaged_png_masks_are_one_sentence(tmp_path: Path) -> None:
    whole = png_bytes(np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8))
    for place, data in enumerate(
        (b"", b"no png", whole[:20], whole[:200], b"\x89PNG\r\n\x1a\n" + b"\xff" * 16)
    ):
        file = tmp_path / f"bad{place}.png"
        file.write_bytes(data)
        with pytest.raises((InputError, ImageError), match=f"bad{place}"):
            png.read(file, label="dog")


def test_a_legend_never_leads_out_of_its_folder(tmp_path: Path) -> None:
    png.write([a_draft("1.jpg", "dog", RING)], tmp_path / "in" / "out", separate=True)
    file = tmp_path / "in/out/legend.json"
    legend = json.loads(file.read_text())
    PIL.Image.fromarray(np.full(SIZE, 255, np.uint8)).save(tmp_path / "1.png")
    legend["labels"][0]["folder"] = "../../.."
    dumped(file, legend)
    with pytest.raises(InputError):
        png.read(tmp_path / "in/out")


def test_an_origin_survives_in_full(tmp_path: Path) -> None:
    coco.write([a_draft()], tmp_path / "out")
    assert coco.read(tmp_path / "out")[0].origin == MACHINE


def test_a_mask_that_was_stored_as_a_jpeg_is_cut_in_the_middle_of_its_greys(tmp_path: Path) -> None:
    drawn = blob((64, 64), 1)
    PIL.Image.fromarray(np.where(drawn, 255, 0).astype(np.uint8)).save(tmp_path / "1.jpg", quality=60)
    levels = np.asarray(PIL.Image.open(tmp_path / "1.jpg"))
    assert ((levels > 0) & (levels < 255)).any()
    (found,) = png.read(tmp_path, label="dog")
    np.testing.assert_array_equal(found.mask, levels >= 128)
