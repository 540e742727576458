"""Training TLG: its loss written out once more, what learns, and a miniature up to a checkpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_sets import write_animals

from lfss.methods.tlg import TlgConfig
from lfss.weights import load_model
from tests.train.test_learn_paper import CHANNELS, H, W, cross_entropy, example
from train.data.datasets import open_data
from train.data.episodes import EpisodeSpec
from train.decoders.learning import Recipe
from train.decoders.paper import Examples
from train.decoders.tlg import PseudoFiles, TlgLearner, two_branch_loss
from train.evaluate import main as evaluate
from train.fit import main as fit
from train.maps import Task

SMALL = TlgConfig(width=32, cells=4, tokens=2, heads=2, sinkhorn_steps=3)


def learner(**recipe: object) -> TlgLearner:
    torch.manual_seed(0)
    chosen = replace(Recipe(decoder="tlg", overlap=0.0), **recipe)  # type: ignore[arg-type]
    return TlgLearner(chosen, ["cat"], CHANNELS, choices=SMALL)


def test_the_loss_weighs_the_two_branches_and_leaves_out_unknown_pixels() -> None:
    given, module = example(), learner()
    (one,) = given.episode.classes
    with torch.no_grad():
        branches = module.network.branches(one, given.episode)
        loss = two_branch_loss(branches, given, 0.0)
    k = len(given.supports)
    query = cross_entropy(branches.query, given.query.expand(k, -1, -1), given.query_valid.expand(k, -1, -1))
    support = cross_entropy(branches.support, given.supports, given.supports_valid)
    assert query != pytest.approx(support, rel=1e-3)
    assert float(loss) == pytest.approx(1.4 * query + 0.6 * support, rel=1e-5)


def test_only_the_network_learns_and_its_average_follows() -> None:
    module, given = learner(average=0.5), example()
    optimiser = module.configure_optimizers()["optimizer"]
    learning = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert learning == {id(p) for p in module.network.parameters()}
    assert {group["weight_decay"] for group in optimiser.param_groups} == {module.recipe.decay}
    module.log = lambda *given, **named: None  # type: ignore[method-assign]  # there is no trainer
    name, before = next((n, p.clone()) for n, p in module.network.named_parameters())
    for _ in range(2):  # the first update of an average copies
        optimiser.zero_grad()
        module.training_step(given).backward()
        optimiser.step()
        module.on_train_batch_end(None, given, 0)
    now, followed = module.network.get_parameter(name), module.averaged.module.get_parameter(name)
    assert not torch.equal(now, before)
    assert not torch.equal(now, followed)


def test_episodes_stay_in_memory_as_far_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Task] = []

    def encode(_: Examples, task: Task) -> object:
        made.append(task)
        return example()

    monkeypatch.setattr(Examples, "encode", encode)
    tasks = [Task(0, EpisodeSpec("cat", 1, str(i), ("a", "b")), "label", True) for i in range(2)]
    predictor = SimpleNamespace(preset=SimpleNamespace(size=16))
    examples = Examples(tasks, [], predictor, ["cat"])  # type: ignore[arg-type]
    for item in (0, 1, 0, 1):
        assert len(examples[item].query) == 1
    assert made == tasks
    examples.kept.clear()
    examples.room = 1  # byte
    for _ in range(2):
        examples[0]
    assert made == [*tasks, tasks[0], tasks[0]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of a few steps on generated pictures; its folder, with the data beside it."""
    root = tmp_path_factory.mktemp("tlg")
    write_animals(root / "data" / "voc", each=7)
    config = {
        "recipe": {
            "decoder": "tlg", "steps": 6, "batch": 2, "checks": 2, "validate": 4, "rate": 3e-3, "average": 0.5
        },
        "method": {"width": 32, "cells": 4, "tokens": 2, "heads": 2, "sinkhorn_steps": 3},
        "seed": 0, "episodes": 24, "shots": [1], "kinds": ["label"], "unknown_words": 0.0, "without": [],
        "sources": [{"root": "voc", "layout": "voc", "split": "train", "share": 1.0}],
    }  # fmt: skip
    (root / "config.json").write_text(json.dumps(config))
    assert fit(arguments(root)) == 0
    return root


