"""Distillation: held-out photos stay out, losses equal plain loops, a run resumes, an export loads."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from lfss.encoders.mini import load_mini
from lfss.encoders.vocabulary import Vocabulary
from train import distill
from train.distill import Stage, TrainConfig
from train.eval_mini import nearest_prototype
from train.mini import losses as losses
from train.mini.batches import Cache, Sampler
from train.mini.cache import fit_pca
from train.mini.names import name_cosines, words_near
from train.mini.photos import Photo, fraction, list_photos, split_rule
from train.mini.truth import IGNORE, ConceptTable, build_truth
from train.mini.words import roc_auc

TABLE = ConceptTable(
    {
        "background": {},
        "cat": {"voc": "cat", "imagenet": "281-285", "also": ["kitten"]},
        "dog": {"voc": "dog", "imagenet": "151-153"},
        "person": {"voc": "person"},
        **{name: {} for name in ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence")},
        **{name: {} for name in ("cow", "horse", "sheep")},
    }
)
COLOURS = {"cat": (220, 60, 40), "dog": (40, 80, 220)}
VALUES = {"cat": 8, "dog": 12}  # in VOC's palette
CONFIG = TrainConfig(
    seed=0, pairs=2, singles=1, drawn_share=0.7, stages=(Stage(6, 32, 0.6), Stage(2, 64, 0.6)),
    learning_rate=0.002, weight_decay=0.01, warmup=2, decay=2, average=0.9,
    weights={"tokens": 1.0, "episode": 1.0, "evidence": 0.5, "cells": 0.3, "presence": 0.05, "names": 0.05},
)  # fmt: skip


def write_voc(data: Path, rng: np.random.Generator, count: int) -> None:
    """Coloured blocks on grey noise, in VOC's folders."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (data / "voc" / folder).mkdir(parents=True)
    stems = []
    for i in range(count):
        name = ("cat", "dog")[i % 2]
        pixels = rng.integers(90, 130, (64, 64, 3)).astype(np.uint8)
        mask = np.zeros((64, 64), np.uint8)
        top, left = rng.integers(4, 28, 2)
        pixels[top : top + 32, left : left + 32] = COLOURS[name]
        mask[top : top + 32, left : left + 32] = VALUES[name]
        stems.append(f"2007_{i:06d}")
        Image.fromarray(pixels).save(data / "voc/JPEGImages" / f"{stems[-1]}.jpg", quality=95)
        Image.fromarray(mask).save(data / "voc/SegmentationClass" / f"{stems[-1]}.png")
    lists = data / "voc" / "ImageSets" / "Segmentation"
    (lists / "train.txt").write_text("\n".join(stems[:-4]))
    (lists / "val.txt").write_text("\n".join(stems[-4:]))


@pytest.fixture(scope="module")
def sampler(tmp_path_factory) -> Sampler:
    rng = np.random.default_rng(0)
    data = tmp_path_factory.mktemp("data")
    write_voc(data, rng, 24)
    photos = [p for p in list_photos(data) if p.part == "train"]
    pixels = np.stack([np.asarray(Image.open(data / p.key)) for p in photos])
    tokens = rng.normal(size=(len(photos), 4, 4, 96)).astype(np.float16)
    cache = Cache(
        photos,
        pixels,
        np.zeros((len(photos), 4, 4), np.uint8),
        np.zeros((len(photos), 1000), np.float16),
        (tokens, tokens[..., :32]),
    )
    truth = build_truth(photos, data, TABLE, cache.logits, imagenet_names=[""] * 1000)
    return Sampler(cache, truth, TABLE, set(), np.random.default_rng(0))


def test_official_val_and_held_out_photos_are_never_train(tmp_path):
    write_voc(tmp_path, np.random.default_rng(0), 24)
    parts = {p.stem: p.part for p in list_photos(tmp_path)}
    assert set(parts.values()) <= {"train", "choose", "test"}
    assert all(parts[f"2007_{i:06d}"] == "test" for i in range(20, 24))
    assert sum(p == "test" for p in parts.values()) == 4


def test_a_run_that_is_made_longer_starts_its_rate_again():
    config = replace(CONFIG, stages=(Stage(steps=10, size=64, zoom=0.6),), warmup=2, decay=4, restarts=(5,))
    full = config.learning_rate
    assert config.rate(1) == full
    assert config.rate(4) == pytest.approx(full / 4)
    assert config.rate(5) == pytest.approx(full / 2)
    assert config.rate(6) == full
    assert config.rate(9) == pytest.approx(full / 4)


def test_the_same_picture_in_two_sets_is_held_out_in_both():
    share = split_rule()["share"]
    assert share["coco_person"] == share["coco2017"]


