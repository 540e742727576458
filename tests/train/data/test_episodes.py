"""Episode lists: the protocols' rules, and the same bytes everywhere."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from tiny_sets import CAT, DOG, block, write_animals, write_voc

from lfss.errors import InputError, UnknownName
from train.data.datasets import DataSet, open_data
from train.data.episodes import PROTOCOLS, Draws, load_episodes, sample_episodes, save_episodes

ANIMALS = ("cat", "cow", "dog", "sheep")


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    folder = tmp_path_factory.mktemp("animals")
    return open_data(write_animals(folder / "voc"), "voc", split="val", cache=folder / "cache")


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Seven cats, three dogs."""
    folder = tmp_path_factory.mktemp("uneven")
    entries = [{CAT if i < 7 else DOG: block()} for i in range(10)]
    return open_data(write_voc(folder / "voc", {"val": entries}), "voc", split="val", cache=folder / "cache")


def test_draws_are_the_words_of_sha256() -> None:
    digest = hashlib.sha256(b"key|0").digest() + hashlib.sha256(b"key|1").digest()
    words = [int.from_bytes(digest[i : i + 8], "big") for i in range(0, 64, 8)]
    draws = Draws("key")
    assert [draws.below(1000) for _ in range(8)] == [word % 1000 for word in words]
    assert Draws("key").below(10**6) == 610728  # written down once; a change breaks every stored list


def test_draws_are_even() -> None:
    draws = Draws("even")
    counts = Counter(draws.below(5) for _ in range(5000))
    assert all(abs(count - 1000) < 120 for count in counts.values())
    orders = Counter(draws.sample("abc", 3) for _ in range(3000))
    assert len(orders) == 6
    assert all(abs(count - 500) < 100 for count in orders.values())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("shots", [1, 3])
def test_supports_show_the_class_and_are_not_the_query(animals: DataSet, protocol: str, shots: int) -> None:
    episodes = sample_episodes(animals, ANIMALS, shots=shots, count=60, seed=0, protocol=protocol).episodes
    for spec in episodes:
        assert animals.classes[spec.class_id] == spec.class_name
        assert len(spec.supports) == shots
        assert spec.query not in spec.supports
        assert {spec.query, *spec.supports} <= set(animals.ids_of(spec.class_id))
        if protocol in ("panet", "balanced"):
            assert len(set(spec.supports)) == shots


def test_hsnet_walks_the_pairs_in_order_and_begins_again(uneven: DataSet) -> None:
    episodes = sample_episodes(uneven, ("cat", "dog"), shots=1, count=25, seed=3, protocol="hsnet").episodes
    assert [e.query for e in episodes] == [f"val_{i % 10:03d}" for i in range(25)]
    assert Counter(e.class_name for e in episodes[:20]) == {"cat": 14, "dog": 6}


def test_hsnet_lets_a_support_come_twice(uneven: DataSet) -> None:
    episodes = sample_episodes(uneven, ("dog",), shots=5, count=40, seed=0, protocol="hsnet").episodes
    assert all(len(set(e.supports)) <= 2 for e in episodes)


@pytest.mark.parametrize("protocol", ["hsnet-coco", "panet"])
def test_classes_are_drawn_evenly_whatever_their_number_of_pictures(uneven: DataSet, protocol: str) -> None:
    drawn = sample_episodes(uneven, ("cat", "dog"), shots=1, count=600, seed=0, protocol=protocol).episodes
    assert 250 < Counter(e.class_name for e in drawn)["cat"] < 350
    assert len({e.query for e in drawn}) == 10


def test_balanced_asks_for_every_picture_once_before_any_twice(uneven: DataSet) -> None:
    episodes = sample_episodes(uneven, ("cat", "dog"), shots=1, count=28, seed=0).episodes
    assert Counter(e.class_name for e in episodes) == {"cat": 14, "dog": 14}
    cats = [e.query for e in episodes if e.class_name == "cat"]
    assert sorted(cats[:7]) == sorted(cats[7:]) == list(uneven.ids_of(CAT))
    assert cats[:7] != cats[7:]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_short_list_begins_a_long_one(animals: DataSet, protocol: str) -> None:
    lists = [sample_episodes(animals, ANIMALS, shots=2, count=n, seed=1, protocol=protocol) for n in (10, 50)]
    assert lists[0].episodes == lists[1].episodes[:10]