def arguments(root: Path, *more: str) -> list[str]:
    return [
        "--method", "tlg", "--config", str(root / "config.json"), "--data", str(root / "data"),
        "--preset", "tiny_networks:one", "--cache", str(root / "cache"), "--out", str(root / "run"),
        "--without", "cow", "--choose", "sheep", "--set", "use_query_mask=false",
        "--accelerator", "cpu", *more,
    ]  # fmt: skip


def test_a_miniature_is_trained_and_says_what_it_is(trained: Path) -> None:
    config, weights = load_model(trained / "run" / "tlg")
    assert config["method"] == "tlg"
    assert config["config"]["use_query_mask"] is False
    assert config["recipe"]["without"] == ["cow"]
    assert config["trained_on"] == ["tiny_networks:one"]
    assert set(config["chosen_at"]) == {"step", "minutes", "fixed_rule", "iou"}
    assert not any(name.startswith("fixed") for name in weights)
    assert (trained / "run" / "curve.png").is_file()


def test_a_training_goes_on_and_is_not_trained_over(trained: Path, capsys: pytest.CaptureFixture) -> None:
    assert fit(arguments(trained)) == 2
    assert "Add --resume" in capsys.readouterr().err
    assert fit(arguments(trained, "--resume", "--steps", "8")) == 0
    history = torch.load(trained / "run" / "last.ckpt", weights_only=False)["history"]
    assert [row["step"] for row in history] == [3, 6, 8]
    assert fit(arguments(trained, "--resume", "--set", "text=false")) == 2
    assert "another choices" in capsys.readouterr().err


def test_trained_weights_are_scored_alone_and_beside_lfss(trained: Path, tmp_path: Path) -> None:
    def score(name: str, *more: str) -> dict:
        out = tmp_path / f"{name}.json"
        assert evaluate([
            "--data", str(trained / "data" / "voc"), "--split", "val", "--classes", "cow", "--episodes", "2",
            "--preset", "tiny_networks:one", "--device", "cpu", "--cache", str(trained / "cache"),
            "--out", str(out), *more,
        ]) == 0  # fmt: skip
        return json.loads(out.read_text())["mean"]

    folder = str(trained / "run" / "tlg")
    alone = score("alone", "--method", "tlg", "--weights", folder)
    beside = score("beside", "--decoder", f"TLG={folder}", "--beside", "paia")
    assert "refined" not in alone  # the query's pseudo mask is never made
    assert {"refined", "TLG", "TLG, edges", "paia", "final"} <= set(beside)
    assert alone["final"]["miou"] == pytest.approx(beside["TLG"]["miou"])


def test_what_does_not_fit_is_told_in_a_sentence(trained: Path, capsys: pytest.CaptureFixture) -> None:
    given = arguments(trained)
    given[given.index("use_query_mask=false")] = "depth=3"
    assert fit(given) == 2
    assert "no choice 'depth'" in capsys.readouterr().err
    assert fit(["--set", "text=false", "--maps", "maps", "--out", str(trained / "other")]) == 2
    assert "give it with --method tlg" in capsys.readouterr().err
    assert fit(["--method", "tlg", "--out", str(trained / "other")]) == 2
    assert "needs --data FOLDER" in capsys.readouterr().err


def test_pseudo_masks_from_files_take_the_place_of_its_own(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    data = open_data(trained / "data" / "voc", "voc", split="train", cache=tmp_path)
    cat = next(number for number, name in data.classes.items() if name == "cat")
    first, second = data.ids_of(cat)[:2]
    (tmp_path / "masks" / "cat").mkdir(parents=True)
    for picture, columns in ((first, 48), (second, 96)):
        mask = np.zeros((96, 96), np.uint8)
        mask[:, :columns] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / "cat" / f"{picture}.png")
    task = Task(0, EpisodeSpec("cat", cat, first, (second,)), "label", True)
    made = PseudoFiles(tmp_path / "masks", [data])(example().episode, task)
    assert made.query is not None
    assert made.query.shape == (1, H, W)
    assert made.query[..., : W // 2].all()
    assert not made.query[..., W // 2 + 1 :].any()
    assert made.support.shape == (1, 1, H, W)
    assert made.support.all()
    given = arguments(trained, "--pseudo", str(tmp_path / "masks"))
    given[given.index("--out") + 1] = str(tmp_path / "run")
    assert fit(given) == 2
    assert "Put one there for every picture" in capsys.readouterr().err