def test_file_names_are_hashed_alike_on_every_machine():
    assert fraction("000000000139") == pytest.approx(0.71734, abs=1e-4)
    assert 0.45 < np.mean([fraction(str(i)) for i in range(2000)]) < 0.55


def test_photos_that_show_an_excluded_class_have_no_mask(sampler, tmp_path):
    write_voc(tmp_path, np.random.default_rng(0), 24)
    photos = sampler.cache.photos
    truth = build_truth(
        photos, tmp_path, TABLE, sampler.cache.logits, imagenet_names=[""] * 1000, excluded=["cat"]
    )
    assert 1 not in truth.masks
    assert 2 in truth.masks
    for i in range(len(photos)):
        shows_cat = sampler.truth.state[i, 1] == 1
        assert (truth.row[i] == -1) == shows_cat


def test_the_pca_keeps_the_directions_of_most_variance():
    rng = torch.Generator().manual_seed(0)
    tokens = torch.randn(500, 6, generator=rng) * torch.tensor([5.0, 0.1, 3, 0.1, 0.1, 1]) + 2
    mean, vectors = fit_pca(tokens, 3)
    torch.testing.assert_close(mean, tokens.mean(0))
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(3), atol=1e-4, rtol=1e-4)
    assert sorted(vectors.abs().argmax(0).tolist()) == [0, 2, 5]


def test_crop_and_mask_move_together(sampler):
    """In these pictures colour tells the class: masks must lie where the colour is."""
    batch = sampler.draw(4, 0, 64, drawn_share=1.0, zoom=0.5)
    small = F.avg_pool2d(batch.pixels, 8)
    redder = small[:, 0] - small[:, 2]
    for crop in range(8):
        sure = batch.mask[crop] > 0.99
        if sure.any():
            inside, outside = redder[crop][sure], redder[crop][batch.mask[crop] < 0.01]
            assert inside.abs().min() > outside.abs().max()


def test_pairs_show_the_same_thing_and_different_pairs_different_things(sampler):
    _, concepts = sampler.pairs(2, 1.0)
    assert concepts[0] == concepts[1]
    assert concepts[2] == concepts[3]
    assert concepts[0] != concepts[2]


def test_a_label_without_a_found_object_says_nothing_about_cells(sampler):
    truth = replace(
        sampler.truth, row=np.full_like(sampler.truth.row, -1), label=np.full_like(sampler.truth.label, 3)
    )
    blind = Sampler(sampler.cache, truth, TABLE, set(), np.random.default_rng(0))
    rows = np.array([0, 1])
    assert (blind._targets(rows, blind._windows(2, 0.5), 8) == IGNORE).all()


def test_prototypes_equal_a_plain_loop():
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 4, 5, generator=rng)
    mask, weight = torch.rand(2, 4, 5, generator=rng), torch.rand(2, 4, 5, generator=rng)
    vectors, valid = losses.prototypes(features, mask, weight)
    for b in range(2):
        for k in range(2):
            total, norm = torch.zeros(3), 0.0
            for r in range(4):
                for c in range(5):
                    share = mask[b, r, c] if k else 1 - mask[b, r, c]
                    total += features[b, :, r, c] * share * weight[b, r, c]
                    norm += float(share * weight[b, r, c])
            torch.testing.assert_close(vectors[b, k], F.normalize(total / norm, dim=0))
    assert valid.all()


def test_evidence_loss_equals_a_plain_loop():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 2, 3, generator=rng)
    target = torch.tensor([[[0, 1, 255], [2, 0, 0]], [[255, 255, 3], [3, 0, 1]]])
    allowed = torch.tensor([[True, False, False, True], [True, False, True, False]])
    thing, rest = [], []
    for b in range(2):
        for r in range(2):
            for c in range(3):
                p = logits[b, :, r, c].softmax(0)
                t = int(target[b, r, c])
                if t == 0:
                    rest.append(-math.log(p[allowed[b]].sum()))
                elif t != 255:
                    thing.append(-math.log(p[t]))
    expected = 0.5 * np.mean(thing) + 0.5 * np.mean(rest)
    assert losses.evidence_loss(logits, target, allowed).item() == pytest.approx(expected, rel=1e-4)


def test_episode_loss_falls_when_partners_agree():
    mask = torch.zeros(4, 4, 4)
    mask[:, :2] = 1
    good = torch.zeros(4, 3, 4, 4)
    good[:2, 0, :2], good[2:, 1, :2], good[:, 2, 2:] = 1, 1, 1
    bad = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    weight = torch.ones_like(mask)
    assert losses.episode_loss(good, mask, weight) < 0.1
    assert losses.episode_loss(good, mask, weight) < losses.episode_loss(
        F.normalize(bad, dim=1), mask, weight
    )


