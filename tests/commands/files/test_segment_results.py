"""What ``lfss segment --out`` writes, and what it says of it, on a fake model."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
from fake_model import AS_USUAL, files, read, save_photo, segment

from lfss.__main__ import main
from lfss.batch import folder
from lfss.batch.record import RunRecord
from lfss.commands import console
from lfss.labels import Label


def test_results_mirror_the_folders_and_the_table_tells_each(place, model, capsys):
    assert segment() == 0
    names = ["10", "2", "sub/2"]
    expected = [f"{n}.{kind}" for n in names for kind in ("mask.png", "overlay.jpg")]
    assert files("out") == sorted([*expected, "lfss-run.json"])
    for name, bright in zip(names, (12, 6, 24)):
        expected_mask = np.repeat(np.arange(24)[:, None] < bright, 32, axis=1) * 255
        np.testing.assert_array_equal(read(f"out/{name}.mask.png"), expected_mask)
        with PIL.Image.open(f"out/{name}.overlay.jpg") as overlay:
            assert overlay.size == (32, 24)
            assert overlay.quantization[0][0] == 3  # of a quality of 90
    table = capsys.readouterr().out
    assert [line.split()[:3] for line in table.splitlines()[1:4]] == [
        ["2.png", "25.0%", "75%"], ["10.png", "50.0%", "75%"], ["sub/2.png", "100.0%", "75%"],
    ]  # fmt: skip
    assert "3 done, 0 kept from before, 0 failed" in table


def test_a_line_end_in_a_name_does_not_break_the_table(capsys):
    console.print_table([("picture", "mask"), ("new\nline.jpg", "9%")])
    assert capsys.readouterr().out == "picture        mask\nnew\\nline.jpg  9%\n"


def test_a_mask_of_everything_is_never_given_without_saying_so(place, model, capsys):
    assert segment() == 0
    table = capsys.readouterr().out
    assert "The mask covers 100% of the picture: nothing set 'dog' apart from the rest." in table
    assert "On 1 picture the mask of 'dog' covers nearly everything" in table
    assert segment("--json", "--overwrite") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["covers_everything"] == [{"label": "dog", "pictures": 1}]
    told = {entry["image"]: (entry["message"] != "", entry["doubt"]) for entry in document["results"]}
    assert told["sub/2.png"] == (True, 1)
    assert not told["2.png"][0]


def test_label_threshold_and_presence_reach_the_model(place, model):
    assert segment("--not", "cat, wolf", "--threshold", "0.3", "--assume-present", label="dog, puppy") == 0
    assert model.label == Label("dog", ("puppy",), ("cat", "wolf"))
    assert model.options == {"threshold": 0.3, "assume_present": True, **AS_USUAL}
    assert segment("--no-snap", out="plain") == 0
    assert model.options == {"threshold": 0.5, "assume_present": False, **AS_USUAL, "snap": False}


def test_stages_write_a_strip_and_arrays_without_pickle(place, model):
    assert segment("--stages", query=("photos/2.png",)) == 0
    assert read("out/2.stages.png").ndim == 3
    with np.load("out/2.stages.npz", allow_pickle=False) as arrays:
        assert sorted(arrays) == [
            "initial_mask.query", "initial_mask.support1", "initial_mask.support2", "score.query",
        ]  # fmt: skip
        assert arrays["score.query"].shape == (24, 32)
        assert arrays["initial_mask.query"].dtype == np.bool_


def test_several_labels_get_a_folder_each_and_a_picture_is_read_once(place, model, capsys):
    line = "segment --label dog --label Cat:1 --support s1.png Cat:1=s2.png --query photos --out out"
    line += " --not dog=wolf"
    assert main([*line.split(), "--may-overlap", "dog,Cat:1"]) == 0
    assert sorted(f for f in files("out") if "mask" in f) == sorted(
        f"{label}/{n}.mask.png" for label in ("dog", "Cat_1") for n in ("10", "2", "sub/2")
    )
    assert len(model.seen) == 3
    assert {name: len(supports) for name, supports in model.classes.items()} == {"dog": 1, "Cat:1": 2}
    assert model.label == Label("dog", (), ("wolf",))
    assert model.options["overlaps"] == (("dog", "Cat:1"),)
    text = capsys.readouterr().out
    assert "6 done, 0 kept from before, 0 failed" in text
    assert text.splitlines()[0].split() == [
        "picture",
        "label",
        "mask",
        "present",
        "lost",
        "to",
        "seconds",
        "status",
    ]
    assert "dog 50.0%" in text
    assert "On 3 pictures 'dog' got pixels that 'Cat:1' claimed too, 50.0% of its mask on average." in text
    Path("out/Cat_1/2.mask.png").unlink()
    assert main([*line.split(), "--may-overlap", "dog,Cat:1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["counts"] == {"done": 2, "kept": 4, "failed": 0}
    assert document["results"][1]["lost"] == {"dog": 0.5}
    assert main(line.split()) == 2
    assert "another --may-overlap" in capsys.readouterr().err


def test_marks_of_one_of_several_labels(place, model):
    line = "segment --label dog --label cat --support s1.png s2.png --query photos --out out"
    assert main([*line.split(), "--box", "CAT=s1.png=1,1,9,9", "--box", "dog=s2.png=0,0,5,5"]) == 0
    marked = {name: [s.known is not None for s in supports] for name, supports in model.classes.items()}
    assert marked == {"dog": [False, True], "cat": [True, False]}


def test_a_file_whose_name_begins_like_a_label_is_written_with_its_folder(place, model):
    save_photo(place / "dog=a.png")
    line = "segment --label dog --support ./dog=a.png --query photos --out out"
    assert main(line.split()) == 0
    assert model.supports[0].image.name == "dog=a.png"


def test_folders_of_labels_that_would_fall_together_are_numbered_from_one(place, model):
    line = "segment --label a/b --label c/b --support s1.png --query photos/2.png --out out"
    assert main(line.split()) == 0
    assert [f for f in files("out") if "mask" in f] == ["b-1/2.mask.png", "b-2/2.mask.png"]


def test_pictures_with_equal_stems_or_names_do_not_meet(place, model):
    save_photo(place / "photos" / "2.JPG", bright=3)
    save_photo(place / "other" / "2.png", bright=1)
    assert segment(query=("photos", "other/2.png")) == 0
    masks = [f for f in files("out") if f.endswith("mask.png")]
    assert masks == [
        "other/2.mask.png", "photos/10.mask.png", "photos/2.JPG.mask.png", "photos/2.png.mask.png",
        "photos/sub/2.mask.png",
    ]  # fmt: skip
    assert read("out/other/2.mask.png").mean() < read("out/photos/2.png.mask.png").mean()


def test_names_too_long_for_an_ending_are_cut_and_kept_apart(place, model):
    names = ["w" * 247 + "1.png", "w" * 247 + "2.png", "é" * 120 + ".png", "short.png"]
    for name in names:
        save_photo(place / "photos" / name)
    assert segment("--stages") == 0
    masks = sorted(p.name for p in (place / "out").rglob("*.mask.png"))
    assert len(masks) == 3 + len(names)
    assert all(len(p.name.encode()) <= 240 for p in (place / "out").rglob("*"))
    assert "short.mask.png" in masks
    assert segment("--stages") == 0  # goes on with the same names


def test_a_result_whose_name_the_disk_refuses_costs_that_picture(place, model, monkeypatch, capsys):
    def refuse(path, *rest, **more):
        if path.name.startswith("10."):
            raise OSError(errno.ENAMETOOLONG, "File name too long")
        return write(path, *rest, **more)

    write = folder.write_atomic
    monkeypatch.setattr(folder, "write_atomic", refuse)
    assert segment() == 1
    assert "Shorten the name of the picture" in capsys.readouterr().out


def test_files_that_are_no_pictures_are_counted(place, model, caplog):
    for name in ("a.mov", "b.mov", "notes.txt"):
        (place / "photos" / name).touch()
    assert segment() == 0
    assert "3 files are no pictures (.mov 2, .txt 1)" in caplog.text


def test_results_among_the_queries_are_not_segmented_again(place, model):
    assert segment(out="photos") == 0
    assert segment("--overwrite", out="photos") == 0
    assert len(model.seen) == 6


def test_queries_above_the_working_folder_stay_inside_the_output(place, model, monkeypatch):
    (place / "work").mkdir()
    monkeypatch.chdir(place / "work")
    line = "segment --label dog --support ../s1.png --query ../photos --out out"
    assert main(line.split()) == 0
    assert len([f for f in files("out") if f.endswith("mask.png")]) == 3


def test_the_record_is_written_before_and_after_a_short_run_and_not_with_each_picture(
    place, model, monkeypatch
):
    saved, save = [], RunRecord.save
    monkeypatch.setattr(RunRecord, "save", lambda self, out: saved.append(out) or save(self, out))
    assert segment() == 0
    assert len(saved) == 2


def test_progress_goes_to_stderr_with_the_time_left(place, model, monkeypatch, capsys):
    monkeypatch.setattr(console, "TELL_EVERY", 0.0)
    assert segment("--json") == 0
    captured = capsys.readouterr()
    json.loads(captured.out)
    assert captured.err.splitlines()[0].startswith("2 of 3 pictures, about")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert segment("--overwrite") == 0
    assert "3/3" in capsys.readouterr().err


def test_progress_is_told_now_and_then_with_the_time_that_the_rest_takes(monkeypatch, capsys):
    seconds = iter([0.0, 100.0, 104.0, 112.0, 113.0])  # at the start, then after each picture
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    assert list(console.with_progress("abcd", 10)) == list("abcd")
    assert capsys.readouterr().err == "3 of 10 pictures, about 42 s left\n"


def test_json_is_plain_ascii_and_holds_odd_names(place, model, capsys):
    save_photo(place / "photos" / "犬 🐕.png")
    assert segment("--json", label="犬") == 0
    text = capsys.readouterr().out
    assert text.isascii()
    assert json.loads(text)["settings"]["label"] == ["犬"]
    assert Path("out/犬 🐕.mask.png").exists()
