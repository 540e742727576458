"""Mini's training: what is known of photos, crops and their targets, losses, a run from start to model."""

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
from lfss.encoders.mini_network import Mini, MiniConfig
from lfss.encoders.vocabulary import Vocabulary
from lfss.weights import WEIGHTS, read_state
from train.mini import export as exported
from train.mini import losses
from train.mini import train as training
from train.mini.batches import Sampler
from train.mini.concepts import ConceptTable
from train.mini.measure import nearest_prototype
from train.mini.names import words_near
from train.mini.photos import Photo, fraction, list_photos, split_rule
from train.mini.train import Recipe, Run, Stage
from train.mini.truth import SIDE, UNKNOWN, Truth, states, unmarked_concepts

NAMES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence")
TABLE = ConceptTable(
    {
        "background": {},
        "cat": {"voc": "cat", "imagenet": "281-285", "also": ["kitten"]},
        "dog": {"voc": "dog", "imagenet": "151-153"},
        "person": {"voc": "person"},
        **{name: {} for name in NAMES},
        **{name: {} for name in ("cow", "horse", "sheep")},
        "tench": {"imagenet": "0"},
    }
)
COLOURS = {"cat": (220, 60, 40), "dog": (40, 80, 220)}
VALUES = {"cat": 8, "dog": 12}  # in VOC's palette
RECIPE = Recipe(
    seed=0, frozen=2, stages=(Stage(3, 32, 0.6, 2, 1, 2), Stage(2, 48, 0.6, 2, 1, 2)), trunk_rate=1e-4,
    head_rate=1e-3, weight_decay=0.01, warmup=2, decay=2, average=0.9,
    groups={"voc": 0.7, "objects1000": 0.3},
    weights={"episode": 1.0, "evidence": 1.0, "shown": 0.1, "tokens": 0.5},
)  # fmt: skip
CONFIG = MiniConfig(concepts=len(TABLE.names), match_dim=8, hidden=12, dim=24, depth=12, heads=2)


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
        mask[0] = 255
        stems.append(f"2007_{i:06d}")
        Image.fromarray(pixels).save(data / "voc/JPEGImages" / f"{stems[-1]}.jpg", quality=95)
        Image.fromarray(mask).save(data / "voc/SegmentationClass" / f"{stems[-1]}.png")
    lists = data / "voc" / "ImageSets" / "Segmentation"
    (lists / "train.txt").write_text("\n".join(stems[:-4]))
    (lists / "val.txt").write_text("\n".join(stems[-4:]))


def write_labelled(data: Path) -> None:
    """A photo of a tench with a rough mask, and one of a dog without."""
    for folder in ("photos/imagenet1000", "photos/animals", "objects1000/masks"):
        (data / folder).mkdir(parents=True)
    saliency = np.zeros((128, 128), np.uint8)
    saliency[32:96, 32:96], saliency[20:32] = 15, 6
    Image.fromarray(saliency).save(data / "objects1000/masks/n01440764_tench.png")
    for name in ("imagenet1000/n01440764.jpg", "animals/do1.jpg"):
        Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(data / "photos" / name)
    rows = "imagenet1000/n01440764.jpg,imagenet1000,tench\nanimals/do1.jpg,animals,dog\n"
    (data / "photos/labels.csv").write_text("file,source,label\n" + rows)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_voc(folder, np.random.default_rng(0), 24)
    write_labelled(folder)
    return folder


@pytest.fixture(scope="module")
def truth(data: Path) -> Truth:
    names, synsets = ["tench", *[""] * 999], ["n01440764", *(f"n{i}" for i in range(999))]
    return Truth(data, TABLE, TABLE.labels(names, synsets))


@pytest.fixture(scope="module")
def sampler(data: Path, truth: Truth) -> Sampler:
    known = training.trained_photos(data, truth, ())
    return Sampler(
        data, known, concepts=len(TABLE.names), unmarked=unmarked_concepts(TABLE), never=set(),
        groups=RECIPE.groups, rng=np.random.default_rng(0),
    )  # fmt: skip


# -- photos --------------------------------------------------------------------------------------------