def test_a_list_depends_on_its_seed_and_not_on_the_order_of_classes(animals: DataSet) -> None:
    first = sample_episodes(animals, ANIMALS, shots=1, count=20, seed=0)
    assert first.text() == sample_episodes(animals, ANIMALS[::-1], shots=1, count=20, seed=0).text()
    assert first.episodes != sample_episodes(animals, ANIMALS, shots=1, count=20, seed=1).episodes


DIGESTS = {
    "hsnet": "33cc13a7139c9de8",
    "hsnet-coco": "3a4859d9eaddb9ec",
    "panet": "eca2d77b3f23fba9",
    "balanced": "5967c3048079d28b",
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_lists_are_the_same_bytes_on_every_machine(animals: DataSet, protocol: str) -> None:
    text = sample_episodes(animals, ANIMALS, shots=2, count=40, seed=7, protocol=protocol).text()
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == DIGESTS[protocol]


def test_a_stored_list_comes_back(animals: DataSet, tmp_path: Path) -> None:
    made = sample_episodes(animals, ANIMALS, shots=2, count=12, seed=0)
    save_episodes(made, tmp_path / "lists" / "a.jsonl")
    assert load_episodes(tmp_path / "lists" / "a.jsonl", animals) == made
    header, *rows = (tmp_path / "lists" / "a.jsonl").read_bytes().splitlines(keepends=True)
    assert json.loads(header)["digest"] == hashlib.sha256(b"".join(rows)).hexdigest()
    assert len(rows) == json.loads(header)["count"] == 12


def test_a_changed_list_is_refused(animals: DataSet, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    save_episodes(sample_episodes(animals, ANIMALS, shots=1, count=12, seed=0), path)
    text = path.read_text()
    path.write_text(text.replace("val_003", "val_002"))
    with pytest.raises(InputError, match=r"a.jsonl' was changed after it was made"):
        load_episodes(path)
    path.write_text("\n".join(text.splitlines()[:-1]) + "\n")
    with pytest.raises(InputError, match="was changed"):
        load_episodes(path)
    for wrong in ("", "{}\n", "[1]\n", "no json", text.replace("lfss-episodes 1", "lfss-episodes 9")):
        path.write_text(wrong)
        with pytest.raises(InputError, match="is no episode list of this version"):
            load_episodes(path)
    with pytest.raises(InputError, match=r"There is no episode list '.*gone.jsonl'"):
        load_episodes(tmp_path / "gone.jsonl")


def test_a_list_made_from_other_pictures_is_refused(
    animals: DataSet, uneven: DataSet, tmp_path: Path
) -> None:
    save_episodes(sample_episodes(animals, ("cat",), shots=1, count=4, seed=0), tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="was made from other pictures than 'voc'"):
        load_episodes(tmp_path / "a.jsonl", uneven)


@pytest.mark.parametrize(("protocol", "needed"), [("balanced", 4), ("panet", 4), ("hsnet", 2)])
def test_too_few_pictures_for_the_shots_are_counted_out(uneven: DataSet, protocol: str, needed: int) -> None:
    if needed == 4:
        with pytest.raises(InputError, match=rf"need {needed} pictures .*: dog \(3\)"):
            sample_episodes(uneven, ("cat", "dog"), shots=3, count=1, seed=0, protocol=protocol)
    else:
        sample_episodes(uneven, ("cat", "dog"), shots=3, count=1, seed=0, protocol=protocol)
    with pytest.raises(InputError, match=r"too few in 'voc': horse \(0\)"):
        sample_episodes(uneven, ("cat", "horse"), shots=1, count=1, seed=0, protocol=protocol)


def test_nonsense_is_refused(animals: DataSet) -> None:
    with pytest.raises(UnknownName, match="protocol 'pfenet'"):
        sample_episodes(animals, ("cat",), shots=1, count=1, seed=0, protocol="pfenet")
    for shots, count, names in ((0, 1, ("cat",)), (1, 0, ("cat",)), (1, 1, ())):
        with pytest.raises(InputError, match="at least one class, one shot and one episode"):
            sample_episodes(animals, names, shots=shots, count=count, seed=0)


@pytest.mark.weights
def test_real_photos_give_the_list_that_was_made_first(real_data: Path, real_cache: Path) -> None:
    data = open_data(real_data / "voc", "voc", split="val", cache=real_cache)
    text = sample_episodes(data, ("cat", "cow"), shots=1, count=1000, seed=0).text()
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "c8e13ce3602327d3"
