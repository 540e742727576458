"""Drafts check what they are given and never change in place."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from lfss.drafts import STATUSES, Draft, Origin
from lfss.errors import InputError

MASK = np.eye(4, 5, dtype=bool)


def draft(**fields) -> Draft:
    given = {"image_name": "a.jpg", "image_digest": "d" * 64, "label": "dog", "mask": MASK}
    return Draft(**(given | fields))


def test_a_draft_starts_as_a_proposal_of_a_person_unless_told():
    made = draft()
    assert (made.status, made.score, made.presence, made.image_path) == ("proposed", None, None, None)
    assert made.origin == Origin(model="person")
    assert made.size == (4, 5)


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_allowed(status):
    assert draft(status=status).status == status


@pytest.mark.parametrize("status", ["", "done", "Accepted"])
def test_an_unknown_status_lists_the_known_ones(status):
    with pytest.raises(InputError, match="proposed, edited, accepted, rejected, absent"):
        draft(status=status)


@pytest.mark.parametrize(
    "mask",
    [MASK.astype(np.uint8), MASK.astype(float), MASK[None], MASK[0], np.array(True), [[True, 2]]],
    ids=["uint8", "float", "three axes", "one axis", "none", "list"],
)
def test_a_mask_that_is_not_two_dimensional_bool_is_an_error(mask):
    with pytest.raises(InputError, match=r"'a\.jpg' came with"):
        draft(mask=mask)


@pytest.mark.parametrize("name", ["score", "presence"])
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_probability_outside_zero_to_one_is_an_error(name, value):
    with pytest.raises(InputError, match=f"{name} lies between 0 and 1"):
        draft(**{name: value})


@pytest.mark.parametrize("value", [0, 1, 0.5, None])
def test_probabilities_include_both_ends_and_may_be_missing(value):
    assert draft(score=value, presence=value).score == value


@pytest.mark.parametrize(
    ("status", "mask", "empty"),
    [
        ("proposed", MASK, False),
        ("accepted", MASK, False),
        ("rejected", MASK, True),
        ("absent", MASK, True),
        ("accepted", np.zeros((4, 5), bool), True),
    ],
)
def test_a_draft_is_empty_where_an_export_writes_no_mask(status, mask, empty):
    assert draft(status=status, mask=mask).empty is empty


def test_a_draft_cannot_be_changed_in_place():
    with pytest.raises(FrozenInstanceError):
        draft().status = "accepted"


def test_origins_compare_by_value_and_do_not_share_settings():
    assert Origin(label="dog") == Origin(label="dog")
    assert Origin().settings is not Origin().settings