def test_official_val_and_held_out_photos_are_never_trained_on(data: Path, truth: Truth) -> None:
    parts = {p.stem: p.part for p in list_photos(data) if p.source == "voc"}
    assert [stem for stem, part in parts.items() if part == "test"] == [
        f"2007_{i:06d}" for i in sorted(range(20, 24), key=lambda i: list(parts).index(f"2007_{i:06d}"))
    ]
    trained = {known.photo.stem for known in training.trained_photos(data, truth, ())}
    assert trained.isdisjoint(stem for stem, part in parts.items() if part != "train")


def test_the_same_picture_in_two_sets_is_held_out_in_both() -> None:
    share = split_rule()["share"]
    assert share["coco_person"] == share["coco2017"]


def test_file_names_are_hashed_alike_on_every_machine() -> None:
    assert fraction("000000000139") == pytest.approx(0.71734, abs=1e-4)
    assert 0.45 < np.mean([fraction(str(i)) for i in range(2000)]) < 0.55


def test_photos_that_show_an_excluded_concept_are_left_out(data: Path, truth: Truth) -> None:
    left = training.trained_photos(data, truth, ["dog"])
    assert all(known.mask is None or not (known.mask == 2).any() for known in left)
    assert {known.label for known in left} == {-1, 15}  # the labelled photo of a dog is gone as well
    assert any((known.mask == 1).any() for known in left if known.mask is not None)
    assert not any(truth.table.names.index("dog") in known.complete for known in left)


def test_a_class_of_imagenet_that_no_concept_covers_becomes_one(tmp_path: Path) -> None:
    path = tmp_path / "concepts.json"
    path.write_text(json.dumps({"background": {}, "cat": {"also": ["kitten"], "imagenet": "1-999"}}))
    table = ConceptTable.load(["tench", *["x"] * 999], path)
    assert table.names == ["background", "cat", "tench"]
    assert table.imagenet().any(0).all()
    assert ConceptTable.load(["kitten", *["x"] * 999], path).names == ["background", "cat"]


# -- what is known -------------------------------------------------------------------------------------


def test_a_drawn_mask_holds_concepts_background_and_what_is_not_known(data: Path, truth: Truth) -> None:
    known = truth.of(Photo("voc/JPEGImages/2007_000000.jpg", "voc", None, "train"))
    assert known.mask is not None
    assert known.mask.shape == (SIDE, SIDE)
    assert set(np.unique(known.mask).tolist()) == {UNKNOWN, 0, 1}
    assert sorted(known.complete) == [1, 2, 3]
    state = states(known, len(TABLE.names), unmarked_concepts(TABLE))
    assert (state[1], state[2], state[4]) == (1, 0, -1)  # a cat, no dog, nothing said of the sky


def test_a_rough_mask_marks_its_label_alone(truth: Truth) -> None:
    known = truth.of(Photo("photos/imagenet1000/n01440764.jpg", "imagenet1000", "tench", "train"))
    assert known.mask is not None
    assert known.group == "objects1000"
    assert (known.mask[40, 40], known.mask[25, 5], known.mask[100, 5]) == (15, UNKNOWN, 0)
    state = states(known, len(TABLE.names), unmarked_concepts(TABLE))
    assert (state[15], state[1], state[3]) == (1, 0, -1)  # persons may stand beside


# -- crops ---------------------------------------------------------------------------------------------


def test_crop_and_mask_move_together(sampler: Sampler) -> None:
    """In these pictures colour tells the class: masks must lie where the colour is."""
    batch = sampler.draw(2, 0, 64, 0.5)
    small = F.avg_pool2d(batch.pixels, 16)
    redder = (small[:, 0] - small[:, 2]).abs()
    compared = 0
    for crop, target in enumerate(batch.targets):
        if {1, 2} & set(target):
            inside, outside = batch.mask[crop] > 0.99, (batch.mask[crop] < 0.01) & (batch.weight[crop] > 0.9)
            if inside.any() and outside.any():
                compared += 1
                assert redder[crop][inside].min() > redder[crop][outside].max()
    assert compared


def test_pairs_show_the_same_thing_and_different_pairs_different_things(sampler: Sampler) -> None:
    chosen = sampler.pairs(3)
    concepts = [concept for _, concept in chosen]
    assert concepts[0::2] == concepts[1::2]
    assert len(set(concepts)) == 3
    for row, concept in chosen:
        assert (sampler.known[row].mask == concept).any()


