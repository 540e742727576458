"""The command line: results, exit codes, resuming, stopping, and every bad input, on a fake model."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from lfss import figures
from lfss.__main__ import COMMANDS, main
from lfss.batch import folder, record
from lfss.commands import console
from lfss.errors import LabelError, NoForeground, SupportError, UnknownName, WeightsUnavailable
from lfss.images import Image
from lfss.labels import Label
from lfss.stages import Prediction, Stage

AS_USUAL = {"snap": True, "second_look": False, "overlaps": ()}


@dataclass(frozen=True, eq=False)
class FakeSupport:
    image: Image
    known: np.ndarray | None = None

    @classmethod
    def from_mask(cls, image: Image, mask: np.ndarray) -> FakeSupport:
        return cls(image, mask.astype(np.int8))

    @classmethod
    def from_box(cls, image: Image, box: tuple[int, int, int, int]) -> FakeSupport:
        left, top, right, bottom = box
        if not (0 <= left < right <= image.size[1] and 0 <= top < bottom <= image.size[0]):
            raise SupportError(f"The box {box} does not lie in '{image.name}'.")
        known = np.zeros(image.size, np.int8)
        known[top:bottom, left:right] = -1
        return cls(image, known)

    @classmethod
    def from_scribbles(cls, image: Image, inside: np.ndarray, outside: np.ndarray | None) -> FakeSupport:
        known = np.full(image.size, -1, np.int8)
        known[inside] = 1
        if outside is not None:
            known[outside] = 0
        return cls(image, known)


class FakePredictor:
    """Bright pixels are the object. ``before`` runs ahead of each query and may raise."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.supports: list[FakeSupport] = []
        self.label = Label("none")
        self.options: dict[str, object] = {}
        self.before: Callable[[Image], None] = lambda query: None

    def load(
        self, preset: str = "mini", *, method: str = "lfss", device: str = "auto", models_dir=None
    ) -> FakePredictor:
        if method != "lfss":
            raise UnknownName("method", method, ("lfss", "other"))
        if preset == "far":
            raise WeightsUnavailable("The weights of 'far' are not here. Put them into assets/models.")
        if preset != "mini":
            raise UnknownName("preset", preset, ("mini", "full"))
        return self

    def prepare_classes(self, classes: list[tuple[Label, list[FakeSupport]]]) -> list[Label]:
        self.label, self.supports = classes[0][0], list(classes[0][1])
        self.classes = {label.text: list(supports) for label, supports in classes}
        return [label for label, _ in classes]

    def iterate_classes(
        self, prepared: list[Label], query: Image, **options: Any
    ) -> Iterator[tuple[int, Stage | Prediction]]:
        """Of several labels, each after the first loses a half to the first."""
        self.seen.append(query.name)
        self.options = options
        self.before(query)
        score = query.pixels.max(axis=2).astype(np.float32) / 255
        cells, threshold = score[::4, ::4], options["threshold"]
        stages = (
            Stage("initial_mask", "Initial mask", "mask", (cells > 0.5,) * len(self.supports), cells > 0.5),
            Stage("score", "Score", "map", (), score),
        )
        for number in range(len(prepared)):
            yield from ((number, stage) for stage in stages)
        for number, label in enumerate(prepared):
            mask, lost = score >= threshold, {prepared[0].text: 0.5} if number else {}
            if number:
                mask[:, ::2] = False
            yield number, Prediction(mask, score, 0.75, stages, label, "mini", threshold, 0.01, "lfss", lost)


@pytest.fixture
def model(monkeypatch) -> FakePredictor:
    fake = FakePredictor()
    fakes = {
        "predictor": {"Predictor": fake},
        "prepared": {"Prepared": None},
        "support": {"Support": FakeSupport},
    }
    for name, content in fakes.items():
        module = types.ModuleType(f"lfss.{name}")
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, f"lfss.{name}", module)
    # Imported anew with the fakes, and forgotten afterwards.
    for name in ("lfss.marks", "lfss.commands.classes"):
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]
    return fake


def save_photo(path: Path, *, bright: int = 10, size: tuple[int, int] = (24, 32)) -> Path:
    """A dark picture whose first ``bright`` rows are white."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[:bright] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with two supports and three queries, as working directory."""
    monkeypatch.chdir(tmp_path)
    save_photo(tmp_path / "s1.png")
    save_photo(tmp_path / "s2.png")
    for name, bright in (("photos/2.png", 6), ("photos/10.png", 12), ("photos/sub/2.png", 24)):
        save_photo(tmp_path / name, bright=bright)
    return tmp_path


