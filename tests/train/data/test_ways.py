"""Episodes of several classes with auxiliary pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lfss.errors import InputError
from tests.train.tiny_sets import write_animals
from train.data.datasets import DataSet, open_data
from train.data.ways import digest_of, reserved, sample_ways

CLASSES = ("cat", "cow", "dog", "sheep")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_animals(tmp_path_factory.mktemp("voc"), each=12)


def pictures(root: Path, split: str) -> DataSet:
    return open_data(root, "voc", split=split, cache=root / "cache")


def drawn(root: Path, **choices):
    given = {"ways": 2, "shots": 2, "auxiliary": 2, "count": 30, "seed": 0} | choices
    return sample_ways(pictures(root, "val"), CLASSES, **given)


def test_every_way_has_its_supports_and_auxiliary_pictures_and_shows_its_class(root):
    data = pictures(root, "val")
    for episode in drawn(root):
        assert len({way.class_id for way in episode.ways}) == 2
        assert episode.query in data.ids_of(episode.ways[0].class_id)
        for way in episode.ways:
            assert data.classes[way.class_id] == way.class_name
            assert len(way.supports) == len(way.auxiliary) == 2
            assert {*way.supports, *way.auxiliary} <= set(data.ids_of(way.class_id))


def test_no_picture_serves_twice_in_an_episode(root):
    for episode in drawn(root, ways=3):
        used = [episode.query, *(i for way in episode.ways for i in (*way.supports, *way.auxiliary))]
        assert len(used) == len(set(used))


def test_auxiliary_pictures_are_never_supports_or_queries_of_any_episode(root):
    episodes = drawn(root)
    asked = {i for e in episodes for i in (e.query, *(s for way in e.ways for s in way.supports))}
    label_only = {i for e in episodes for way in e.ways for i in way.auxiliary}
    assert all(reserved(i) for i in label_only)
    assert not any(reserved(i) for i in asked)


def test_the_auxiliary_pictures_of_a_smaller_number_are_the_first_of_a_larger(root):
    for few, many in zip(drawn(root, auxiliary=1), drawn(root)):
        assert few.query == many.query
        for a, b in zip(few.ways, many.ways):
            assert a.supports == b.supports
            assert a.auxiliary == b.auxiliary[:1]


def test_another_list_gives_the_auxiliary_pictures(root):
    others = pictures(root, "train")
    episodes = drawn(root, others=others)
    assert all(i.startswith("train_") for e in episodes for way in e.ways for i in way.auxiliary)
    # Then no picture of the own list is reserved.
    assert any(reserved(i) for e in episodes for way in e.ways for i in way.supports)


def test_a_list_that_shares_pictures_is_refused(root):
    with pytest.raises(InputError, match="are in both lists"):
        drawn(root, others=pictures(root, "val"))


def test_a_share_of_auxiliary_pictures_shows_something_else(root):
    data = pictures(root, "val")
    for episode in drawn(root, foreign=0.5):
        for way in episode.ways:
            showing = [i in data.ids_of(way.class_id) for i in way.auxiliary]
            assert showing == [True, False]


def test_the_same_seed_draws_the_same_list_and_another_seed_another(root):
    assert drawn(root) == drawn(root, count=40)[:30]
    assert digest_of(drawn(root)) == digest_of(drawn(root))
    assert digest_of(drawn(root)) != digest_of(drawn(root, seed=1))
    changed = drawn(root)
    changed = (replace(changed[0], query="another"), *changed[1:])
    assert digest_of(changed) != digest_of(drawn(root))


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"ways": 5}, "5 ways were asked for, of 4 classes"),
        ({"shots": 0}, "at least one shot"),
        ({"foreign": 50}, "between 0 and 1.* 50"),
        ({"auxiliary": 50}, "'cat' has .* pictures for auxiliary pictures; these episodes need 50"),
        ({"shots": 20}, "'cat' has .* pictures for supports and queries; these episodes need 41"),
    ],
)
def test_numbers_that_make_no_episode_are_told_in_a_sentence(root, choices, sentence):
    with pytest.raises(InputError, match=sentence):
        drawn(root, **choices)
