"""The command line with a workspace: fill, resume, look, export, import, and saved classes."""

from __future__ import annotations

import json
import sys
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from fakes import preset as fake_preset
from fakes import scene
from samples import a_draft, digest_of, write_photo

from lfss.__main__ import main
from lfss.annotations import FORMATS, Format
from lfss.annotations.bundle import verify_bundle
from lfss.commands import export, report
from lfss.drafts import STATUSES
from lfss.errors import WorkspaceError
from lfss.images import read_image
from lfss.presets import PRESETS
from lfss.workspace import Workspace

AS_USUAL = {"snap": True, "second_look": False, "overlaps": ()}


def save_scene(path: Path, seed: int, box: tuple[int, int, int, int] = (40, 50, 100, 120)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(scene(size=(144, 160), box=box, seed=seed)).save(path)
    return path


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A support and three queries with a red rectangle, in the working directory."""
    monkeypatch.chdir(tmp_path)
    save_scene(tmp_path / "s.png", 0)
    for seed, name in enumerate(("a", "b", "c"), start=1):
        save_scene(tmp_path / "photos" / f"{name}.png", seed)
    return tmp_path


def segment(*more: str, to: str = "--workspace ws", what: str = "--label red --support s.png") -> int:
    pictures = () if "--list" in more or "--query" in more else ("--query", "photos")
    line = f"segment {what} {to} --preset tests.fakes:preset --device cpu"
    return main([*line.split(), *pictures, *more])


def lfss(line: str) -> int:
    return main(line.split())


def rows(folder: str = "ws") -> dict[str, str]:
    with Workspace.open(folder, create=False) as workspace:
        return {row.name: row.status for row in workspace.overview()}


def decide(folder: str = "ws", **states: str) -> None:
    """Give the draft of ``a.png`` and so on a state."""
    with Workspace.open(folder, create=False) as workspace:
        for row in workspace.overview():
            if state := states.get(Path(row.name).stem):
                workspace.set_status(row.digest, row.label, state)  # type: ignore[arg-type]


# segment --workspace


def test_a_workspace_is_filled_and_knows_who_made_each_draft(place, capsys):
    assert segment("--threshold", "0.4", "--no-snap") == 0
    text = capsys.readouterr().out
    assert "3 done, 0 kept from before, 0 failed" in text
    assert "python app.py --workspace ws" in text
    with Workspace.open("ws", create=False) as workspace:
        drafts = workspace.drafts("red")
        truth = np.zeros((144, 160), bool)
        truth[40:100, 50:120] = True
        for draft in drafts:
            assert (draft.mask & truth).sum() / (draft.mask | truth).sum() > 0.8
            assert draft.origin.threshold == 0.4
            assert draft.origin.settings == {"assume_present": "no", "snap": "no"}
            assert draft.origin.supports == (read_image("s.png").digest,)
        assert [support.picture.name for support in workspace.supports("red")] == ["s.png"]


def test_the_same_command_goes_on_where_it_stopped(place, monkeypatch, capsys):
    from lfss.predictor import Predictor

    asked, iterate = [], Predictor.iterate_classes

    def stop_at_b(self, prepared, query, **options):
        asked.append(query.name)
        if query.name == "b.png" and asked.count("b.png") == 1:
            raise KeyboardInterrupt
        return iterate(self, prepared, query, **options)

    monkeypatch.setattr(Predictor, "iterate_classes", stop_at_b)
    assert segment("--json") == 130
    document = json.loads(capsys.readouterr().out)
    assert document["counts"] == {"done": 1, "kept": 0, "failed": 0}
    assert "goes on from here" in document["error"]
    assert segment("--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"done": 2, "kept": 1, "failed": 0}
    assert asked == ["a.png", "b.png", "b.png", "c.png"]


def test_copies_of_a_picture_are_named(place, capsys):
    for name in ("a1", "a2"):
        (place / "photos" / f"{name}.png").write_bytes((place / "photos/a.png").read_bytes())
    assert segment() == 0
    out = capsys.readouterr().out
    assert "2 pictures have the same pixels as 'a1.png' and share its draft." in out
    assert "of earlier stayed" not in out
    assert segment("--json") == 0
    assert "copies" not in json.loads(capsys.readouterr().out), "what is known already is told once"


def test_a_list_is_read_and_what_fails_is_told_and_tried_again(place, capsys):
    Path("photos.txt").write_text("photos/a.png\n\nphotos/none.png\nphotos/c.png\n")
    assert segment("--list", "photos.txt") == 1
    text = capsys.readouterr().out
    assert "photos/none.png" in text
    assert "2 done, 0 kept from before, 1 failed" in text
    save_scene(place / "photos" / "none.png", 9)
    assert segment("--list", "photos.txt") == 0
    assert "1 done, 2 kept from before, 0 failed" in capsys.readouterr().out


def test_a_list_goes_to_files_too(place):
    Path("photos.txt").write_text("photos/a.png\nphotos/c.png\n")
    assert segment("--list", "photos.txt", to="--out out") == 0
    assert sorted(p.name for p in Path("out").glob("*.mask.png")) == ["a.mask.png", "c.mask.png"]


def test_a_long_list_takes_no_more_memory_than_a_short_one(place):
    assert segment("--query", "photos/a.png") == 0

    def peak(lines: int) -> int:
        Path("photos.txt").write_text("photos/a.png\n" * lines)
        tracemalloc.start()
        assert segment("--list", "photos.txt", "--json") == 0
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(10)  # what is loaded once
    assert peak(1000) < peak(10) + 200_000


def test_supports_of_the_workspace_serve_where_none_are_given(place, capsys):
    assert segment("--query", "photos/a.png", "--box", "s.png=45,35,125,105") == 0
    assert segment(what="--label red") == 0
    with Workspace.open("ws", create=False) as workspace:
        (kept,) = workspace.supports("red")
        assert (kept.known == 0).any()  # the box stays
        assert len(workspace.drafts("red")) == 3
    assert segment(what="--label blue") == 2
    assert "no supports for 'blue'" in capsys.readouterr().err


def test_drafts_that_nobody_has_checked_are_made_again_when_asked_for(place):
    assert segment("--threshold", "0.9") == 0
    decide(a="accepted")
    assert segment("--overwrite", "--threshold", "0.2") == 0
    with Workspace.open("ws", create=False) as workspace:
        used = {d.image_name: d.origin.threshold for d in workspace.drafts("red")}
        assert used == {"a.png": 0.9, "b.png": 0.2, "c.png": 0.2}
        digest = next(d.image_digest for d in workspace.drafts("red") if d.image_name == "b.png")
        assert workspace.undo(digest, "red").origin.threshold == 0.9


def bad_lines() -> dict[str, tuple[str, str]]:
    base = "segment --label red --support s.png --query photos --workspace ws --preset tests.fakes:preset"
    return {
        "stages": (f"{base} --stages", "belongs to --out"),
        "ray and again": (f"{base} --engine ray --overwrite", "fills in what is missing"),
        "no list": (base.replace("--query photos", "--list none.txt"), "There is no file 'none.txt'"),
        "empty list": (base.replace("--query photos", "--list empty.txt"), "names no picture"),
        "no supports": (base.replace("--support s.png", ""), "no supports for 'red'"),
        "empty folder": (base.replace("--query photos", "--query void"), "no picture in 'void'"),
        "class and supports": (base.replace("--label red", "--class c.safetensors"), "has its label"),
        "no such class": (
            base.replace("--label red --support s.png", "--class c.safetensors"),
            "There is no file 'c.safetensors'",
        ),
        "ray and a class": (
            base.replace("--label red --support s.png", "--class c.safetensors --engine ray"),
            "prepares the class on each machine",
        ),
        "folder is a file": (base.replace("--workspace ws", "--workspace s.png"), "s.png"),
        "not a workspace": ("workspace photos", "photos"),
        "nothing there": ("export --workspace none --format coco --out out", "none"),
        "unknown format": ("export --workspace ws --format cooc --out out", "no format 'cooc'. Known: coco"),
        "unreadable format": ("import --workspace ws --format coco-results x.json", "can only be written"),
        "nothing to import": ("import --workspace ws --format coco none.json", "no file of this format"),
        "label of coco": ("import --workspace ws --format coco x.json --label a", "--label is for png"),
    }


@pytest.mark.parametrize("case", bad_lines())
def test_bad_input_is_one_sentence_and_leaves_nothing_behind(case, place, capsys):
    (place / "void").mkdir()
    (place / "empty.txt").touch()
    line, words = bad_lines()[case]
    assert main([*line.split(), "--json"]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert json.loads(captured.out) == {"error": captured.err.strip(), "exit_code": 2}
    assert not Path("ws").exists()


def test_a_workspace_that_fails_under_way_stops_with_one_sentence(place, monkeypatch, capsys):
    def full(*_args, **_options):
        raise WorkspaceError("The disk is full. Make room and run the same command again.")

    monkeypatch.setattr(Workspace, "put_packed", full)
    assert segment() == 1
    captured = capsys.readouterr()
    assert "The disk is full" in captured.err
    assert "0 done" in captured.out


def test_without_ray_one_sentence_says_how_to_get_it(place, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert segment("--engine", "ray") == 2
    assert "pip install 'ray[default]'" in capsys.readouterr().err
    assert not Path("ws").exists()


def test_the_cluster_gets_the_classes_the_list_and_the_options(place, monkeypatch, capsys):
    from lfss.batch import on_ray
    from lfss.batch.loop import here

    asked = {}

    def one_here(load, sink, *, workers, gpus):
        asked.update(workers=workers, gpus=gpus, options=load.options, device=load.device)
        return here(load(), sink)

    monkeypatch.setattr(on_ray, "connect", lambda address: asked.update(address=address))
    monkeypatch.setattr(on_ray, "on_ray", one_here)
    more = "--engine ray --ray-address head:6379 --workers 2 --gpus 0.5 --threshold 0.4 --assume-present"
    assert segment(*more.split()) == 0
    assert asked == {
        "address": "head:6379",
        "workers": 2,
        "gpus": 0.5,
        "device": "cpu",
        "options": {"threshold": 0.4, "assume_present": True, **AS_USUAL},
    }
    assert "3 done" in capsys.readouterr().out


# Several labels, and going on with what a workspace has


def two_scenes(place: Path) -> None:
    """Photos with a red and a blue rectangle, which lie side by side."""
    for seed, name in ((11, "two"), (12, "too")):
        pixels = scene(size=(144, 160), box=(40, 10, 100, 70), seed=seed)
        pixels[40:100, 90:150] = scene("blue", size=(144, 160), box=(0, 0, 144, 160), seed=seed)[
            40:100, 90:150
        ]
        (place / "both").mkdir(exist_ok=True)
        PIL.Image.fromarray(pixels).save(place / "both" / f"{name}.png")


BOTH = "--label red --label blue --support red=s.png blue=both/two.png --not red=yellow"


def test_labels_of_one_run_compete_and_each_picture_is_read_and_encoded_once(place, monkeypatch, capsys):
    from lfss.predictor import Predictor

    two_scenes(place)
    encoded, encode = [], Predictor.encode
    monkeypatch.setattr(
        Predictor, "encode", lambda self, image: encoded.append(image.name) or encode(self, image)
    )
    assert segment("--query", "both", what=BOTH) == 0
    assert sorted(encoded) == ["s.png", "too.png", "two.png", "two.png"]  # two.png is also a support
    assert "4 done, 0 kept" in capsys.readouterr().out
    with Workspace.open("ws", create=False) as workspace:
        for picture in {d.image_digest for d in workspace.drafts()}:
            red, blue = (workspace.draft(picture, label) for label in ("red", "blue"))
            assert red.mask[50:90, 20:60].mean() > 0.9
            assert blue.mask[50:90, 100:140].mean() > 0.9
            assert not (red.mask & blue.mask).any()


def test_what_a_label_lost_is_stored_told_and_not_taken_back(place, monkeypatch, capsys):
    from lfss.predictor import Predictor

    iterate = Predictor.iterate_classes

    def lose(self, prepared, query, **options):
        for number, item in iterate(self, prepared, query, **options):
            if number and hasattr(item, "mask"):
                item = replace(item, mask=item.mask & False, lost={"red": 1.0})
            yield number, item

    monkeypatch.setattr(Predictor, "iterate_classes", lose)
    line = ("--label", "red", "--label", "Crimson, red")
    assert segment("--query", "photos/a.png", *line, what="--support s.png") == 0
    text = capsys.readouterr().out
    assert "On 1 picture 'red' got pixels that 'Crimson' claimed too, 100.0% of its mask" in text
    with Workspace.open("ws", create=False) as workspace:
        (digest,) = {d.image_digest for d in workspace.drafts()}
        assert workspace.draft(digest, "Crimson").lost == {"red": 1.0}
        assert workspace.draft(digest, "red").mask.any()
        workspace.rethreshold("Crimson", 0.4)
        both = workspace.draft(digest, "Crimson").mask & workspace.draft(digest, "red").mask
        assert not both.any()


@pytest.fixture
def registered(monkeypatch) -> None:
    """The fake preset is one of this program: a workspace may name it."""
    monkeypatch.setitem(PRESETS, "tests.fakes:preset", fake_preset())


def test_a_command_without_a_label_goes_on_with_the_labels_of_the_workspace(place, registered, capsys):
    two_scenes(place)
    assert segment("--query", "both/two.png", "--threshold", "0.4", what=BOTH) == 0
    assert segment("--query", "both/two.png", "--threshold", "0.4", what=BOTH) == 0
    Path("more.txt").write_text("both/two.png\nboth/too.png\n")
    capsys.readouterr()
    assert lfss("segment --workspace ws --list more.txt --device cpu --json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["labels"], document["counts"]) == (["red", "blue"], {"done": 2, "kept": 2, "failed": 0})
    with Workspace.open("ws", create=False) as workspace:
        made = {(d.label, d.image_name): d for d in workspace.drafts()}
        for label in ("red", "blue"):
            one, other = made[label, "two.png"].origin, made[label, "too.png"].origin
            assert one == other
            assert one.threshold == 0.4
        assert made["red", "too.png"].origin.label == "red (not: yellow)"
        assert [(c.preset, c.method) for c in workspace.labels()] == [("tests.fakes:preset", "lfss")] * 2
    assert lfss("segment --workspace ws --list more.txt --device cpu --label RED --overwrite") == 0
    with Workspace.open("ws", create=False) as workspace:
        assert [c.name for c in workspace.labels()] == ["red", "blue"]
        assert workspace.labels()[0].label.distractors == ("yellow",)


def test_different_thresholds_of_labels_must_be_settled(place, registered, capsys):
    assert segment("--threshold", "0.4") == 0
    assert segment("--threshold", "0.6", what="--label blue --support s.png") == 0
    line = "segment --workspace ws --query photos --device cpu"
    assert lfss(line) == 2
    assert "('red' 0.4, 'blue' 0.6)" in capsys.readouterr().err
    assert lfss(f"{line} --threshold 0.5") == 0


def test_a_workspace_without_supports_has_nothing_to_go_on_with(place, capsys):
    with Workspace.open("ws") as workspace:
        workspace.add_label("red")
    assert lfss("segment --workspace ws --query photos") == 2
    assert "no label with supports to go on with" in capsys.readouterr().err


def test_a_saved_class_stays_with_the_workspace(place, capsys):
    assert segment("--save-class", "red.safetensors", to="--out direct") == 0
    assert segment("--query", "photos/a.png", what="--class red.safetensors") == 0
    Path("red.safetensors").unlink()
    assert lfss("segment --workspace ws --query photos --preset tests.fakes:preset --device cpu") == 0
    assert len(rows()) == 3
    with Workspace.open("ws", create=False) as workspace:
        assert {d.origin.supports for d in workspace.drafts()} == {(read_image("s.png").digest,)}


# Saved classes


def test_a_saved_class_gives_the_same_masks_as_its_supports(place, capsys):
    assert segment("--save-class", "classes/red.safetensors", to="--out direct") == 0
    assert segment(to="--out saved", what="--class classes/red.safetensors") == 0
    for name in ("a", "b", "c"):
        first, second = (
            np.asarray(PIL.Image.open(f"{out}/{name}.mask.png")) > 0 for out in ("direct", "saved")
        )
        assert (first & second).sum() / (first | second).sum() > 0.99
    assert segment(to="--workspace ws", what="--class classes/red.safetensors") == 0
    assert len(rows()) == 3


def test_a_class_is_saved_without_any_query(place, capsys):
    line = "segment --label red --support s.png --preset tests.fakes:preset --save-class red.safetensors"
    assert lfss(line) == 0
    assert "--class red.safetensors" in capsys.readouterr().out
    assert Path("red.safetensors").is_file()
    assert main([*line.split(), "--query", "photos"]) == 2
    (place / "file").touch()
    assert main([*line.split()[:-1], "file/red.safetensors"]) == 2
    assert "cannot be saved" in capsys.readouterr().err


def test_a_class_of_another_preset_is_refused(place, monkeypatch, capsys):
    import fakes

    assert segment("--save-class", "red.safetensors", to="--out out") == 0
    from lfss.prepared import Prepared

    load = Prepared.load.__func__

    def other(cls, path, **options):
        from dataclasses import replace

        return replace(load(cls, path, **options), preset="mini")

    monkeypatch.setattr(Prepared, "load", classmethod(other))
    assert fakes.preset().name == "fake"
    assert segment(to="--out again", what="--class red.safetensors") == 2
    assert "prepared with the preset 'mini', not with 'fake'" in capsys.readouterr().err


# workspace


def test_the_table_counts_drafts_by_state(place, capsys):
    (place / "photos" / "text.jpg").write_text("no picture")
    assert segment() == 1
    decide(a="accepted", b="absent")
    capsys.readouterr()
    assert main(["workspace", "ws"]) == 0
    head, line, _, total = capsys.readouterr().out.splitlines()
    assert head.split() == ["label", *STATUSES, "failed"]
    assert line.split() == ["red", "1", "0", "1", "0", "1", "1"]
    assert total.startswith("4 pictures, 3 drafts, ")  # the support is a picture too
    assert main(["workspace", "ws", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["drafts"]["red"] == {"accepted": 1, "absent": 1, "proposed": 1}
    (label,) = document["labels"]
    assert (label["name"], label["supports"], len(label["failures"])) == ("red", 1, 1)


def test_check_tells_what_was_moved_and_rename_takes_the_drafts_along(place, capsys):
    assert segment() == 0
    assert lfss("workspace ws --check --rename red crimson") == 0
    assert "All is whole." in capsys.readouterr().out
    assert lfss("workspace ws --rename red scarlet") == 2
    Path("photos/b.png").unlink()
    assert lfss("workspace ws --check --json") == 1
    document = json.loads(capsys.readouterr().out)
    assert "b.png" in document["problems"][0]
    assert document["drafts"] == {"crimson": {"proposed": 3}}


# export


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


# import


def test_an_export_comes_back_into_another_workspace(place, capsys):
    assert segment() == 0
    decide(a="accepted", b="absent")
    line = "export --workspace ws --format coco --rle --images --out out --status accepted absent proposed"
    assert lfss(line) == 0
    assert lfss("import --workspace other --format coco out --images out/images/default") == 0
    assert "3 drafts imported" in capsys.readouterr().out
    assert rows("other") == rows()
    with Workspace.open("ws") as one, Workspace.open("other") as two:
        for draft in one.drafts("red"):
            again = two.draft(draft.image_digest, "red")
            assert again is not None
            np.testing.assert_array_equal(again.mask, draft.mask)


@pytest.mark.parametrize("what", ["--label red --support s.png", BOTH])
def test_a_folder_of_results_comes_into_a_workspace_as_if_made_there(place, what, capsys):
    two_scenes(place)
    line = ("--query", "both", "photos/a.png", "--threshold", "0.4")
    assert segment(*line, what=what) == 0
    assert segment(*line, what=what, to="--out out") == 0
    assert lfss("import --workspace other --format png out --images .") == 0
    with Workspace.open("ws", create=False) as one, Workspace.open("other") as two:
        assert len(one.drafts()) == len(two.drafts()) > 2
        for draft in one.drafts():
            again = two.draft(draft.image_digest, draft.label)
            np.testing.assert_array_equal(again.mask, draft.mask)
            for name in ("status", "score", "presence", "doubt", "lost", "origin", "image_path"):
                assert getattr(again, name) == getattr(draft, name), name
    capsys.readouterr()
    assert lfss("import --workspace other --format png out --images .") == 0
    assert "0 drafts imported" in capsys.readouterr().out


def test_a_record_that_names_a_file_elsewhere_is_not_followed(place, capsys):
    assert segment("--query", "photos/a.png", to="--out out") == 0
    file = Path("out/lfss-run.json")
    document = json.loads(file.read_text())
    document["results"][0]["file"] = "../photos/b.png"
    file.write_text(json.dumps(document))
    assert lfss("import --workspace other --format png out --images photos") == 1
    assert "does not lie in the folder of the run" in capsys.readouterr().out


def coco_file(*shapes: tuple[str, str], path: str = "found.json") -> str:
    """A COCO file of another program: a square for each (picture, label), each further to the right."""
    pictures, labels = (list(dict.fromkeys(column)) for column in zip(*shapes))
    annotations = []
    for place, (picture, label) in enumerate(shapes):
        left = 10 + 30 * place
        corners = [left, 10, left + 20, 10, left + 20, 30, left, 30]
        annotations.append(
            {
                "image_id": pictures.index(picture),
                "category_id": labels.index(label),
                "segmentation": [corners],
            }
        )
    document = {
        "images": [
            {"id": i, "file_name": name, "height": 144, "width": 160} for i, name in enumerate(pictures)
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(labels)],
        "annotations": annotations,
    }
    Path(path).write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("more", [(), ("--as-supports",)])
def test_two_spellings_of_a_label_are_imported_as_one(place, more, capsys):
    assert segment() == 0
    with Workspace.open("ws") as workspace:
        workspace.add_label("Dog")
    file = coco_file(("a.png", "dog"), ("a.png", "DOG"))
    assert main(["import", "--workspace", "ws", "--format", "coco", file, *more]) == 0
    with Workspace.open("ws") as workspace:
        assert [category.name for category in workspace.labels()] == ["red", "Dog"]
        if more:
            (known,) = [support.known == 1 for support in workspace.supports("dog")]
        else:
            known = workspace.drafts("dog")[0].mask
        assert known[20, 20]
        assert known[20, 50]


def test_objects_of_one_label_become_one_mask_and_pictures_are_found_by_name(place, capsys):
    assert segment() == 0
    file = coco_file(("a.png", "dog"), ("a.png", "dog"), ("a.png", "cat"), ("x.png", "dog"))
    assert main(["import", "--workspace", "ws", "--format", "coco", file, "--json"]) == 1
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (document["stored"], document["kept"], document["joined"]) == (2, 0, 1)
    assert "'x.png' is not among the 4 pictures in the workspace" in document["problems"][0]
    with Workspace.open("ws") as workspace:
        (dog,) = workspace.drafts("dog")
        assert (dog.mask.sum(), dog.status, dog.image_name) == (800, "accepted", "a.png")


def test_masks_on_copies_of_one_picture_are_not_lost_in_silence(place, capsys):
    (place / "photos/a2.png").write_bytes((place / "photos/a.png").read_bytes())
    (place / "masks").mkdir()
    for name, columns in (("a", 40), ("a2", 40), ("b", 30)):
        mask = np.zeros((144, 160), np.uint8)
        mask[20:60, :columns] = 255
        PIL.Image.fromarray(mask).save(place / "masks" / f"{name}.png")
    line = "import --workspace ws --format png masks --label dog --images photos"
    assert lfss(line) == 0
    assert "has the same pixels as" in capsys.readouterr().out
    PIL.Image.fromarray(np.eye(144, 160, dtype=np.uint8) * 255).save(place / "masks/a2.png")
    assert lfss(line + " --overwrite") == 1
    assert "Left out: 'photos/a2.png' has the same pixels as 'photos/a.png'" in capsys.readouterr().out


def test_drafts_that_are_there_stay_unless_they_may_be_replaced(place, capsys):
    assert segment() == 0
    line = ["import", "--workspace", "ws", "--format", "coco", coco_file(("a.png", "red"))]
    assert main(line) == 0
    assert "0 drafts imported, 1 already there" in capsys.readouterr().out
    assert main([*line, "--overwrite", "--status", "edited"]) == 0
    digest = read_image("photos/a.png").digest
    with Workspace.open("ws") as workspace:
        assert workspace.draft(digest, "red").mask.sum() == 400
        assert workspace.undo(digest, "red").status == "proposed"


def test_masks_become_supports(place, capsys):
    file = coco_file(("a.png", "red"))
    line = f"import --workspace ws --format coco {file} --images photos --as-supports"
    assert lfss(line) == 0
    assert "1 support imported" in capsys.readouterr().out
    with Workspace.open("ws") as workspace:
        (support,) = workspace.supports("red")
        assert ((support.known == 1).sum(), (support.known == 0).sum()) == (400, 144 * 160 - 400)
    assert segment(what="--label red") == 0
    assert len(rows()) == 3


def test_black_and_white_masks_need_their_label(place, capsys):
    write_photo(place / "masks" / "a.png", size=(144, 160))
    line = "import --workspace ws --format png masks --images photos"
    assert lfss(line) == 2
    assert main([*line.split(), "--label", "dog"]) == 0
    assert rows() == {"a.png": "accepted"}


def test_a_mask_of_another_size_costs_only_itself(place, capsys):
    with Workspace.open("ws") as workspace:
        workspace.put_draft(a_draft(0, "cow", image_name="a.png", image_digest=digest_of(0)))
        workspace.put_draft(a_draft(1, "cow", image_name="b.png", size=(144, 160)))
    file = coco_file(("a.png", "dog"), ("b.png", "dog"))
    assert main(["import", "--workspace", "ws", "--format", "coco", file]) == 1
    text = capsys.readouterr().out
    assert "1 draft imported" in text
    assert "'found.json', 'a.png': The picture 'a.png' is 60 x 80" in text


def test_an_import_that_cannot_be_stored_stops_at_once(place, monkeypatch, capsys):
    file = coco_file(("a.png", "dog"), ("b.png", "dog"))

    def locked(*_args, **_options):
        raise WorkspaceError("Another program is writing to the workspace.")

    monkeypatch.setattr(Workspace, "put_draft", locked)
    assert main(["import", "--workspace", "ws", "--format", "coco", file, "--images", "photos"]) == 1
    text = capsys.readouterr().out
    assert text.count("Another program is writing") == 1
    assert "0 drafts imported" in text


def test_a_support_without_its_picture_costs_only_itself(place, capsys):
    with Workspace.open("ws") as workspace:
        workspace.put_draft(a_draft(0, "red", status="accepted"))
        workspace.add_image("photos/a.png")
    assert lfss("export --workspace ws --format coco --out out") == 0
    line = "import --workspace other --format coco out --as-supports"
    assert lfss(line) == 1
    assert "not in the workspace" in capsys.readouterr().out


def test_failures_beyond_a_hundred_are_counted(place, monkeypatch, capsys):
    monkeypatch.setattr(report, "MOST_TOLD", 2)
    for number in range(5):
        (place / "photos" / f"text{number}.jpg").write_text("no picture")
    assert segment() == 1
    text = capsys.readouterr().out
    assert "and 3 more pictures" in text
    assert sum("text" in line for line in text.splitlines()) == 2
