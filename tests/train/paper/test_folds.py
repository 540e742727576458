"""Folds: what is trained on, what chooses, and batches that are what the predictor makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_networks import SIZE, one
from tiny_sets import CAT, DOG, SHEEP, block, write_voc

from lfss.errors import InputError
from lfss.images import Image
from lfss.labels import parse_label
from lfss.predictor import Predictor
from lfss.support import Support
from train.data.names import ClassNames, spelled
from train.decoders.learning import Recipe
from train.paper.batches import BatchEncoder, FoldLoader, PairEpisodes, join_pixels
from train.paper.folds import FoldData, epoch_pairs, open_fold, support_of

RECIPE = Recipe(decoder="paper", epochs=2, batch=3)


@pytest.fixture
def fold(tmp_path: Path) -> FoldData:
    """Fold 1 of a small VOC: cats are novel, dogs and sheep are base; one training picture shows both."""
    entries = [{c: block(8 + 3 * i, 10 + 4 * i)} for c in (CAT, DOG, SHEEP) for i in range(4)]
    entries.append({CAT: (0, 0, 48, 96), DOG: (48, 0, 96, 96)})
    write_voc(tmp_path / "voc", {"trainaug": entries, "val": entries})
    return open_fold("pascal", 1, tmp_path, tmp_path / "cache", is_known=lambda c: True)


def test_base_and_novel_classes_are_those_of_the_fold_that_have_pictures(fold: FoldData) -> None:
    assert (fold.base, fold.novel) == (("dog", "sheep"), ("cat",))
    assert not fold.official
    assert fold.title == "a subset of PASCAL-5i fold 1: 1 of 5 classes"
    assert "bus (0 pictures)" in fold.left_out
    assert (fold.train.split, fold.test.split) == ("trainaug", "val")


def test_words_that_the_tower_does_not_know_are_left_out_and_said(tmp_path: Path, fold: FoldData) -> None:
    again = open_fold("pascal", 1, tmp_path, tmp_path / "cache", is_known=lambda c: c != "dog")
    assert again.base == ("sheep",)
    assert "dog (the text tower does not know the word)" in again.left_out
    with pytest.raises(InputError, match="nothing is left to test"):
        open_fold("pascal", 0, tmp_path, tmp_path / "cache", is_known=lambda c: True)


def test_pictures_to_choose_by_are_of_base_classes_and_never_trained_on(fold: FoldData) -> None:
    train, choose = fold.pairs()
    names = fold.train.classes
    assert {names[c] for _, c in [*train, *choose]} == {"dog", "sheep"}
    assert {names[c] for _, c in choose} == {"dog", "sheep"}
    assert not {p for p, _ in train} & {p for p, _ in choose}
    loader = FoldLoader(fold, RECIPE, size=SIZE)
    assert not {p for ids in loader.pools.values() for p in ids} & {p for p, _ in choose}


def test_strict_folds_show_no_pixel_of_a_novel_class(tmp_path: Path, fold: FoldData) -> None:
    strict = open_fold("pascal", 1, tmp_path, tmp_path / "cache", is_known=lambda c: True, strict=True)
    mixed = "trainaug_012"
    assert mixed in {p for pairs in fold.pairs() for p, _ in pairs}
    assert mixed not in {p for pairs in strict.pairs() for p, _ in pairs}


def test_an_epoch_asks_for_every_pair_once_in_another_order(fold: FoldData) -> None:
    pairs, _ = fold.pairs()
    first, second = (epoch_pairs(pairs, seed=0, epoch=e) for e in (0, 1))
    assert sorted(first) == sorted(second) == sorted(pairs)
    assert first != second
    assert first == epoch_pairs(pairs, seed=0, epoch=0)
    assert epoch_pairs(pairs, seed=0, epoch=0, limit=3) == first[:3]


def test_a_support_is_another_picture_of_the_class() -> None:
    pool = ("a", "b", "c")
    drawn = {support_of(pool, "a", f"key {i}") for i in range(40)}
    assert drawn == {"b", "c"}


def test_processes_share_an_epoch_without_overlap(fold: FoldData) -> None:
    seen: list[list[tuple[str, int]]] = []
    for rank in range(2):
        loader = FoldLoader(fold, replace(RECIPE, batch=1), size=SIZE)
        loader.trainer = SimpleNamespace(global_rank=rank, world_size=2, current_epoch=3)  # type: ignore[assignment]
        seen.append(loader.train_dataloader().dataset.pairs)  # type: ignore[attr-defined]
    alone = FoldLoader(fold, RECIPE, size=SIZE)
    whole = epoch_pairs(alone.train_pairs, seed=0, epoch=3)
    assert len(seen[0]) == len(seen[1]) == len(whole) // 2
    assert [p for pair in zip(*seen) for p in pair] == whole[: 2 * len(seen[0])]


def test_a_batch_is_what_the_predictor_makes_of_each_episode(fold: FoldData) -> None:
    predictor = Predictor.load(one(), device="cpu")
    predictor.encoders = predictor.encoders._replace(
        vlm=ClassNames(predictor.encoders.vlm, ["dog", "sheep", "cat"])
    )
    loader = FoldLoader(fold, RECIPE, size=SIZE)
    pairs = loader.train_pairs[:3]
    episodes = PairEpisodes(fold.train, pairs, loader.pools, fold.base, size=SIZE, key="k")
    made = BatchEncoder(predictor, fold.base)(join_pixels([episodes[i] for i in range(3)])).episode
    for i, (query, class_id) in enumerate(pairs):
        label = parse_label(fold.train.classes[class_id])
        support = support_of(loader.pools[class_id], query, f"k|{query}|{class_id}")
        images = [Image(fold.train.sample(p).read_image(), p) for p in (support, query)]
        prepared = predictor.prepare(label, [Support(images[0])])
        expected = predictor.episode(prepared, images[1], assume_present=True)
        (a,), (b,) = made.classes, expected.classes
        assert a.query_logits is not None
        assert b.query_logits is not None
        for x, y in (
            *zip(made.query_features, expected.query_features),
            *zip(a.supports.features, b.supports.features),
            (a.query_logits, b.query_logits), (a.supports.logits, b.supports.logits), (a.known, b.known),
            (a.unknown, b.unknown), (a.phrase_roles, b.phrase_roles), (a.text_trust, b.text_trust),
            (a.known_present, b.known_present),
        ):  # fmt: skip
            torch.testing.assert_close(x[i : i + 1].float(), y.float(), atol=1e-5, rtol=1e-4)


def test_class_names_compete_and_are_spelled_as_a_tower_knows_them() -> None:
    asked: list[str] = []

    class Tower:
        name, dim, logit_scale, presence = "tower", 2, 1.0, "a judge"

        def encode_text(self, phrases: list[str]) -> torch.Tensor:
            asked.extend(phrases)
            return torch.zeros(len(phrases), 2)

        def text_trust(self, phrase: str) -> float:
            return float(phrase == "tv monitor")

    tower = ClassNames(Tower(), ["tvmonitor", "cat", "dog"])  # type: ignore[arg-type]
    assert tower.competitors(["cat"]) == ("tvmonitor", "dog")
    tower.encode_text(["tvmonitor", "cat"])
    assert asked == ["tv monitor", "cat"]
    assert tower.text_trust("tvmonitor") == 1
    assert tower.presence == "a judge"
    assert spelled("aeroplane") == "airplane"