def segment(*more: str, label: str = "dog", query: tuple[str, ...] = ("photos",), out: str = "out") -> int:
    return main(
        ["segment", "--label", label, "--support", "s1.png", "s2.png", "--query", *query, "--out", out, *more]
    )


def read(path: str) -> np.ndarray:
    return np.asarray(PIL.Image.open(path))


def files(folder: str) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


def test_results_mirror_the_folders_and_the_table_tells_each(place, model, capsys):
    assert segment() == 0
    names = ["10", "2", "sub/2"]
    expected = [f"{n}.{kind}" for n in names for kind in ("mask.png", "overlay.jpg")]
    assert files("out") == sorted([*expected, "lfss-run.json"])
    for name, bright in zip(names, (12, 6, 24)):
        expected_mask = np.repeat(np.arange(24)[:, None] < bright, 32, axis=1) * 255
        np.testing.assert_array_equal(read(f"out/{name}.mask.png"), expected_mask)
        assert read(f"out/{name}.overlay.jpg").shape == (24, 32, 3)
    table = capsys.readouterr().out
    assert [line.split()[:3] for line in table.splitlines()[1:4]] == [
        ["2.png", "25.0%", "75%"], ["10.png", "50.0%", "75%"], ["sub/2.png", "100.0%", "75%"],
    ]  # fmt: skip
    assert "3 done, 0 kept from before, 0 failed" in table


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
    assert all(len(name.encode()) <= 255 for name in masks)
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


def test_the_same_command_goes_on_and_overwrite_starts_again(place, model, capsys):
    assert segment(query=("photos/2.png", "photos/10.png")) == 0
    Path("out/10.mask.png").unlink()
    capsys.readouterr()
    assert segment("--json") == 0
    assert model.seen == ["2.png", "10.png", "10.png", "2.png"]
    document = json.loads(capsys.readouterr().out)
    assert [(r["image"], r["status"]) for r in document["results"]] == [
        ("2.png", "kept"), ("10.png", "done"), ("sub/2.png", "done"),
    ]  # fmt: skip
    assert document["results"][0]["area"] == 0.25
    assert segment("--overwrite") == 0
    assert len(model.seen) == 7


def test_asking_for_stages_later_computes_what_lacks_them(place, model):
    assert segment() == 0
    assert segment("--stages") == 0
    assert len(model.seen) == 6


def test_results_of_other_settings_are_not_mixed(place, model, capsys):
    assert segment() == 0
    for more, words in (
        (("--threshold", "0.7"), "threshold"),
        (("--no-snap",), "snap"),
        (("--second-look",), "second-look"),
        (("--box", "s1.png=1,1,9,9"), "supports"),
    ):
        assert segment(*more) == 2
        assert words in capsys.readouterr().err
    assert segment(label="cat") == 2
    assert segment("--overwrite", label="cat") == 0
    assert segment(label="cat") == 0


