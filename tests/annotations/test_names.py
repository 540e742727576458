"""A name in a file of annotations finds its picture, or is refused; it never finds another one."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from lfss.__main__ import main
from lfss.annotations import FORMATS, coco, labelme
from lfss.annotations.pictures import Pictures
from lfss.annotations.report import Report
from lfss.drafts import Draft
from lfss.images import read_image
from lfss.workspace import Workspace

SIZE = (40, 60)
SQUARE = [10, 10, 20, 10, 20, 20, 10, 20]
DIGITS = "3f9c21ab-"


def photos(folder: Path, *names: str) -> Path:
    """Photos of these names, no two alike."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(path)
    return folder


def coco_file(folder: Path, *names: str, **extra: object) -> Path:
    """A file with a square on each picture, further to the right on each."""
    images = [{"id": n, "file_name": name, "height": 40, "width": 60} | extra for n, name in enumerate(names)]
    shapes = [
        {
            "image_id": n,
            "category_id": 1,
            "segmentation": [[v + 5 * n * (i % 2 == 0) for i, v in enumerate(SQUARE)]],
        }
        for n in range(len(names))
    ]
    file = folder / "c.json"
    file.write_text(
        json.dumps({"images": images, "annotations": shapes, "categories": [{"id": 1, "name": "dog"}]})
    )
    return file


def found(file: Path, folder: Path) -> tuple[dict[str, int], Report]:
    """Where the square lies on each picture that was found, by its path."""
    report = Report()
    drafts = coco.read(file, images=folder, report=report)
    return {
        d.image_path.relative_to(folder).as_posix(): int(np.flatnonzero(d.mask.any(0))[0])
        for d in drafts
        if d.image_path
    }, report


