"""Training PAIA: what learns, that it goes on where it stopped, and what its threshold is good for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lfss.errors import InputError
from lfss.methods.paia.losses import IGNORE
from lfss.weights import load_model
from tests.train.tiny_sets import write_animals
from train import ways
from train.data.datasets import open_data
from train.data.ways import sample_ways
from train.fit_paia import CONFIG, encoder_of, main, read_recipe
from train.paper.threshold import PaiaTraining, Pictures, ThresholdRecipe, load_encoder, read_pictures

RECIPE = ThresholdRecipe(steps=4, rate=0.1, iterations=2, checks=2)


def pictures(seed: int) -> Pictures:
    """One support, two auxiliary pictures and the query: a yellow square on dark noise, with something orange
    beside it in all but the support."""
    generator = torch.Generator().manual_seed(seed)
    pixels = 0.2 * torch.rand(4, 3, 32, 32, generator=generator)
    pixels[:, :2, 8:24, 8:24] += 0.7
    pixels[1:, 0, :, 24:] += 0.7
    pixels[1:, 1, :, 24:] += 0.3
    truths = torch.zeros(2, 32, 32, dtype=torch.int64)
    truths[:, 8:24, 8:24] = 1
    truths[:, :2] = IGNORE
    return Pictures(pixels, truths)


def levels(pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return (torch.nn.functional.avg_pool2d(pixels, 4) + 0.1,)


@pytest.mark.parametrize("supports", ["fused", "alignment", "none"])
def test_the_threshold_learns_from_every_reading_of_the_supports_loss(supports):
    training = PaiaTraining(replace(RECIPE, supports=supports), levels)
    torch.nn.init.constant_(training.method.threshold.out.bias, 0.6)  # among the distances of what is orange
    first = training.loss(pictures(0)).item()
    for _ in range(5):
        training.step(pictures(0))
    assert training.loss(pictures(0)).item() < first - 1e-3


def test_the_losses_of_query_and_supports_are_added():
    each = {
        s: PaiaTraining(replace(RECIPE, supports=s), levels).loss(pictures(0)).item()
        for s in ("none", "fused")
    }
    same = pictures(0)
    as_query = Pictures(same.pixels[[0, 1, 2, 0]], same.truths[[0, 0]])  # the support is asked for
    alone = PaiaTraining(replace(RECIPE, supports="none"), levels).loss(as_query).item()
    assert each["fused"] == pytest.approx(each["none"] + alone, rel=1e-4)


def test_a_training_that_goes_on_is_the_one_that_never_stopped():
    whole, first, second = (PaiaTraining(RECIPE, levels) for _ in range(3))
    first.method.load_state_dict(whole.method.state_dict())
    for index in range(4):
        whole.step(pictures(index))
    for index in range(2):
        first.step(pictures(index))
    second.load(first.state())
    for index in range(second.step_number, 4):
        second.step(pictures(index))
    assert torch.equal(second.method.threshold.out.weight, whole.method.threshold.out.weight)


def test_an_encoder_learns_only_where_the_recipe_says_so(tmp_path: Path):
    network = nn.Conv2d(3, 4, 4, stride=4)
    before = network.weight.detach().clone()
    backbone = SimpleNamespace(network=network, levels_of=lambda pixels: (network(pixels),))
    predictor = SimpleNamespace(encoders=SimpleNamespace(backbone=backbone), preset=SimpleNamespace(name="x"))
    training = PaiaTraining(RECIPE, *encoder_of(predictor, replace(RECIPE, encoder=True), tmp_path))
    training.step(pictures(0))
    assert not torch.equal(network.weight, before)
    with pytest.raises(InputError, match="cannot be trained here"):
        encoder_of(
            SimpleNamespace(encoders=SimpleNamespace(backbone=object()), preset=SimpleNamespace(name="x")),
            replace(RECIPE, encoder=True), tmp_path,
        )  # fmt: skip


def test_pictures_of_an_episode_lie_in_order_and_are_mirrored_with_their_truth(tmp_path: Path):
    data = open_data(write_animals(tmp_path / "voc", each=10), "voc", split="train", cache=tmp_path)
    (episode,) = sample_ways(data, ["cat", "dog"], ways=2, shots=1, auxiliary=2, count=1, seed=0)
    plain = read_pictures(data, episode, size=48)
    other = read_pictures(data, episode, size=48, mirrored=True)
    assert plain.pixels.shape == (2 + 4 + 1, 3, 48, 48)
    assert plain.truths.shape == (3, 48, 48)
    assert set(plain.truths[1].unique().tolist()) == {0, 2, IGNORE}
    assert torch.equal(other.pixels.flip(-1), plain.pixels)
    assert torch.equal(other.truths.flip(-1), plain.truths)


def test_the_command_trains_a_threshold_that_gives_more_rows(tmp_path: Path, capsys):
    root = write_animals(tmp_path / "voc", each=10)
    config = tmp_path / "recipe.json"
    config.write_text(json.dumps({"steps": 4, "rate": 0.1, "iterations": 1, "checks": 2}))
    run, cache = tmp_path / "run", str(tmp_path / "cache")
    given = ["--data", str(root), "--preset", "tests.fakes:preset", "--cache", cache, "--device", "cpu"]
    base = ["--split", "train", "--classes", "sheep,dog"]
    typed = [*given, *base, "--config", str(config), "--out", str(run)]
    assert main(typed) == 0
    about, state = load_model(run / "threshold")
    assert about["classes"] == ["sheep", "dog"]
    assert main(typed) == 0  # all is done: nothing is trained again
    assert torch.equal(load_model(run / "threshold")[1]["out.bias"], state["out.bias"])
    out = tmp_path / "result.json"
    measured = [
        *given, "--split", "val", "--auxiliary-split", "train", "--classes", "cat,cow", "--aux", "2",
        "--episodes", "2", "--seed", "0", "--threshold", str(run / "threshold"), "--out", str(out),
    ]  # fmt: skip
    assert ways.main(measured) == 0
    rows = json.loads(out.read_text())["mean"]["2"]["native"]
    assert {"paia", "paia, trained", "one iteration, trained"} <= rows.keys()
    config.write_text(json.dumps({"steps": 6}))
    assert main(typed) == 2
    assert "holds another training" in capsys.readouterr().err


def test_recipes_are_read_and_wrong_ones_told(tmp_path: Path):
    assert not read_recipe(CONFIG).encoder
    paper = read_recipe(CONFIG.parent / "paia.json")
    assert (paper.encoder, paper.steps, paper.size, paper.rate) == (True, 20_000, 417, 1e-3)
    wrong = tmp_path / "wrong.json"
    for text, said in (
        ('{"speed": 1}', "may set"),
        ('{"supports": "x"}', "no reading"),
        ('{"flip": true}', "mirrored"),
    ):
        wrong.write_text(text)
        with pytest.raises(InputError, match=said):
            read_recipe(wrong)
    assert not load_encoder(SimpleNamespace(), tmp_path)
