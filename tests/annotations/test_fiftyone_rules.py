"""Exports read by the rules of FiftyOne's importers, which need a database server to run.

The rules: a YOLO data set's pictures are looked for from the folder of its YAML file, ``path`` being empty
where it is not given, and the labels of a picture where ``images`` in its path is ``labels``. A COCO
segmentation is decoded and then cut to its box, whose corners are rounded.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import yaml
from drawn import blob

from lfss.annotations import FORMATS
from lfss.annotations.raster import draw
from lfss.annotations.rle import from_coco_counts, from_string
from lfss.drafts import Draft
from lfss.images import read_image

SIZE = (60, 80)


@pytest.fixture
def drafts(tmp_path: Path) -> list[Draft]:
    found = []
    for seed, name in enumerate(("a.jpg", "b.png")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 255, (*SIZE, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(path)
        digest = read_image(path).digest
        for label in ("dog", "cat")[: seed + 1]:
            mask = blob(SIZE, seed + len(label) + ord(label[0]), 0.3)
            found.append(Draft(name, digest, label, mask, status="accepted", image_path=path))
    return found


def test_yolo_pictures_and_labels_are_found_from_the_folder_of_the_yaml(
    drafts: list[Draft], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FORMATS["yolo"].write(drafts, tmp_path / "out", images=True)
    monkeypatch.chdir("/")
    data = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    for split in ("train", "val"):
        folder = tmp_path / "out" / data.get("path", "") / data[split]
        pictures = sorted(folder.iterdir())
        assert [p.name for p in pictures] == ["a.jpg", "b.png"]
        for picture in pictures:
            before, after = str(picture).rsplit("/images/", 1)
            lines = Path(before, "labels", after).with_suffix(".txt").read_text().splitlines()
            labels = {data["names"][int(line.split()[0])] for line in lines}
            assert labels == {d.label for d in drafts if d.image_name == picture.name}


@pytest.mark.parametrize("rle", [True, False])
def test_coco_masks_are_whole_when_they_are_cut_to_their_rounded_box(
    drafts: list[Draft], tmp_path: Path, rle: bool
) -> None:
    FORMATS["coco"].write(drafts, tmp_path / "out", rle=rle, detail=0, objects="together")
    data = json.loads((tmp_path / "out/annotations/instances_default.json").read_text())
    by_id = {i["id"]: i["file_name"] for i in data["images"]}
    labels = {c["id"]: c["name"] for c in data["categories"]}
    for annotation in data["annotations"]:
        shape = annotation["segmentation"]
        if rle:
            whole = from_coco_counts(from_string(shape["counts"]), SIZE)
        else:
            rings = [np.array(ring, np.float32).reshape(-1, 2) for ring in shape]
            whole = draw(rings, SIZE, "coco") > 0
        x, y, width, height = annotation["bbox"]
        inside = np.zeros(SIZE, bool)
        box = np.s_[round(y) : round(y + height), round(x) : round(x + width)]
        inside[box] = whole[box]
        name, label = by_id[annotation["image_id"]], labels[annotation["category_id"]]
        mask = next(d.mask for d in drafts if (d.image_name, d.label) == (name, label))
        np.testing.assert_array_equal(inside, mask)
