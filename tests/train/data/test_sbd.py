"""SBD's MATLAB files become PNGs and the usual list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_sets import CAT, DOG, block, class_map, mat_file, write_sbd, write_voc

from lfss.errors import InputError
from train.data.datasets import open_data
from train.data.sbd import FOLDER, VOC, convert, read_sbd_mask


@pytest.mark.parametrize("packed", [True, False])
def test_a_mask_is_read_as_it_was_written(tmp_path: Path, packed: bool) -> None:
    classes = np.arange(12, dtype=np.uint8).reshape(3, 4)
    (tmp_path / "a.mat").write_bytes(mat_file(classes, packed=packed))
    assert np.array_equal(read_sbd_mask(tmp_path / "a.mat"), classes)


def test_other_and_damaged_files_are_told(tmp_path: Path) -> None:
    path, classes = tmp_path / "a.mat", np.ones((3, 4), np.uint8)
    whole = mat_file(classes)
    for content in (b"", whole[:100], mat_file(classes, name="GTinst"), mat_file(classes, field="Other")):
        path.write_bytes(content)
        with pytest.raises(InputError, match="holds no structure GTcls"):
            read_sbd_mask(path)
    for content in (whole[:-9], mat_file(classes, packed=False)[:-16]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"is no file of SBD"):
            read_sbd_mask(path)


def test_trainaug_is_vocs_train_and_what_sbd_adds_without_vocs_val(tmp_path: Path) -> None:
    voc = write_voc(tmp_path / VOC, {"train": [{CAT: block()}] * 2, "val": [{CAT: block()}] * 2})
    for i in range(3):  # pictures of VOC that only SBD has masks for
        Image.open(voc / "JPEGImages" / "train_000.jpg").save(voc / "JPEGImages" / f"more_{i}.jpg")
    coarse = class_map({DOG: block()}, border=False)
    write_sbd(
        tmp_path,
        {"more_0": coarse, "train_001": coarse},
        {"more_1": coarse, "more_2": coarse, "val_000": coarse},
    )
    listed = convert(tmp_path).read_text().split()
    assert listed == ["more_0", "more_1", "more_2", "train_000", "train_001"]
    data = open_data(tmp_path, "voc", split="trainaug", cache=tmp_path / "cache")
    shown = {s.id: {data.classes[c] for c in s.areas} for s in data.samples}
    assert shown["more_2"] == {"dog"}
    assert shown["train_001"] == {"cat"}  # VOC's own mask, not SBD's
    with Image.open(voc / "SegmentationClassAug" / "more_0.png") as png:
        assert png.mode == "P"
    assert not (voc / "SegmentationClassAug" / "val_000.png").exists()
    (tmp_path / FOLDER / "cls" / "more_0.mat").unlink()
    convert(tmp_path)  # what is there is not made again


def test_a_missing_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Unpack the archives of VOC 2012 and SBD"):
        convert(tmp_path)
