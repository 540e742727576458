"""``lfss export``."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from red_scenes import decide, lfss, segment
from samples import a_draft

from lfss.__main__ import main
from lfss.annotations import FORMATS, Format
from lfss.annotations.bundle import verify_bundle
from lfss.commands import export
from lfss.workspace import Workspace


def test_checked_drafts_are_exported_and_the_rest_is_told(place, capsys):
    assert segment() == 0
    capsys.readouterr()
    assert lfss("export --workspace ws --format coco --out out") == 2
    assert "the workspace has 3 proposed" in capsys.readouterr().err
    decide(a="accepted", c="absent")
    assert lfss("export --workspace ws --format coco --out out --detail 1") == 0
    text = capsys.readouterr().out
    assert "COCO instances: 1 file from 2 drafts" in text
    assert "points on average, IoU with the mask" in text
    assert FORMATS["coco"].hint in text
    document = json.loads(Path("out/annotations/instances_default.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["a.png", "c.png"]
    (annotation,) = document["annotations"]
    assert lfss("export --workspace ws --format coco --out all --status proposed --rle --json") == 0
    (facts,) = json.loads(capsys.readouterr().out)["written"]
    objects = {"how": "parts", "count": 1}
    assert facts == {"format": "coco", "files": 1, "drafts": 1, "objects": objects, "outlines": None}
    assert annotation["attributes"]["outline_iou"] > 0.98


def test_the_report_tells_what_the_file_tells_of_its_outlines(place, capsys):
    assert segment() == 0
    capsys.readouterr()
    assert lfss("export --workspace ws --format coco --out out --status proposed --json") == 0
    told = json.loads(capsys.readouterr().out)["written"][0]["outlines"]
    entries = json.loads(Path("out/annotations/instances_default.json").read_text())["annotations"]
    written = [entry["attributes"] for entry in entries]
    assert told["measured"] == 3
    assert told["points"] == pytest.approx(np.mean([w["outline_vertices"] for w in written]))
    assert told["iou"] == pytest.approx(np.mean([w["outline_iou"] for w in written]), abs=1e-4)


def test_a_bundle_is_one_zip_that_holds_every_format(place, capsys):
    assert segment() == 0
    capsys.readouterr()
    line = "export --workspace ws --format coco yolo png --bundle --images --out dogs --status proposed"
    assert main([*line.split(), "--detail", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    manifest = verify_bundle(Path("dogs.zip"))
    assert document["out"] == "dogs.zip"
    assert manifest["formats"]["yolo"]["detail"] == "1.0"
    names = zipfile.ZipFile("dogs.zip").namelist()
    assert sum(name.startswith("images/") for name in names) == 3
    for facts in document["written"]:
        assert facts["files"] == sum(name.startswith(facts["format"] + "/") for name in names) > 0
    assert lfss(line) == 1
    assert "exists already" in capsys.readouterr().err


def test_several_formats_without_a_bundle_get_a_folder_each(place):
    assert segment() == 0
    assert lfss("export --workspace ws --format voc png --out out --status proposed") == 0
    assert sorted(p.name for p in Path("out").iterdir()) == ["png", "voc"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_written_from_the_command_line(name, place, capsys):
    with Workspace.open("ws") as workspace:
        for number in range(2):
            workspace.put_draft(a_draft(number, status="accepted"))
            workspace.put_draft(a_draft(number, "cat", status="edited"))
    assert main(["export", "--workspace", "ws", "--format", name, "--out", "out"]) == 0
    assert FORMATS[name].hint in capsys.readouterr().out
    assert any(p.is_file() for p in Path("out").rglob("*"))


def test_labels_are_chosen_and_keep_the_order_of_the_workspace(place, capsys):
    with Workspace.open("ws") as workspace:
        for label in ("cat", "dog", "cow"):
            workspace.add_label(label)
        for label in ("dog", "cow", "cat"):
            workspace.put_draft(a_draft(0, label, status="accepted"))
    line = "export --workspace ws --format coco --json --out"
    assert main([*line.split(), "two", "--label", "cow", "cat"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == ["cat", "cow"]
    assert main([*line.split(), "three"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == ["cat", "dog", "cow"]
    assert main([*line.split(), "none", "--label", "hen"]) == 2
    assert "hen" in capsys.readouterr().err


@pytest.mark.parametrize("typed", ["dog", "DOG", "cafe\u0301"])
def test_a_label_is_exported_in_whatever_spelling_it_is_asked_for(place, typed, capsys):
    with Workspace.open("ws") as workspace:
        for label in ("Dog", "Café"):
            workspace.put_draft(a_draft(0, label, status="accepted"))
    line = "export --workspace ws --format coco --json --out out --label"
    assert main([*line.split(), typed]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["labels"] == ["Café" if typed[0] == "c" else "Dog"]
    assert document["written"][0]["drafts"] == 1


def test_an_option_that_says_nothing_to_the_formats_is_refused(place, capsys):
    with Workspace.open("ws") as workspace:
        workspace.put_draft(a_draft(0, status="accepted"))
    assert lfss("export --workspace ws --format yolo --out out --rle") == 2
    assert "--rle is not an option of yolo; it is for coco" in capsys.readouterr().err
    assert lfss("export --workspace ws --format labelme --out out --shapes brush") == 2
    assert not Path("out").exists()


def test_every_option_of_every_format_has_a_flag_that_is_explained(capsys):
    for name, form in FORMATS.items():
        assert set(form.options) - {"labels"} <= set(export._HELP), name
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    text = capsys.readouterr().out
    for option in export._options():
        assert f"--{option.replace('_', '-')}" in text


def test_an_option_of_a_new_format_needs_no_other_file(monkeypatch, capsys):
    def write(drafts, out, *, labels=None, line_end="lf"):
        return []

    form = Format("boxes", "Boxes", write, None, frozenset(), "Open it.")
    monkeypatch.setitem(export.FORMATS, "boxes", form)
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    assert "line end (boxes)" in capsys.readouterr().out


def test_an_export_holds_a_few_masks_at_a_time(place, capsys):
    def peak(first: int, count: int) -> int:
        with Workspace.open("ws") as workspace:
            for number in range(first, first + count):
                workspace.put_draft(a_draft(number, status="accepted", size=(400, 500)))
        tracemalloc.start()
        line = f"export --workspace ws --format png --out out{count}"
        assert lfss(line) == 0
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    few = peak(0, 4)
    assert peak(4, 40) < few + 40 * 400 * 500 / 4
