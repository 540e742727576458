"""How much of a draft's history is kept: a hundred changes, and four megabytes of masks."""

from __future__ import annotations

from lfss.storage.history import _too_many

MB = 1 << 20


def test_a_hundred_changes_are_kept():
    rows = [(revision, revision, 10) for revision in range(150, 0, -1)]
    assert _too_many(rows) == list(range(50, 0, -1))


def test_four_megabytes_of_masks_are_kept_to_the_byte_and_a_shared_mask_counts_once():
    full = [(5, 1, MB), (4, 2, MB), (3, 1, MB), (2, 3, MB), (1, 4, MB)]
    assert _too_many(full) == []
    assert _too_many([*full[:-1], (1, 4, MB + 1)]) == [1]


def test_the_present_state_and_the_one_before_stay_however_large():
    assert _too_many([(3, 1, 9 * MB), (2, 2, 9 * MB), (1, 3, 1)]) == [1]