def test_what_a_crop_lost_is_not_called_shown(sampler: Sampler) -> None:
    row = next(r for r, known in enumerate(sampler.known) if known.group == "voc" and (known.mask == 1).any())
    whole, empty = {0: torch.ones(4, 4), 1: torch.ones(4, 4)}, {0: torch.ones(4, 4)}
    assert sampler._state(row, whole)[1] == 1
    assert sampler._state(row, empty)[1] == 0


# -- losses --------------------------------------------------------------------------------------------


def test_prototypes_equal_a_plain_loop() -> None:
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


def test_evidence_loss_equals_a_plain_loop() -> None:
    rng = torch.Generator().manual_seed(0)
    logits, share = torch.randn(1, 4, 2, 3, generator=rng), torch.rand(2, 3, generator=rng)
    marked, surroundings = (
        torch.tensor([[False, True, False, False]]),
        torch.tensor([True, False, False, True]),
    )
    made = losses.evidence_loss(logits, [{0: 1 - share, 1: share}], marked, torch.tensor([-1]), surroundings)
    thing = rest = low = high = 0.0
    for r in range(2):
        for c in range(3):
            p, s = logits[0, :, r, c].softmax(0).tolist(), float(share[r, c])
            thing -= s * math.log(p[1])
            anything, ground = math.log(p[0] + p[2] + p[3]), math.log(p[0] + p[3])
            rest -= (1 - s) * (
                (1 - losses.SURROUNDINGS_SHARE) * anything + losses.SURROUNDINGS_SHARE * ground
            )
            low, high = low + p[1] * s, high + p[1] + s - p[1] * s
    expected = 0.5 * (thing / float(share.sum()) + 0.5 * (1 - low / high) + rest / float((1 - share).sum()))
    assert made.item() == pytest.approx(expected, rel=1e-4)


def test_a_label_without_a_mask_wants_some_cells_only() -> None:
    logits = torch.zeros(1, 3, 10, 10)
    logits[0, 1, :2, :5] = 20  # a tenth of the cells
    none = torch.zeros(1, 3, dtype=torch.bool)
    loss = losses.evidence_loss(logits, [{}], none, torch.tensor([1]), none[0])
    assert loss.item() == pytest.approx(0, abs=1e-4)


def test_episode_loss_falls_when_partners_agree() -> None:
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
def test_an_empty_or_full_mask_makes_no_episode(mask: torch.Tensor) -> None:
    features = F.normalize(torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    assert losses.episode_loss(features, mask, torch.ones_like(mask)).item() == 0
    assert losses.episode_loss(features, mask, torch.zeros_like(mask)).item() == 0


def test_what_is_not_known_to_be_shown_has_no_say() -> None:
    logits = torch.tensor([[3.0, -2.0, 5.0]], requires_grad=True)
    losses.shown_loss(logits, torch.tensor([[1, 0, -1]])).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]
    assert logits.grad[0, 2] == 0


# -- a run ---------------------------------------------------------------------------------------------


def public_weights() -> dict[str, torch.Tensor]:
    """Weights as the public ones are named, for a small trunk."""
    torch.manual_seed(1)
    state = {name: value.clone() for name, value in Mini(CONFIG).trunk.state_dict().items()}
    return {**state, "head.weight": torch.randn(1000, CONFIG.dim), "head.bias": torch.randn(1000)}


def test_concepts_start_as_their_imagenet_classes() -> None:
    state = public_weights()
    network = training.begin(state, TABLE, CONFIG)
    torch.testing.assert_close(network.direct.weight[1], state["head.weight"][281:286].mean(0))
    assert not network.direct.weight[3].any()  # no class of ImageNet is "person"
    torch.testing.assert_close(network.trunk.blocks[3].mlp.fc1.weight, state["blocks.3.mlp.fc1.weight"])


def test_frozen_parts_stay_and_all_others_learn(sampler: Sampler, tmp_path: Path) -> None:
    network = training.begin(public_weights(), TABLE, CONFIG)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    run = Run(RECIPE, network, tmp_path)
    batch = sampler.draw(3, 1, 64, 0.6)
    for _ in range(2):
        run.learn(batch, torch.tensor([0, 6]), torch.tensor([n == "background" for n in TABLE.names]))
    still = {name for name, value in network.state_dict().items() if torch.equal(value, before[name])}
    frozen = ("trunk.patch_embed", "trunk.cls_token", "trunk.pos_embed", "trunk.blocks.0.", "trunk.blocks.1.")
    assert still == {name for name in before if name.startswith(frozen)}


