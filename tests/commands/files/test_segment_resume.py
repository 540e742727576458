"""``lfss segment --out`` goes on where it stopped, and what fails costs one picture."""

from __future__ import annotations

import errno
import json
import tracemalloc
from pathlib import Path

import pytest
from fake_model import files, save_photo, segment

from lfss import figures
from lfss.batch import record
from lfss.errors import InputError, NoForeground
from lfss.images import Image


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


def test_a_run_of_which_nothing_came_does_not_hold_its_folder(place, model, capsys):
    def fail(query: Image) -> None:
        raise NoForeground("No support shows the object.")

    model.before = fail
    assert segment(label="cat") == 1
    model.before = lambda query: None
    assert segment() == 0
    assert segment(label="cat") == 2
    file = Path("out/lfss-run.json")
    whole = file.read_text()
    file.write_text(record_without_results())  # of a program killed before it noted a mask
    assert segment(label="cat") == 2
    file.write_text(whole)
    for mask in Path("out").rglob("*.mask.png"):  # moved elsewhere; overlays of the run are there still
        mask.unlink()
    assert segment(label="cat") == 2


def record_without_results() -> str:
    return json.dumps({**json.loads(Path("out/lfss-run.json").read_text()), "results": []})


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


def test_a_record_that_is_far_too_large_is_refused_before_it_is_read(place):
    with (place / "lfss-run.json").open("wb") as file:
        file.truncate((1 << 29) + 1)  # takes no room on the disk
    tracemalloc.start()
    with pytest.raises(InputError, match="cannot be read"):
        record.read_record(place / "lfss-run.json")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1e6


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


def test_a_disk_that_is_full_for_the_last_record_is_told(place, model, monkeypatch, capsys):
    write, written = record.write_atomic, []

    def full(path: Path, data: bytes) -> None:
        written.append(path.name)
        if len(written) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(record, "write_atomic", full)
    assert segment() == 1
    assert "is full" in capsys.readouterr().err
    assert written == ["lfss-run.json"] * 2


def test_a_folder_that_cannot_be_written_is_a_sentence(place, model, monkeypatch, capsys):
    def deny(_path: Path, _data: bytes) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(record, "write_atomic", deny)
    assert segment() == 1
    assert "Nothing can be written to 'out' (Permission denied)" in capsys.readouterr().err
    assert model.seen == []


def test_a_run_from_before_methods_had_names_goes_on(place, model):
    assert segment() == 0
    file = place / "out" / "lfss-run.json"
    document = json.loads(file.read_text())
    assert document["settings"].pop("method") == "lfss"
    file.write_text(json.dumps(document))
    assert segment() == 0
    assert segment("--method", "other") == 2