@pytest.mark.parametrize("mask", [torch.zeros(2, 3, 3), torch.ones(2, 3, 3)])
def test_an_empty_or_full_mask_makes_no_episode(mask):
    features = F.normalize(torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    assert losses.episode_loss(features, mask, torch.ones_like(mask)).item() == 0
    assert losses.episode_loss(features, mask, torch.zeros_like(mask)).item() == 0


def test_names_with_unknown_neighbours_are_left_out():
    vectors = F.normalize(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    near = name_cosines(TABLE, ["kitten", "dog", "x", "y", "z"], vectors)
    assert near.shape == (len(TABLE.names),) * 2
    assert not near[1, 2].isnan()
    assert near[0].isnan().all()


def test_unknown_words_are_placed_beside_the_closest_known_concept():
    words = Vocabulary(TABLE.concepts([""] * 1000))
    vectors = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.9, 0.1, 0], [0, 0, 1]])
    near = words_near(words, ["cat", "dog", "lynx", "teapot"], F.normalize(vectors, dim=1))
    assert near == {"lynx": "cat"}


def test_training_stops_resumes_exports_and_loads(sampler, tmp_path):
    run, folder = tmp_path / "run", tmp_path / "mini"
    more = {
        "concepts": [asdict(c) for c in TABLE.concepts([""] * 1000)],
        "near": {},
        "config": asdict(CONFIG),
    }
    near = name_cosines(TABLE, ["cat", "dog"], torch.eye(2))
    short = replace(CONFIG, stages=CONFIG.stages[:1])
    distill.train(short, sampler, near, run, more)
    first = torch.load(run / distill.CHECKPOINT)["step"]
    distill.train(CONFIG, sampler, near, run, more)
    assert (first, torch.load(run / distill.CHECKPOINT)["step"]) == (6, 8)
    with (run / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(
        math.isfinite(float(r[k])) for r in rows for k in ("tokens", "episode", "evidence", "presence")
    )
    distill.export(run, folder)
    encoder = load_mini(folder)
    assert encoder.vlm.familiarity("kittens") == 1
    assert json.loads((folder / "config.json").read_text())["training"]["steps"] == 8
    dense, (features,) = encoder.encode(torch.rand(1, 3, 64, 64))
    assert dense.isfinite().all()
    assert features.isfinite().all()

    longer = replace(CONFIG, stages=(*CONFIG.stages, Stage(1, 32, 0.6)), restarts=(8,))
    student, _, _, step = distill.start(longer, len(more["concepts"]), tmp_path / "new", folder)
    assert step == 8
    for name, value in encoder.network.state_dict().items():
        torch.testing.assert_close(student.mini.state_dict()[name], value)


def test_trust_grows_with_masked_photos_and_is_none_without():
    trust = distill.trust_of({"cat": 180, "tie": 5})
    assert trust == {"cat": 0.9, "tie": 0.2, "background": 1.0}


def test_every_trained_parameter_gets_a_gradient(sampler):
    torch.manual_seed(0)
    student = distill.Student(distill.MiniConfig(width=32, concepts=len(TABLE.names)))
    batch = sampler.draw(2, 1, 64, drawn_share=1.0, zoom=0.6)
    near = name_cosines(TABLE, ["cat", "dog"], torch.eye(2))
    torch.stack(list(distill.training_loss(student, batch, CONFIG.weights, near).values())).sum().backward()
    silent = [n for n, p in student.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_auc_equals_counting_pairs():
    rng = np.random.default_rng(0)
    shown, absent = rng.integers(0, 6, 7).astype(float), rng.integers(0, 6, 9).astype(float)
    wins = [1.0 if s > a else 0.5 if s == a else 0.0 for s in shown for a in absent]
    assert roc_auc(shown, absent) == pytest.approx(np.mean(wins))


def test_the_nearest_prototype_finds_the_same_colour_elsewhere():
    support, query = torch.zeros(1, 2, 20, 20), torch.zeros(1, 2, 20, 20)
    support[:, 0], query[:, 0] = 1, 1
    support[0, :, :10], query[0, :, :, 10:] = (
        torch.tensor([0.0, 1.0])[:, None, None],
        torch.tensor([0.0, 1.0])[:, None, None],
    )
    mask = torch.zeros(160, 160, dtype=torch.uint8)
    mask[:80] = 3
    mask[0, 0] = IGNORE
    found = nearest_prototype(support, mask, query, 3)
    assert found[:, 84:].all()
    assert not found[:, :76].any()


def test_a_photo_knows_its_stem():
    assert Photo("voc/JPEGImages/2007_000001.jpg", "voc", None, "train").stem == "2007_000001"
