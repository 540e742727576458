"""Several labels in a run, going on with what a workspace has, and saved classes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from fakes import preset as fake_preset
from red_scenes import BOTH, lfss, rows, segment, two_scenes

from lfss.__main__ import main
from lfss.images import read_image
from lfss.presets import PRESETS
from lfss.workspace import Workspace


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


def test_new_supports_join_those_of_the_workspace_and_a_saved_class_takes_their_place(place):
    def supports() -> list[str]:
        with Workspace.open("ws", create=False) as workspace:
            return [kept.picture.name for kept in workspace.supports("red")]

    one = ("--query", "photos/a.png")
    assert segment(*one, "--save-class", "red.safetensors") == 0
    assert supports() == ["s.png"]
    assert segment(*one, what="--label red --support photos/b.png") == 0
    assert supports() == ["s.png", "b.png"]
    assert segment(*one, what="--class red.safetensors") == 0
    assert supports() == []


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
