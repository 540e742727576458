"""From results of jobs to a table."""

from __future__ import annotations

import pytest

from train.paper.jobs import Job
from train.paper.tables import make_table


@pytest.mark.parametrize(("official", "expected"), [(True, 30.0), (False, 45.0)])
def test_a_class_that_no_episode_asks_for_counts_only_on_official_lists(official, expected):
    """The field adds 0 for it; a subset has such classes, and they would say nothing of the method."""
    row = {"iou": {"dog": 0.5, "horse": 0.4, "motorbike": None}, "miou": 0.3}
    result = {
        "mean": {"refined": row},
        "official": official,
        "title": "x",
        "episodes": 40,
        "seed": 0,
        "seconds": {},
    }
    table = make_table(
        1, {Job("pascal", "mini", "full", 2): result}, backbones=["mini"], sets=["pascal"], command=""
    )
    values = table["parts"]["mini"]["rows"]["refined mask of the query"]["values"]
    assert values == [None, None, pytest.approx(expected), None, pytest.approx(expected)]
