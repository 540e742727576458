"""``segment --refine-with-folder`` and taking it back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from lfss.__main__ import main
from lfss.refine_folder import PASS
from lfss.workspace import Workspace
from tests.fakes import scene

LINE = "segment --label red --support s.png --preset tests.fakes:preset --device cpu --query photos"


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A support and six queries with a red rectangle, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for seed in range(7):
        path = tmp_path / ("s.png" if seed == 0 else f"photos/{seed}.png")
        PIL.Image.fromarray(scene(size=(144, 160), box=(40, 50, 100, 120), seed=seed)).save(path)
    return tmp_path


def segment(*more: str, to: str = "--workspace ws") -> int:
    return main([*f"{LINE} {to}".split(), *more])


def masks(folder: str = "ws") -> dict[str, np.ndarray]:
    with Workspace.open(folder, create=False) as workspace:
        return {draft.image_name: draft.mask for draft in workspace.drafts("red")}


def spoil(folder: str = "ws") -> None:
    """Give every draft a hole and a false island, as a poorer model would have made it."""
    with Workspace.open(folder, create=False) as workspace:
        for draft in workspace.drafts("red"):
            mask = draft.mask.copy()
            mask[40:64, 50:80] = False
            mask[0:16, 140:160] = True
            scores = np.where(mask, 0.8, 0.2).astype(np.float32)
            workspace.put_draft(replace(draft, mask=mask), scores)


def test_the_pass_follows_the_run_and_says_what_changed_and_undo_takes_it_back(place, capsys):
    assert segment() == 0
    spoil()
    plain = masks()
    assert segment("--refine-with-folder", "--json") == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    told, changed = document["refined"], 0
    for name, mask in masks().items():
        changed += not np.array_equal(mask, plain[name])
    assert document["counts"]["kept"] == 6
    assert told["changed"] == changed > 0
    assert told["unchecked"] == 6
    assert told["labels"][0]["helps"]
    assert main(["workspace", "ws", "--undo-refine"]) == 0
    assert f"{changed} drafts as before" in capsys.readouterr().out
    assert all(np.array_equal(mask, plain[name]) for name, mask in masks().items())


def test_a_pass_with_the_run_is_the_pass_after_it_and_encodes_nothing_twice(place, monkeypatch, capsys):
    from lfss.predictor import Predictor

    asked, encode = [], Predictor.encode

    def counting(self, image):
        asked.append(image.digest)
        return encode(self, image)

    assert segment(to="--workspace later") == 0
    assert segment("--refine-with-folder", to="--workspace later") == 0
    monkeypatch.setattr(Predictor, "encode", counting)
    assert segment("--refine-with-folder") == 0
    assert len(asked) == len(set(asked)) == 7
    assert "With the whole folder" in capsys.readouterr().out
    both = masks("later"), masks("ws")
    assert all(np.array_equal(mask, both[1][name]) for name, mask in both[0].items())


def test_what_a_person_checked_stays_and_a_second_pass_changes_nothing(place):
    assert segment() == 0
    spoil()
    with Workspace.open("ws", create=False) as workspace:
        rows = workspace.overview("red")
        workspace.edit_mask(rows[0].digest, "red", np.eye(144, 160, dtype=bool))
        workspace.set_status(rows[1].digest, "red", "absent")
    assert segment("--refine-with-folder") == 0
    first = masks()
    with Workspace.open("ws", create=False) as workspace:
        assert np.array_equal(first[rows[0].name], np.eye(144, 160, dtype=bool))
        assert not first[rows[1].name].any()
        helped = [PASS in draft.origin.settings for draft in workspace.drafts("red", "proposed")]
        assert any(helped)
    assert segment("--refine-with-folder") == 0
    assert all(np.array_equal(mask, first[name]) for name, mask in masks().items())


def test_one_picture_only_is_left_alone_and_said_so(place, capsys):
    for seed in range(2, 7):
        (place / f"photos/{seed}.png").unlink()
    assert segment("--refine-with-folder") == 0
    text = capsys.readouterr().out
    assert "0 of 1 unchecked draft changed" in text
    assert "nothing to learn from" in text


def test_a_pass_needs_a_workspace(place, capsys):
    assert segment("--refine-with-folder", to="--out masks") == 2
    assert "give --workspace" in capsys.readouterr().err