@pytest.mark.parametrize(
    ("sought", "there"),
    [
        ("a.jpg", "a.jpg"),
        ("cam1/a.jpg", "a.jpg"),
        ("a.jpg", "cam1/a.jpg"),
        ("C:\\data\\cam1\\a.jpg", "cam1/a.jpg"),
        ("../../media/upload/4/a.jpg", "a.jpg"),
        (f"images\\{DIGITS}a.jpg", "a.jpg"),
        ("a.jpg", f"{DIGITS}a.jpg"),
        ("a.JPG", "a.jpg"),
        ("A.jpeg", "a.JPEG"),
        (unicodedata.normalize("NFD", "café.jpg"), unicodedata.normalize("NFC", "café.jpg")),
        (unicodedata.normalize("NFC", "café.jpg"), unicodedata.normalize("NFD", "café.jpg")),
        ("dog_png.rf.0a1b2c3d4e5f60718293a4b5c6d7e8f9.jpg", "dog.png"),
        ("dog_jpg.rf.AbCdEfGh12345678.jpg", "dog.jpg"),
    ],
)
def test_known_differences_are_bridged(sought: str, there: str, tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", there, "other.jpg")
    where, report = found(coco_file(tmp_path, sought), folder)
    assert where == {there: 10}
    assert not report.left_out


def test_the_name_of_an_upload_is_found_in_extra(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", "my dog.png", "other.jpg")
    where, report = found(coco_file(tmp_path, "x.jpg", extra={"name": "my dog.png"}), folder)
    assert where == {"my dog.png": 10}
    assert "'x.jpg' is 'my dog.png'" in report.notes[0]


@pytest.mark.parametrize("sought", [("cam1/1.jpg", "cam2/1.jpg"), ("x/cam1/1.jpg", "x\\cam2\\1.jpg")])
def test_equal_names_are_told_apart_by_their_folders(sought: tuple[str, str], tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", "cam2/1.jpg", "cam1/1.jpg")
    where, _ = found(coco_file(tmp_path, *sought), folder)
    assert where == {"cam1/1.jpg": 10, "cam2/1.jpg": 15}


@pytest.mark.parametrize(
    ("sought", "there"),
    [
        ("1.jpg", ("cam1/1.jpg", "cam2/1.jpg")),
        ("cam3/1.jpg", ("cam1/1.jpg", "cam2/1.jpg")),
        ("a.jpg", (f"{DIGITS}a.jpg", "00000000-a.jpg")),
        ("A.jpg", ("a.jpg", "a.JPG")),
    ],
)
def test_an_ambiguous_name_is_refused(sought: str, there: tuple[str, ...], tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", *there)
    where, report = found(coco_file(tmp_path, sought), folder)
    assert where == {}
    assert f"'{sought}' may be '" in report.left_out[0]


def test_two_names_never_become_one_picture(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", "1.jpg")
    where, report = found(coco_file(tmp_path, "train/1.jpg", "val/1.jpg"), folder)
    assert where == {}
    assert "'train/1.jpg', 'val/1.jpg'" in report.left_out[0]
    where, report = found(coco_file(tmp_path, "val/1.jpg", "1.jpg"), folder)
    assert where == {"1.jpg": 15}, "the exact name is taken, the other one is not"
    assert "val/1.jpg" in report.left_out[0]


def test_a_digest_tells_pictures_of_one_name_apart(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", "cam1/1.jpg", "cam2/1.jpg")
    image = read_image(folder / "cam2/1.jpg")
    where, _ = found(coco_file(tmp_path, "1.jpg", lfss={"digest": image.digest}), folder)
    assert where == {"cam2/1.jpg": 10}


def test_names_that_an_export_made_unique_are_found_again(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", "a/dog.jpg", "b/dog.jpg")
    drafts = []
    for name in ("a", "b"):
        image = read_image(folder / name / "dog.jpg")
        mask = np.zeros(SIZE, bool)
        mask[3:9, 3 : 9 if name == "a" else 20] = True
        drafts.append(Draft("dog.jpg", image.digest, "dog", mask, image_path=image.path))
    coco.write(drafts, tmp_path / "out", rle=True)
    again = coco.read(tmp_path / "out", images=folder)
    assert {d.image_path.parent.name: d.mask.sum() for d in again} == {"a": 36, "b": 102}


@pytest.mark.parametrize(
    ("mask", "photo"),
    [
        ("a.png", "a.jpg"),
        ("a.PNG", "A.JPG"),
        ("a_mask.png", "a.jpg"),
        ("a.mask.png", "a.jpg"),
        ("a.jpg.mask.png", "a.jpg"),
        ("a.jpg.png", "a.jpg"),
        ("cam1/a.bmp", "cam1/a.tif"),
    ],
)
def test_masks_find_their_pictures(mask: str, photo: str, tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", photo, "other.jpg")
    (tmp_path / "masks" / mask).parent.mkdir(parents=True)
    PIL.Image.fromarray(np.eye(*SIZE, dtype=np.uint8)).save(tmp_path / "masks" / mask)
    (draft,) = FORMATS["png"].read(tmp_path / "masks", label="dog", images=folder)
    assert draft.image_path == folder / photo


def test_labelme_files_in_folders_belong_to_the_pictures_beside_them(tmp_path: Path) -> None:
    photos(tmp_path, "cam1/a.jpg", "cam2/a.jpg", "top.jpg")
    for number, name in enumerate(("cam1/a", "cam2/a", "top")):
        shape = {"label": "dog", "points": [[number, 5], [number + 5, 9]], "shape_type": "rectangle"}
        data = {"imagePath": f"{Path(name).name}.jpg", "imageHeight": 40, "imageWidth": 60, "shapes": [shape]}
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
    drafts = labelme.read(tmp_path)
    assert {
        d.image_path.relative_to(tmp_path).as_posix(): int(np.flatnonzero(d.mask.any(0))[0]) for d in drafts
    } == {"cam1/a.jpg": 0, "cam2/a.jpg": 1, "top.jpg": 2}


def test_the_message_names_what_was_sought_and_never_repeats_what_was_given(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    photos(Path("photos"), "a.png", "b.jpg")
    coco_file(Path(), "a.jpg")
    line = "import --workspace ws --format coco c.json"
    assert main([*line.split(), "--images", "photos"]) == 1
    text = capsys.readouterr().out
    assert "'a.jpg' is not among the pictures in 'photos'; there is 'a.png'" in text
    assert "--images" not in text
    assert main(line.split()) == 1
    assert "--images" in capsys.readouterr().out


def test_pictures_of_the_workspace_are_found_by_folders_too(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos(Path("photos"), "cam1/1.jpg", "cam2/1.jpg")
    with Workspace.open("ws") as workspace:
        first = workspace.add_image(Path("photos/cam1/1.jpg"))
        workspace.add_image(Path("photos/cam2/1.jpg"))
    coco_file(Path(), "cam1/1.jpg")
    assert main(["import", "--workspace", "ws", "--format", "coco", "c.json"]) == 0
    with Workspace.open("ws") as workspace:
        assert workspace.draft(first.digest, "dog").mask.sum() == 100


def test_an_empty_place_is_named() -> None:
    assert Pictures((), "'x'").lacking("a.jpg") == "'a.jpg' is not among the 0 pictures in 'x'."
