"""Scores of PAIA over episodes of several classes, on coloured blocks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lfss.methods.paia import Paia, PaiaConfig
from lfss.predictor import Predictor
from tests.train.tiny_sets import CAT, COW, write_animals, write_voc
from train.data.datasets import open_data
from train.data.ways import Way, WaysEpisode, sample_ways
from train.measure import ways
from train.measure.ways import WaysSet, masks_of, score_ways, variants_of

CLASSES = ("cat", "cow", "dog", "sheep")


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_animals(tmp_path_factory.mktemp("voc"), each=10)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load("tests.fakes:preset", method="paia", device="cpu")


def methods() -> dict[str, Paia]:
    return {name: Paia(config).eval() for name, config in variants_of(PaiaConfig()).items()}


def test_blocks_of_one_colour_are_found_by_all_variants_and_protocols(animals, predictor):
    data = open_data(animals, "voc", split="val", cache=animals / "cache")
    episodes = sample_ways(data, CLASSES, ways=2, shots=1, auxiliary=1, count=4, seed=0)
    table = score_ways(predictor, methods(), WaysSet(data, data, "mask"), episodes, seed=0, auxiliary=(0, 1))
    assert set(table) == {0, 1}
    assert set(table[0]) == {"panet", "native"}
    for rows in (*table[0].values(), *table[1].values()):
        assert set(rows) == {
            "prototypes", "unmarked as supports", "soft pooling", "one iteration", "paia",
            "paia, background too", "soft pooling, background too",
        }  # fmt: skip
        assert all(scores.miou > 0.6 for scores in rows.values())


def test_without_iterations_it_is_the_prototypes(animals, predictor):
    data = open_data(animals, "voc", split="val", cache=animals / "cache")
    episodes = sample_ways(data, CLASSES, ways=1, shots=1, auxiliary=1, count=3, seed=0)
    rows = {"a": Paia(PaiaConfig(iterations=0)).eval(), "b": methods()["prototypes"]}
    table = score_ways(predictor, rows, WaysSet(data, data, "mask"), episodes, seed=0)[1]["native"]
    assert table["a"] == table["b"]


def test_a_class_that_the_query_does_not_show_counts_only_in_one_protocol(animals, predictor, monkeypatch):
    data = open_data(animals, "voc", split="val", cache=animals / "cache")
    cats, cows = data.ids_of(CAT), data.ids_of(COW)
    episode = WaysEpisode(cats[0], (Way("cat", CAT, cats[1:2], ()), Way("cow", COW, cows[:1], ())))
    monkeypatch.setattr(ways, "masks_of", lambda _m, _e, size: np.ones((2, *size), bool))
    table = score_ways(predictor, {"all": Paia().eval()}, WaysSet(data, data, "mask"), [episode], seed=0)[0]
    assert table["native"]["all"].iou["cow"] == 0  # a false alarm
    assert np.isnan(table["panet"]["all"].iou["cow"])  # free


def test_pixels_of_another_class_of_the_episode_are_not_called_background(tmp_path, predictor, monkeypatch):
    both = {CAT: (4, 4, 44, 44), COW: (50, 50, 92, 92)}
    root = write_voc(tmp_path / "voc", {"val": [both, both, both]})
    data = open_data(root, "voc", split="val", cache=tmp_path / "cache")
    a, b, c = (s.id for s in data.samples)
    episode = WaysEpisode(a, (Way("cat", CAT, (b,), ()), Way("cow", COW, (c,), ())))
    seen = []
    prepare = predictor.prepare_classes
    monkeypatch.setattr(
        predictor, "prepare_classes", lambda given, more: seen.extend(given) or prepare(given, more)
    )
    score_ways(predictor, {"paia": Paia().eval()}, WaysSet(data, data, "mask"), [episode], seed=0)
    cat, cow = (supports[0].known for _, supports in seen)
    assert (cat[60:80, 60:80] == -1).all()
    assert (cow[10:30, 10:30] == -1).all()
    assert (cat[10:30, 10:30] == 1).all()
    assert (cat[10:30, 70:90] == 0).all()


def test_fewer_auxiliary_pictures_are_the_first_of_them(animals, predictor):
    data = open_data(animals, "voc", split="val", cache=animals / "cache")
    others = open_data(animals, "voc", split="train", cache=animals / "cache")
    given = {"ways": 1, "shots": 1, "count": 2, "seed": 0, "others": others}
    many, few = (sample_ways(data, CLASSES, auxiliary=u, **given) for u in (4, 1))
    pictures = WaysSet(data, others, "mask")
    together = score_ways(predictor, methods(), pictures, many, seed=0, auxiliary=(0, 1, 4))
    assert together[1] == score_ways(predictor, methods(), pictures, few, seed=0)[1]
    rows = together[0]["native"]
    assert all(scores == rows["prototypes"] for scores in rows.values())


def test_each_pixel_belongs_to_the_class_that_leads(monkeypatch):
    margins = torch.tensor([[[[1.0, -1.0, 2.0]], [[0.5, -2.0, 3.0]]]])
    method = Paia()
    monkeypatch.setattr(method, "forward", lambda _episode: margins)
    made = masks_of(method, None, (1, 3))  # type: ignore[arg-type]
    assert made[:, 0].tolist() == [[True, False, False], [False, False, True]]


def test_the_plain_way_weighs_every_cell_of_a_first_mask_the_same():
    assert variants_of(PaiaConfig())["unmarked as supports"] == replace(
        PaiaConfig(), threshold=False, iterations=1, hard_masks=True
    )