def test_at_the_start_the_tokens_are_the_originals(sampler: Sampler, tmp_path: Path) -> None:
    run = Run(RECIPE, training.begin(public_weights(), TABLE, CONFIG), tmp_path)
    _, _, moved = training.look(run.network, run.original, torch.rand(2, 3, 32, 32), torch.tensor([0, 1]))
    assert moved.item() == pytest.approx(0, abs=1e-5)
    with torch.no_grad():
        run.network.trunk.blocks[9].mlp.fc1.weight.mul_(2)
    _, _, moved = training.look(run.network, run.original, torch.rand(2, 3, 32, 32), torch.tensor([0, 1]))
    assert moved.item() > 1e-4


def test_training_stops_resumes_exports_and_loads(sampler: Sampler, tmp_path: Path) -> None:
    folder, model = tmp_path / "run", tmp_path / "mini"
    folder.mkdir()
    more = {"concepts": [asdict(c) for c in TABLE.concepts([""] * 1000)]}
    surroundings = torch.tensor([name == "background" for name in TABLE.names])

    def go(recipe: Recipe) -> int:
        run = Run(recipe, training.begin(public_weights(), TABLE, CONFIG), folder)
        run.resume()
        training.train(run, sampler, surroundings, more)
        return int(torch.load(folder / training.CHECKPOINT)["step"])

    assert go(replace(RECIPE, stages=RECIPE.stages[:1])) == 3
    assert go(RECIPE) == 5
    with (folder / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [3, 5]
    assert all(math.isfinite(float(row[name])) for row in rows for name in RECIPE.weights)
    exported.export(torch.load(folder / training.CHECKPOINT), model, {"cat": 0.9}, None)
    encoder = load_mini(model)
    assert encoder.vlm.text_trust("kittens") == 0.9
    assert json.loads((model / "config.json").read_text())["training"]["steps"] == 5
    dense, (features,) = encoder.encode(torch.rand(1, 3, 64, 64))
    assert dense.isfinite().all()
    assert features.isfinite().all()
    exported.export(torch.load(folder / training.CHECKPOINT), tmp_path / "floats", {}, None, int8=False)
    kinds = [{t.dtype for t in read_state(f / WEIGHTS).values()} for f in (model, tmp_path / "floats")]
    assert torch.int8 in kinds[0]
    assert kinds[1] == {torch.float16}


def test_the_rate_rises_stays_and_falls() -> None:
    paces = [replace(RECIPE, stages=(Stage(8, 32, 1, 1, 0, 0),), decay=4).pace(step) for step in range(8)]
    assert paces == [0.5, 1, 1, 1, 1, 0.75, 0.5, 0.25]


def test_trust_grows_with_masks_and_with_what_the_public_weights_know() -> None:
    trust = exported.trust_of({"cat": 180, "tie": 5}, {"tie": 10}, ["cat", "tench"])
    assert trust == {"cat": round(190 / 210, 2), "tie": round(10 / 30, 2), "tench": 0.33, "background": 1.0}


def test_unknown_words_are_placed_beside_the_closest_known_concept() -> None:
    words = Vocabulary(TABLE.concepts([""] * 1000))
    vectors = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.9, 0.1, 0], [0, 0, 1]])
    near = words_near(words, ["cat", "dog", "lynx", "teapot"], F.normalize(vectors, dim=1))
    assert near == {"lynx": "cat"}


def test_the_nearest_prototype_finds_the_same_colour_elsewhere() -> None:
    support, query = torch.zeros(1, 2, 16, 16), torch.zeros(1, 2, 16, 16)
    support[:, 0], query[:, 0] = 1, 1
    object_like = torch.tensor([0.0, 1.0])[:, None, None]
    support[0, :, :8], query[0, :, :, 8:] = object_like, object_like
    mask = torch.zeros(SIDE, SIDE, dtype=torch.int16)
    mask[: SIDE // 2], mask[0, 0] = 3, UNKNOWN
    found = nearest_prototype(support, mask, query, 3)
    assert found[:, SIDE // 2 + 4 :].all()
    assert not found[:, : SIDE // 2 - 4].any()