def test_a_folder_of_an_earlier_version_goes_on(place, model, capsys):
    assert segment() == 0
    file = Path("out/lfss-run.json")
    document = json.loads(file.read_text())
    del document["origins"]
    earlier = ("image", "status", "mask", "area", "presence", "seconds", "message")
    document["results"] = [{key: entry[key] for key in earlier} for entry in document["results"]]
    file.write_text(json.dumps(document))
    capsys.readouterr()
    assert segment("--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"done": 0, "kept": 3, "failed": 0}


def test_files_of_other_origin_and_damaged_records_are_not_replaced(place, model, capsys):
    save_photo(place / "out" / "2.mask.png")
    assert segment() == 2
    assert "comes from no run" in capsys.readouterr().err
    assert segment("--overwrite") == 0
    Path("out/lfss-run.json").write_text("{")
    assert segment() == 2
    assert "cannot be read" in capsys.readouterr().err


def test_stopping_keeps_what_is_done_and_the_next_run_goes_on(place, model, capsys):
    def stop(query: Image) -> None:
        if query.name == "10.png":
            raise KeyboardInterrupt

    model.before = stop
    assert segment("--json") == 130
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["exit_code"] == 130
    assert document["counts"] == {"done": 1, "kept": 0, "failed": 0}
    assert "Stopped" in document["error"]
    assert files("out") == ["2.mask.png", "2.overlay.jpg", "lfss-run.json"]
    model.before = lambda query: None
    assert segment() == 0
    assert "2 done, 1 kept" in capsys.readouterr().out


def test_stopping_before_the_first_picture_is_a_sentence_too(place, model, monkeypatch, capsys):
    def stop(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "prepare_classes", stop)
    assert segment() == 130
    assert capsys.readouterr().err.strip() == "Stopped."


def test_pictures_that_fail_are_told_and_the_rest_goes_on(place, model, capsys):
    whole = (place / "photos" / "2.png").read_bytes()
    (place / "photos" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (place / "photos" / "text.jpg").write_text("no picture")
    (place / "photos" / "empty.jpg").touch()
    save_photo(place / "photos" / "dot.png", size=(1, 1))

    def fail(query: Image) -> None:
        if query.name == "10.png":
            raise NoForeground("No support shows the object.")

    model.before = fail
    assert segment("--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["counts"] == {"done": 2, "kept": 0, "failed": 5}
    failed = {r["image"]: r["message"] for r in document["results"] if r["status"] == "failed"}
    assert "cut short" in failed["cut.png"]
    assert "not a picture" in failed["text.jpg"]
    assert "is empty" in failed["empty.jpg"]
    assert "1 x 1" in failed["dot.png"]
    assert failed["10.png"] == "No support shows the object."
    model.before = lambda query: None
    assert segment() == 1
    assert "cut.png" in (table := capsys.readouterr().out)
    assert "1 done, 2 kept from before, 4 failed" in table


def test_a_fault_of_the_program_costs_one_picture(place, model, capsys, caplog):
    def fault(query: Image) -> None:
        if query.name == "10.png":
            raise RuntimeError("shapes differ")

    model.before = fault
    assert segment() == 1
    assert "RuntimeError: shapes differ" in capsys.readouterr().out
    assert "fault while segmenting 10.png" in caplog.text


def test_a_full_disk_stops_with_one_sentence_and_keeps_the_rest(place, model, monkeypatch, capsys):
    write = figures.write_atomic

    def full(path: Path, data: bytes, *, sync: bool = True) -> None:
        if path.name == "10.mask.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data, sync=sync)

    monkeypatch.setattr(figures, "write_atomic", full)
    assert segment() == 1
    captured = capsys.readouterr()
    assert "is full" in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert model.seen == ["2.png", "10.png"]
    monkeypatch.setattr(figures, "write_atomic", write)
    assert segment() == 0
    assert "2 done, 1 kept" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_a_sentence(place, model, monkeypatch, capsys):
    def deny(_path: Path, _data: bytes) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(record, "write_atomic", deny)
    assert segment() == 1
    assert "Nothing can be written to 'out' (Permission denied)" in capsys.readouterr().err
    assert model.seen == []


def test_marks_become_supports(place, model):
    mask = np.zeros((24, 32), np.uint8)
    mask[3:9, 4:10] = 255
    PIL.Image.fromarray(mask).save("m=1.png")
    assert segment("--mask", "s1.png=m=1.png", "--box", "s2.png=0,0,5,5", "--box", "s2.png=20,10,30,20") == 0
    first, second = (s.known for s in model.supports)
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first == 1, mask > 0)
    assert (second == -1).sum() == 25 + 100
    assert second[0, 0] == second[19, 29] == -1
    assert second[7, 12] == 0


def test_a_box_around_the_whole_picture_says_nothing(place, model):
    assert segment("--box", "s1.png=0,0,32,24") == 0
    assert model.supports[0].known is None


def test_scribbles_become_supports_and_others_stay_unknown(place, model):
    strokes = np.zeros((24, 32, 3), np.uint8)
    strokes[3, 4:10] = 0, 255, 0
    strokes[20, 4:10] = 255, 0, 0
    PIL.Image.fromarray(strokes).save("strokes.png")
    assert segment("--scribble", "./s2.png=strokes.png") == 0
    first, second = (s.known for s in model.supports)
    assert first is None
    assert second is not None
    assert [(second == value).sum() for value in (1, 0)] == [6, 6]


def bad_marks() -> dict[str, tuple[list[str], str]]:
    return {
        "no such support": (["--box", "s9.png=1,2,3,4"], "names no support"),
        "no equals sign": (["--box", "1,2,3,4"], "names no support"),
        "three numbers": (["--box", "s1.png=1,2,3"], "not four numbers"),
        "not finite": (["--box", "s1.png=1,2,3,inf"], "not four numbers"),
        "outside": (["--box", "s1.png=1,2,3,400"], "does not lie in"),
        "two kinds": (["--box", "s1.png=1,2,3,4", "--mask", "s1.png=s2.png"], "more than one mark"),
        "two masks": (["--mask", "s1.png=s2.png", "--mask", "s1.png=s2.png"], "more than one mark"),
        "mask of another size": (["--mask", "s1.png=wide.png"], "its picture is 24 x 32"),
        "mask without object": (["--mask", "s1.png=black.png"], "marks no pixel"),
        "mask missing": (["--mask", "s1.png=none.png"], "no file 'none.png'"),
        "no strokes": (["--scribble", "s1.png=black.png"], "no stroke"),
    }


@pytest.mark.parametrize("case", bad_marks())
def test_bad_marks_are_refused_before_anything_is_done(case, place, model, capsys):
    save_photo(place / "wide.png", size=(24, 40))
    save_photo(place / "black.png", bright=0)
    more, words = bad_marks()[case]
    assert segment(*more) == 2
    assert words in (told := capsys.readouterr().err)
    assert len(told.strip().splitlines()) == 1
    assert not Path("out").exists()


def test_supports_of_one_name_are_told_apart_by_path(place, model, capsys):
    save_photo(place / "more" / "s1.png")
    line = "segment --label dog --support {} --query photos --out out --overwrite"
    base = line.format("s1.png more/s1.png more").split()
    assert main([*base, "--box", "more/s1.png=1,1,9,9"]) == 0
    assert [s.known is not None for s in model.supports] == [False, True]
    assert main([*base, "--box", "s1.png=1,1,9,9"]) == 0
    assert [s.known is not None for s in model.supports] == [True, False]
    both = line.format("./more/s1.png photos/../s1.png").split()
    assert main([*both, "--box", "s1.png=1,1,9,9"]) == 2
    assert "Several supports" in capsys.readouterr().err


@pytest.mark.parametrize("label", ["", "  ,  ", "x" * 10_000, "🐕🐕"])
def test_bad_labels_are_refused(label, place, model, capsys):
    assert segment(label=label) == 2
    assert "label" in capsys.readouterr().err.lower()
    assert not Path("out").exists()


def bad_inputs() -> dict[str, tuple[str, str]]:
    base = "segment --label dog --support s1.png --query photos --out out"
    return {
        "no query there": (base.replace("photos", "nowhere"), "no file or folder 'nowhere'"),
        "no picture in the folder": (base.replace("photos", "void"), "no picture in 'void'"),
        "no support there": (base.replace("s1.png", "s7.png"), "no file or folder 's7.png'"),
        "support folder without pictures": (base.replace("s1.png", "void"), "at least one photo"),
        "support is no picture": (base.replace("s1.png", "void/note.txt"), "not a picture"),
        "out is a file": (base.replace("--out out", "--out s2.png"), "is a file"),
        "no support": (base.replace("--support s1.png", ""), "at least one photo"),
        "no label": (base.replace("--label dog", ""), "belong to a label"),
        "nothing to search for": ("segment --query photos --out out", "Say what to search for"),
        "two labels alike": (f"{base} --label DOG", "Two labels of this run are 'dog'"),
        "'not' words of no label": (f"{base} --label cat --not wolf", "does not say which"),
        "a box of no label": (f"{base} --label cat --box s1.png=1,1,9,9", "does not say which"),
        "a pair of one": (f"{base} --label cat --may-overlap cat", "names two labels"),
        "two classes to save": (f"{base} --label cat --save-class c.safetensors", "saves one class"),
        "no target": (base.replace("--out out", ""), "Say where results go"),
        "no query": (base.replace("--query photos", ""), "Say which pictures"),
        "engine without a workspace": (f"{base} --engine ray", "--workspace"),
        "list of what is not there": (
            base.replace("--query photos", "--list void/note.txt"),
            "no file or folder 'nothing'",
        ),
        "unknown preset": (f"{base} --preset piaa", "no preset 'piaa'. Known: mini, full"),
    }


@pytest.mark.parametrize("case", bad_inputs())
@pytest.mark.parametrize("json_too", [False, True])
def test_bad_inputs_are_one_sentence_and_exit_2(case, json_too, place, model, capsys):
    (place / "void").mkdir()
    (place / "void" / "note.txt").write_text("nothing")
    line, words = bad_inputs()[case]
    assert main([*line.split(), *(["--json"] if json_too else [])]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    if json_too:
        assert json.loads(captured.out) == {"error": captured.err.strip(), "exit_code": 2}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "dance",
        "segment --label dog --support s1.png --query photos --out out --workspace ws",
        "segment --label dog --support s1.png --query photos --list photos.txt --out out",
        "segment --label dog --support --query photos --out out",
        "segment --label dog --support s1.png --query photos --out out --threshold 1.5",
        "segment --label dog --support s1.png --query photos --out out --threshold nan",
        "segment --label dog --support s1.png --query photos --out out --threshold x",
        "segment --label dog --support s1.png --query photos --workspace ws --workers 0",
    ],
)
def test_bad_flags_exit_2(line, place, model, capsys):
    with pytest.raises(SystemExit) as caught:
        main(line.split())
    assert caught.value.code == 2


def test_missing_weights_exit_3(place, model, capsys):
    assert segment("--preset", "far") == 3
    assert "assets/models" in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_locked_folder_exits_2(place, model, monkeypatch, capsys):
    def deny(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", deny)
    assert segment() == 2
    assert "cannot be read" in capsys.readouterr().err


def test_errors_of_prepare_are_refused(place, model, monkeypatch):
    def refuse(_classes):
        raise LabelError("This model knows no such word.")

    monkeypatch.setattr(model, "prepare_classes", refuse)
    assert segment() == 2


def test_progress_goes_to_stderr_with_the_time_left(place, model, monkeypatch, capsys):
    monkeypatch.setattr(console, "TELL_EVERY", 0.0)
    assert segment("--json") == 0
    captured = capsys.readouterr()
    json.loads(captured.out)
    assert captured.err.splitlines()[0].startswith("2 of 3 pictures, about")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert segment("--overwrite") == 0
    assert "3/3" in capsys.readouterr().err


def test_json_is_plain_ascii_and_holds_odd_names(place, model, capsys):
    save_photo(place / "photos" / "犬 🐕.png")
    assert segment("--json", label="犬") == 0
    text = capsys.readouterr().out
    assert text.isascii()
    assert json.loads(text)["settings"]["label"] == ["犬"]
    assert Path("out/犬 🐕.mask.png").exists()


def test_models_lists_the_presets_and_whether_their_weights_are_here(tmp_path, monkeypatch, capsys):
    common = {"size": 400, "licence": "Apache-2.0", "summary": "Small and quick."}
    presets = [
        types.SimpleNamespace(name="own", local="own", weights="assets/models/own", **common),
        types.SimpleNamespace(name="big", local=None, weights="Hugging Face hub, on first use", **common),
    ]
    module = types.ModuleType("lfss.presets")
    module.__dict__["PRESETS"] = {p.name: p for p in presets}
    monkeypatch.setitem(sys.modules, "lfss.presets", module)
    monkeypatch.setenv("LFSS_MODELS", str(tmp_path))

    def told() -> list[bool | None]:
        assert main(["models", "--json"]) == 0
        return [model["weights_here"] for model in json.loads(capsys.readouterr().out)["models"]]

    assert told() == [False, None]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "model.safetensors").touch()
    assert told() == [True, None]
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert "weights here:" in text
    assert "weights from the Hugging Face hub" in text


@pytest.mark.parametrize("command", ["", "segment", "workspace", "models"])
def test_help_answers_at_once(command):
    line = [command, "--help"] if command else ["--help"]
    code = f"import sys, lfss.__main__ as cli\ntry: cli.main({line})\nexcept SystemExit: pass\n"
    heavy = {"torch", "matplotlib", "gradio"} | ({"cv2"} if command != "workspace" else set())
    check = f"heavy = {heavy} & set(sys.modules); assert not heavy, heavy"
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wanted = {"segment": ["--box dog1.jpg=40,30,200,180"], "": list(COMMANDS)}.get(command, [command])
    assert all(words in done.stdout for words in wanted)


def test_an_unknown_method_lists_the_known_ones(place, model, capsys):
    assert segment("--method", "nonsense") == 2
    assert "method 'nonsense'" in (told := capsys.readouterr().err)
    assert "lfss, other" in told


def test_a_run_from_before_methods_had_names_goes_on(place, model):
    assert segment() == 0
    file = place / "out" / "lfss-run.json"
    document = json.loads(file.read_text())
    assert document["settings"].pop("method") == "lfss"
    file.write_text(json.dumps(document))
    assert segment() == 0
    assert segment("--method", "other") == 2
