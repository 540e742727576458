"""The benchmark: no novel class is ever trained on, and nothing reported on is trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_sets import write_animals

from lfss.errors import InputError, UnknownName
from train.data.benchmark import (
    EPISODES,
    FEWEST,
    GROUPS,
    NAME,
    pick_group,
    reported_classes,
    spellings,
)  # fmt: skip
from train.data.datasets import open_data
from train.data.splits import COCO_NAMES, VOC_NAMES


def test_groups_name_classes_that_exist_and_choose_by_base_classes() -> None:
    for group in GROUPS.values():
        known = VOC_NAMES if group.layout == "voc" else COCO_NAMES
        assert set(group.novel) <= set(known.values())
        assert group.choosing in VOC_NAMES.values()
        assert not spellings([group.choosing]) & spellings(group.novel)


def test_voc_groups_are_disjoint_and_coco_folds_part_all_classes() -> None:
    voc = [n for g in GROUPS.values() if g.layout == "voc" for n in g.novel]
    coco = [n for g in GROUPS.values() if g.layout == "coco" for n in g.novel]
    assert len(set(voc)) == len(voc) == 8
    assert sorted(coco) == sorted(COCO_NAMES.values())


def test_it_does_not_borrow_a_published_name() -> None:
    assert not any(word in name.lower() for name in (NAME, *GROUPS) for word in ("pascal", "20i", "5i"))


def test_spellings_go_both_ways() -> None:
    assert spellings(["sofa", "cat"]) == {"sofa", "couch", "cat"}
    assert spellings(["tv"]) == {"tv", "tvmonitor"}


def test_unknown_group_is_named() -> None:
    with pytest.raises(UnknownName, match=r"group of everyday-photos v1 'cats'. Known: cat-cow"):
        pick_group("cats")


def test_classes_with_too_few_pictures_are_not_reported(tmp_path: Path) -> None:
    data = open_data(write_animals(tmp_path / "voc", each=6), "voc", split="val", cache=tmp_path / "cache")
    assert reported_classes(GROUPS["sheep-sofa-chair"], data) == ("sheep",)
    few = open_data(write_animals(tmp_path / "few", each=5), "voc", split="val", cache=tmp_path / "cache")
    with pytest.raises(InputError, match="no class of cat-cow with 6 pictures"):
        reported_classes(GROUPS["cat-cow"], few)


def test_the_benchmark_of_this_name_has_a_thousand_episodes_and_six_pictures_a_class() -> None:
    assert (NAME, EPISODES, FEWEST) == ("everyday-photos v1", 1000, 6)
