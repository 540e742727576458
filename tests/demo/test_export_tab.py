from __future__ import annotations

import json
import zipfile

import pytest

from demo.export_tab import CHECKED, STATES, chosen_drafts, counted, export
from demo.run import run
from demo.session import Settings
from lfss.errors import InputError


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
    assert "1 drafts nobody has checked" in text
