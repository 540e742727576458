"""Objects of a draft, split and joined on the page, and told on the cards and in the export."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from demo import objects_panel, review, review_strip
from demo.export_tab import CHECKED, OBJECTS, export, shown_objects
from demo.objects_panel import coloured, cut_touching, forget, objects_of, split, unite
from demo.review import View
from demo.run import run
from demo.session import Settings
from lfss.errors import InputError
from lfss.objects import count

ALL = View("red", "All")


@pytest.fixture
def herd(service, session, photo):
    """A draft under review whose mask is two squares that touch by a bridge, and one apart."""
    session.label = "red"
    session.add_supports([photo("s.png", seed=1)])
    session.add_queries([photo("q.png", seed=10)])
    list(run(service, session, Settings()))
    (row,) = review.listed(session, ALL)
    session.reviewed = row.digest
    size = session.workspace.draft(row.digest, "red").size
    mask = np.zeros(size, bool)
    mask[20:60, 20:60] = mask[20:60, 70:110] = mask[38:42, 60:70] = mask[80:100, 20:40] = True
    review.change(session, ALL, mask)
    return session


def draft(session):
    return review.draft_of(session, ALL)


def at(session, row: float, column: float) -> tuple[float, float]:
    height, width = draft(session).size
    return (column + 0.5) / width, (row + 0.5) / height


def test_a_line_across_splits_and_two_clicks_join(herd):
    assert count(draft(herd)) == 2
    split(herd, ALL, at(herd, 10, 65), at(herd, 70, 65))
    assert count(draft(herd)) == 3
    numbers = objects_of(draft(herd))
    assert len({numbers[40, 40], numbers[40, 90], numbers[90, 30]}) == 3
    unite(herd, ALL, at(herd, 40, 90), at(herd, 90, 30))
    numbers = objects_of(draft(herd))
    assert numbers[40, 90] == numbers[90, 30] != numbers[40, 40]
    assert draft(herd).status == "edited"
    assert review.undo(herd, ALL, back=True)
    assert count(draft(herd)) == 3
    forget(herd, ALL)
    assert draft(herd).objects is None


def test_touching_objects_are_cut_by_strength(herd):
    cut_touching(herd, ALL, 0.0)
    assert count(draft(herd)) == 2
    cut_touching(herd, ALL, 0.5)
    assert count(draft(herd)) == 3


def test_clicks_that_mean_nothing_are_refused_and_change_nothing(herd):
    with pytest.raises(InputError, match="parts no object"):
        split(herd, ALL, at(herd, 30, 30), at(herd, 50, 30))
    with pytest.raises(InputError, match="different colours"):
        unite(herd, ALL, at(herd, 30, 30), at(herd, 50, 90))
    with pytest.raises(InputError, match="different colours"):
        unite(herd, ALL, (1.0, 1.0), at(herd, 50, 90))
    assert draft(herd).objects is None


def test_each_object_has_a_colour_of_its_own(herd):
    split(herd, ALL, at(herd, 10, 65), at(herd, 70, 65))
    shown = coloured(herd, draft(herd), objects_of(draft(herd)))
    plain = coloured(herd, draft(herd), np.zeros_like(objects_of(draft(herd))))
    colours = {tuple(shown[spot].astype(int) - plain[spot] // 2) for spot in ((40, 40), (40, 90), (90, 30))}
    assert len(colours) == 3
    assert max(shown.shape) <= objects_panel.SIDE


def test_the_count_is_on_the_card_and_follows_every_change(herd):
    def card() -> str:
        (row,) = review.listed(herd, ALL)
        return review.caption(row, review.objects_in(herd, row))

    def version() -> str:
        return review_strip.tiles(herd, review.listed(herd, ALL), None)["tiles"][0]["version"]

    before = version()
    assert " · 2 objects · q.png" in card()
    split(herd, ALL, at(herd, 10, 65), at(herd, 70, 65))
    assert " · 3 objects · q.png" in card()
    assert version() != before  # the page fetches the card again


def test_an_export_asks_for_objects_and_tells_their_number(herd):
    assert shown_objects(herd, ["red"], CHECKED, "") == "These drafts show 2 objects."
    assert shown_objects(herd, ["red"], CHECKED, "each") == "These drafts show 3 objects."
    for how, wanted in (("together", 1), ("parts", 2), ("each", 3)):
        assert how in OBJECTS.values()
        path = export(herd, ["red"], CHECKED, ["coco"], images=False, objects=how)
        with zipfile.ZipFile(path) as bundle:
            data = json.loads(bundle.read("coco/annotations/instances_default.json"))
        assert len(data["annotations"]) == wanted, how
