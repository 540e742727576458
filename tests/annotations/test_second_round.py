"""Segment, export, correct in another tool, import, export again: no format that is read loses anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_corrections import LOOPS, SIZE, SQUARE, draft, export, place, replace_mask, take_in

from lfss.annotations import FORMATS
from lfss.commands.import_drafts import READABLE
from lfss.objects import count, join, numbered, parts
from lfss.workspace import Workspace

__all__ = ["place"]  # a fixture

HERD = np.zeros(SIZE, bool)
HERD[5:15, 5:15] = HERD[5:15, 25:35] = HERD[5:15, 45:55] = HERD[25:35, 5:15] = True
POLYGONS = ("coco", "yolo", "labelme", "labelstudio")
TELLS_OBJECTS = [loop for loop in LOOPS if loop[0] != "png"]


def prepare(form: str) -> tuple[str, ...]:
    """Make c a herd of three objects, one of them of two parts, and a's cat absent; options of the export."""
    with Workspace.open("ws") as workspace:
        herd = draft("c")
        workspace.edit_mask(herd.image_digest, "dog", HERD)
        workspace.set_objects(herd.image_digest, "dog", join(parts(HERD), [1, 4]))
        workspace.set_status(herd.image_digest, "dog", "accepted")
        workspace.set_status(draft("a").image_digest, "cat", "absent")
    return ("--objects", "parts") if "objects" in FORMATS[form].options else ()


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Alike but for rounding, and for the line of one pixel by which YOLO ties the parts of an object."""
    return bool((one & other).sum() >= 0.97 * (one | other).sum())


def test_the_loop_is_run_for_every_format_that_can_be_read() -> None:
    assert {form for form, _ in LOOPS} == set(READABLE)


@pytest.mark.parametrize(("form", "options"), LOOPS)
def test_a_round_through_another_tool_and_a_second_export_lose_nothing(form, options, place: Path) -> None:
    options = (*options, *prepare(form))
    export(form, options)
    replace_mask(form)
    assert take_in(form) == 0
    with Workspace.open("ws") as workspace:
        kept = {(Path(d.image_name).stem, d.label): d for d in workspace.drafts()}
    np.testing.assert_array_equal(kept["b", "dog"].mask, SQUARE)
    np.testing.assert_array_equal(kept["c", "dog"].mask, HERD)
    assert [kept[key].status for key in (("a", "dog"), ("a", "cat"), ("b", "dog"), ("c", "dog"))] == [
        "proposed", "absent", "edited", "accepted",
    ]  # fmt: skip
    assert count(kept["c", "dog"]) == 3

    export(form, options, out="again")
    assert take_in(form, path="again", to="other") == 0
    with Workspace.open("other") as workspace:
        found = {(Path(d.image_name).stem, d.label): d for d in workspace.drafts()}
    lacking = kept.keys() - found.keys()
    assert lacking == ({("a", "cat")} if form == "cvat" else set()), "CVAT keeps no label without a shape"
    for key, after in found.items():
        before = kept[key]
        assert after.status == before.status, key
        if before.status == "absent":  # a person has said so; there is no mask that a model made
            continue
        assert after.origin.model == before.origin.model, key
        exact = np.array_equal(after.mask, before.mask)
        assert exact or (form in POLYGONS and alike(after.mask, before.mask)), key


@pytest.mark.parametrize(("form", "options"), TELLS_OBJECTS)
def test_objects_come_back_as_a_person_joined_them(form, options, place: Path) -> None:
    export(form, (*options, *prepare(form)))
    assert take_in(form, to="other") == 0
    herd = draft("c", folder="other")
    assert count(herd) == 3
    numbers = numbered(herd.mask, herd.objects)
    assert numbers[10, 10] == numbers[30, 10] != numbers[10, 30]
