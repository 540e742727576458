"""Folds: the classes that the papers name, nothing twice, nothing lost."""

from __future__ import annotations

import pytest

from lfss.errors import UnknownName
from train.data.splits import COCO_NAMES, OFFICIAL, SAME_CLASS, VOC_NAMES, Count, coco_fold, pascal_fold


def test_pascal_folds_are_the_published_ones() -> None:
    assert pascal_fold(0).novel == ("aeroplane", "bicycle", "bird", "boat", "bottle")
    assert pascal_fold(1).novel == ("bus", "car", "cat", "chair", "cow")
    assert pascal_fold(2).novel == ("diningtable", "dog", "horse", "motorbike", "person")
    assert pascal_fold(3).novel == ("pottedplant", "sheep", "sofa", "train", "tvmonitor")


def test_coco_has_80_official_ids_with_their_ten_gaps() -> None:
    assert len(COCO_NAMES) == 80
    assert set(range(1, 91)) - set(COCO_NAMES) == {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    assert {1: "person", 17: "cat", 44: "bottle", 67: "dining table", 90: "toothbrush"}.items() <= (
        COCO_NAMES.items()
    )


def test_interleaved_and_contiguous_folds_begin_as_published() -> None:
    assert coco_fold(0, "interleaved").novel[:3] == ("person", "airplane", "boat")
    assert coco_fold(3, "interleaved").novel[-1] == "toothbrush"
    assert coco_fold(0, "contiguous").novel[:3] == ("person", "bicycle", "car")
    assert coco_fold(1, "contiguous").novel[0] == "elephant"


@pytest.mark.parametrize("scheme", ["interleaved", "contiguous"])
def test_folds_part_the_classes(scheme: str) -> None:
    folds = [coco_fold(i, scheme) for i in range(4)]
    assert sorted(n for fold in folds for n in fold.novel) == sorted(COCO_NAMES.values())
    assert all(set(f.base) | set(f.novel) == set(COCO_NAMES.values()) for f in folds)
    assert all(len(f.novel) == 20 and len(f.base) == 60 for f in folds)
    assert len({f.title for f in folds}) == 4


def test_the_two_schemes_have_two_titles() -> None:
    assert coco_fold(0, "interleaved").title != coco_fold(0, "contiguous").title


def test_spellings_lead_from_voc_to_coco() -> None:
    assert set(SAME_CLASS) <= set(VOC_NAMES.values())
    assert set(SAME_CLASS.values()) <= set(COCO_NAMES.values())
    shared = set(VOC_NAMES.values()) & set(COCO_NAMES.values())
    assert len(shared) + len(SAME_CLASS) == 20


def test_unknown_folds_are_refused() -> None:
    with pytest.raises(UnknownName, match=r"fold of PASCAL-5i '4'. Known: 0, 1, 2, 3"):
        pascal_fold(4)
    with pytest.raises(UnknownName, match="fold of COCO-20i '-1'"):
        coco_fold(-1, "contiguous")
    with pytest.raises(UnknownName, match="split of COCO 'random'"):
        coco_fold(0, "random")


def test_a_count_allows_its_slack() -> None:
    assert Count("pairs", 1000, 995, slack=5).right
    assert not Count("pairs", 1000, 994, slack=5).right
    assert not Count("pictures", 1449, 1448).right


def test_no_official_rule_counts_more_pairs_than_the_one_that_asks_for_less() -> None:
    """A class that covers a point of the grid and one of 2,048 pixels are nearly the same; none is rare."""
    for official in OFFICIAL.values():
        for counts in official.pairs.values():
            assert all(0 < count < official.pictures for count in counts)
        if {"area", "grid"} <= official.pairs.keys():
            assert all(0.9 < g / a <= 1 for a, g in zip(official.pairs["area"], official.pairs["grid"]))
