"""``lfss segment --workspace``: fill, resume, lists, a cluster; and ``lfss workspace``."""

from __future__ import annotations

import json
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from red_scenes import AS_USUAL, decide, lfss, save_scene, segment

from lfss.__main__ import main
from lfss.drafts import STATUSES
from lfss.errors import WorkspaceError
from lfss.images import read_image
from lfss.workspace import Workspace


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
    assert "undone" not in document
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
