"""What a file says of a draft's way, read again; what makes no sense is left out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from drawn import MACHINE, a_draft

from lfss.annotations import sidecar, yolo
from lfss.annotations.provenance import (
    combined,
    content,
    corrected,
    describe,
    exported,
    exported_of,
    fingerprint,
    object_seal,
    restore,
    sentence,
    written,
)
from lfss.drafts import Origin

MASK = np.zeros((10, 12), bool)
MASK[2:5, 3:9] = True


def test_what_is_described_is_restored():
    draft = a_draft(shape=MASK, presence=0.25)
    facts = restore(describe(draft), status="accepted")
    assert facts == {"status": "proposed", "score": 0.75, "presence": 0.25, "origin": MACHINE}
    assert "threshold" not in describe(a_draft(origin=Origin())), "a person has none"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (0.5, 0.5),
        ("0.5", 0.5),
        (1, 1.0),
        (0, 0.0),
        (1.5, None),
        (-1, None),
        ("x", None),
        (True, None),
        ([], None),
    ],
)
def test_a_score_is_a_number_between_0_and_1(given, taken):
    assert restore({"score": given}, status="accepted")["score"] == taken


def test_what_makes_no_sense_is_left_out():
    facts = restore(
        {"status": "??", "model": 5, "settings": "[", "supports": None, "threshold": 7}, status="accepted"
    )
    assert facts["status"] == "accepted"
    assert facts["origin"] == Origin(model="person", label="", threshold=0.5)
    assert restore({"settings": "[1]"}, status="edited")["origin"].settings == {}
    assert restore({"settings": '{"a": "b", "c": 1}'}, status="edited")["origin"].settings == {
        "a": "b",
        "c": "1",
    }


def test_a_correction_forgets_what_the_model_said_of_its_mask():
    draft = corrected(a_draft(shape=MASK, presence=0.5, doubt=0.5, lost={"cat": 0.1}))
    assert (draft.status, draft.score, draft.presence, draft.doubt, draft.lost) == (
        "edited",
        None,
        None,
        None,
        {},
    )
    assert draft.origin == Origin(label=MACHINE.label, settings={"corrected": MACHINE.model})
    by_hand = Origin(label="dog", settings={"corrected": "mini"})
    assert corrected(a_draft(origin=by_hand)).origin == by_hand


def test_a_fingerprint_tells_place_and_pixels():
    moved = np.roll(MASK, 1, axis=1)
    longer = MASK.copy()
    longer[4, 3] = False
    prints = {fingerprint(mask) for mask in (MASK, moved, longer, np.zeros_like(MASK))}
    assert len(prints) == 4
    assert fingerprint(MASK[1:, 2:], (1, 2)) == fingerprint(MASK)
    assert all(len(text) == 16 for text in prints)


def test_objects_are_part_of_a_draft_only_where_a_person_told_them_apart():
    numbers = MASK.astype(np.uint16)
    numbers[2:5, 6:9] = 2
    plain, apart = a_draft(shape=MASK), a_draft(shape=MASK, objects=numbers)
    assert content(plain) == fingerprint(MASK) != content(apart)
    swapped = np.where(numbers, 3 - numbers, 0).astype(np.uint16)
    assert content(apart) == content(a_draft(shape=MASK, objects=swapped)), "numbers are no matter"
    assert combined(["a", "b"]) == combined(["b", "a"]) != combined(["a", "c"])


def test_what_was_exported_is_read_again():
    draft, drawn = a_draft(label="wild dog", shape=MASK), np.roll(MASK, 1, axis=0)
    one, two = object_seal([MASK]), object_seal([drawn])
    assert object_seal([(MASK[1:], (1, 0))]) == one
    found = exported_of(exported(draft, drawn, [one, two]))
    assert found is not None
    assert (found.label, found.status, found.shapes) == ("wild dog", "proposed", 2)
    assert (found.mask, found.drawn) == (fingerprint(MASK), fingerprint(drawn))
    assert found.objects == combined([two, one])
    assert exported_of(exported(draft, draft.mask, [one])).objects == ""
    assert exported_of(exported(draft, draft.mask, [one])).drawn == fingerprint(MASK)
    for text in (
        None,
        5,
        "",
        "proposed",
        "proposed x y 1 dog",
        exported(draft, drawn, []).rpartition(" wild")[0],
    ):
        assert exported_of(text) is None


def test_a_file_says_whether_objects_were_left_together():
    assert written(a_draft(), a_draft().mask, "together")["objects"] == "together"
    assert "objects" not in written(a_draft(), a_draft().mask, "parts")


def test_a_note_for_people():
    assert sentence(a_draft()) == "proposed, made by mini 0.1.0, score 0.75"
    assert sentence(replace(a_draft(), score=None, status="edited")) == "edited, made by mini 0.1.0"


def test_a_proposal_of_nearly_everything_is_warned_of_until_a_person_has_looked():
    everything = np.ones((10, 12), bool)
    assert "warning" in describe(a_draft(shape=everything))
    assert "warning" not in describe(a_draft(shape=everything, status="accepted"))


def test_notes_of_pictures_without_the_name_of_their_file_still_say_who_made_the_masks(tmp_path):
    yolo.write([a_draft(shape=MASK)], tmp_path / "out")
    file = tmp_path / "out" / sidecar.FILE
    notes = json.loads(file.read_text())
    del notes["pictures"][0]["original"]
    file.write_text(json.dumps(notes))
    (draft,) = yolo.read(tmp_path / "out")
    assert draft.origin == MACHINE
