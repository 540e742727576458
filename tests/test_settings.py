"""What a person chooses for a run, written down and read again."""

from __future__ import annotations

import pytest

from lfss.errors import InputError
from lfss.settings import Settings, common


@pytest.mark.parametrize(
    "settings",
    [Settings(), Settings(0.3, True, False, True, (("rider", "horse"), ("hat", "head")))],
)
def test_settings_are_read_as_they_were_stored(settings):
    assert Settings.read(settings.stored()) == settings


@pytest.mark.parametrize("threshold", ["0", "1", "1.5", "-0.5", "nan", "high"])
def test_a_stored_threshold_that_makes_no_sense_is_the_usual_one(threshold):
    assert Settings.read({"threshold": threshold}) == Settings()


def test_what_is_no_pair_of_labels_is_passed_over():
    assert Settings.read({"may_overlap": "a; b, c; d, e, f"}).overlaps == (("b", "c"),)


def test_classes_share_settings_unless_their_thresholds_differ():
    one = Settings(0.3, assume_present=True, second_look=True, overlaps=(("a", "b"),))
    other = Settings(0.3, snap=False)
    made = common([one.stored(), other.stored()], ["a", "b"])
    assert made == Settings(0.3, False, False, True, (("a", "b"),))
    assert common([], []) == Settings()
    with pytest.raises(InputError, match=r"'a' 0\.3, 'b' 0\.5"):
        common([one.stored(), {}], ["a", "b"])
