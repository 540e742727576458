from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from demo import last_export
from demo.export_tab import CHECKED, STATES, chosen_drafts, counted, export
from demo.run import run
from demo.session import Session, Settings
from lfss.errors import InputError
from lfss.workspace import Workspace


@pytest.fixture
def drafted(service, session, photo):
    session.label = "red"
    session.add_supports([photo("s.png", seed=1)])
    session.add_queries([photo(f"q{i}.png", seed=10 + i) for i in range(3)])
    list(run(service, session, Settings()))
    digests = [row.digest for row in session.workspace.overview("red")]
    session.workspace.set_status(digests[0], "red", "accepted")
    session.workspace.set_status(digests[1], "red", "absent")
    return session


def test_only_the_chosen_states_are_exported(drafted):
    assert len(chosen_drafts(drafted, ["red"], CHECKED)) == 2
    assert len(chosen_drafts(drafted, ["red"], list(STATES))) == 3
    assert len(chosen_drafts(drafted, ["no such label"], CHECKED)) == 0
    assert len(chosen_drafts(drafted, ["red"], [])) == 0


def test_a_label_is_exported_in_whatever_spelling(drafted):
    assert len(chosen_drafts(drafted, ["RED"], CHECKED)) == 2


def test_the_bundle_holds_every_format_and_the_pictures(drafted):
    path = export(drafted, ["red"], CHECKED, ["coco", "png"], images=True)
    with zipfile.ZipFile(path) as bundle:
        names = bundle.namelist()
        coco = next(n for n in names if n.startswith("coco/") and n.endswith(".json"))
        assert len(json.loads(bundle.read(coco))["annotations"]) == 1
    assert any(n.startswith("png/") for n in names)
    assert any(n.startswith("images/") for n in names)


def test_an_empty_choice_is_told_in_a_sentence(drafted, session):
    with pytest.raises(InputError, match="format"):
        export(drafted, ["red"], CHECKED, [], images=False)
    with pytest.raises(InputError, match="No draft matches"):
        export(drafted, ["red"], ["Edited"], ["coco"], images=False)


def test_the_count_says_what_stays_out(drafted):
    text = counted(drafted, ["red"], CHECKED)
    assert "2 drafts" in text
    assert "Left out: 1 draft that nobody has checked." in text


def test_what_an_export_will_hold_is_counted_for_each_label(drafted):
    text = counted(drafted, ["red"], CHECKED)
    assert "<th>red</th><td>2</td><td>1</td><td>1</td>" in text  # pictures, objects, without any
    assert "<th>red</th><td>0</td>" in counted(drafted, ["red"], ["Edited"])
    (row,) = drafted.workspace.overview("red", "accepted")
    drafted.workspace.edit_mask(row.digest, "red", np.zeros(drafted.picture(row.digest).size, bool))
    assert "<th>red</th><td>2</td><td>0</td><td>2</td>" in counted(drafted, ["red"], CHECKED)


def test_the_last_choice_comes_back_after_a_restart(tmp_path, drafted):
    choice = last_export.Choice(("Accepted",), ("png", "coco"), "", True)
    last_export.keep(drafted, choice)
    assert last_export.read(drafted) == choice
    with Workspace.open(tmp_path / "kept") as workspace:
        last_export.keep(Session(tmp_path / "one", workspace), choice)
        other = Session(tmp_path / "two", workspace)
        assert last_export.read(other) == choice
        (workspace.folder / last_export.FILE).write_text('{"states": 3}')
        assert last_export.read(other) is None
