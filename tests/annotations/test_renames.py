"""A label that was changed in another tool takes its draft along, in every format that can be read."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from test_corrections import (
    LOOPS,
    change_coco,
    change_map,
    change_task,
    changed_json,
    draft,
    export,
    labelme_file,
    place,
    states,
    take_in,
)

__all__ = ["place"]  # a fixture

COLOUR = (12, 34, 56)  # of the wolf in a VOC folder


def rename(form: str, options: tuple[str, ...]) -> None:
    """The dog of b is a wolf, as the other tool writes it."""
    {
        "labelme": _labelme, "coco": _coco, "coco-panoptic": _panoptic, "cvat": _cvat, "labelstudio": _task,
        "voc": _voc, "yolo": _yolo, "png": _separate if options else _png,
    }[form]()  # fmt: skip


def _labelme() -> None:
    file, data = labelme_file("b")
    for shape in data["shapes"]:
        shape["label"] = "wolf"
    file.write_text(json.dumps(data))


def _coco() -> None:
    change_coco(lambda annotation: [annotation | {"category_id": 99}])


def _panoptic() -> None:
    def edit(data: dict) -> None:
        data["categories"].append({"id": 99, "name": "wolf", "isthing": 1})
        entry = next(a for a in data["annotations"] if a["file_name"] == "b.png")
        for segment in entry["segments_info"]:
            segment["category_id"] = 99

    changed_json("out/annotations/panoptic_default.json", edit)


def _cvat() -> None:
    tree = ElementTree.parse("out/annotations.xml")
    image = next(i for i in tree.getroot().findall("image") if i.get("name") == "b.png")
    for mask in image.findall("mask"):
        mask.set("label", "wolf")
    tree.write("out/annotations.xml")


def _task() -> None:
    def edit(regions: list) -> list:
        for region in regions:
            region["value"] = region["value"] | {region["type"]: ["wolf"]}
        return regions

    change_task(edit)


def _voc() -> None:
    table = Path("out/labelmap.txt")
    lines = table.read_text().splitlines()
    place = len(lines) - 1  # the number that the new label gets; the first line is a comment
    table.write_text("\n".join([*lines, f"wolf:{','.join(map(str, COLOUR))}::", ""]))
    file = "out/SegmentationClass/b.png"
    change_map(file, lambda numbers: np.where(numbers > 0, place, 0), colours={place: COLOUR})


def _yolo() -> None:
    settings = Path("out/data.yaml")
    settings.write_text(settings.read_text() + "  7: wolf\n")
    file = Path("out/labels/train/b.txt")
    file.write_text("".join(f"7 {line.partition(' ')[2]}\n" for line in file.read_text().splitlines()))


def _png() -> None:
    changed_json("out/legend.json", lambda legend: legend["labels"].append({"value": 7, "name": "wolf"}))
    change_map("out/masks/b.png", lambda numbers: np.where(numbers > 0, 7, 0))


def _separate() -> None:
    new = {"value": 7, "name": "wolf", "folder": "wolf"}
    changed_json("out/legend.json", lambda legend: legend["labels"].append(new))
    Path("out/masks/wolf").mkdir()
    Path("out/masks/dog/b.png").rename("out/masks/wolf/b.png")


@pytest.mark.parametrize(("form", "options"), LOOPS)
def test_a_renamed_label_leaves_no_draft_of_the_old_one(form, options, place) -> None:
    export(form, options)
    old = draft("b").mask
    rename(form, options)
    assert take_in(form) == (1 if options == ("--separate",) else 0)  # whose old mask is told to be missing
    found = states()
    # CVAT keeps nothing of a picture but its shapes, so an old draft cannot be told from one never exported.
    assert found["b", "dog"][0] == ("proposed" if form == "cvat" else "absent")
    assert found["b", "wolf"][0] in ("edited", "accepted")
    assert found["b", "wolf"][1] == "person"
    wolf = draft("b", "wolf").mask
    assert (wolf & old).sum() > 0.95 * (wolf | old).sum()


def test_a_number_that_no_label_of_the_legend_has_is_told(place, capsys) -> None:
    export("png")
    change_map("out/masks/b.png", lambda numbers: np.where(numbers > 0, 9, 0))
    assert take_in("png") == 1
    assert "'b.png', number 9" in capsys.readouterr().out
