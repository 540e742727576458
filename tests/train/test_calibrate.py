"""Fitting the fixed rule: every setting scored on the method's own maps, on training photos only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_sets import CAT, DOG, block, write_voc

from lfss.methods.lfss import LfssConfig
from lfss.predictor import Predictor
from lfss.similarity import resize_map
from tests.train.tiny_networks import one
from train import calibrate
from train.calibrate import GRID, main, masks_of, nearest
from train.data.datasets import open_data
from train.data.encode import prepare_episode
from train.data.episodes import sample_episodes


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    entries = [{c: block(10 + 3 * i, 12 + 4 * i)} for c in (CAT, DOG) for i in range(3)]
    return write_voc(tmp_path / "voc", {"train": entries, "val": entries})


def arguments(voc: Path, tmp_path: Path, *more: str) -> list[str]:
    return [
        "--data", str(voc), "--classes", "cat,dog", "--preset", "tiny_networks:one", "--device", "cpu",
        "--episodes", "2", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "a.json"), *more,
    ]  # fmt: skip


def test_the_best_setting_is_told_with_its_figures(
    voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(voc, tmp_path, "--kinds", "label", "mask")) == 0
    result = json.loads((tmp_path / "a.json").read_text())
    assert len(result["settings"]) == len(GRID)
    assert result["best"]["mean"] == max(row["mean"] for row in result["settings"])
    assert result["best"]["mean"] == pytest.approx((result["best"]["label"] + result["best"]["mask"]) / 2)
    assert result["before"] == result["settings"][nearest((16.0, 0.6, 6.0))]
    assert "LfssConfig(sharpness=" in capsys.readouterr().out


def test_masks_of_a_setting_are_those_of_a_method_with_it(voc: Path, tmp_path: Path) -> None:
    data = open_data(voc, "voc", split="train", cache=tmp_path / "cache")
    (spec,) = sample_episodes(data, ["cat"], shots=1, count=1, seed=0).episodes
    place = nearest((4.0, 1.2, 1.5))
    s, r, t = GRID[place]
    preset = one().with_method("lfss", LfssConfig(sharpness=s, roi=r, text_limit=t))
    predictor = Predictor.load(preset, device="cpu")
    episode = prepare_episode(predictor, data, spec, "mask", seed=0).encode(predictor)
    with torch.inference_mode():
        made = {step.key: step for step in predictor.method.steps(episode)}
    expected = resize_map(made["prediction"].query("logits")[:, 0], (20, 20)) > 0
    assert np.array_equal(masks_of(made, (20, 20))[place], expected[0].numpy())


def test_a_word_that_counts_as_unknown_is_taken_back_where_something_is_marked(
    voc: Path, tmp_path: Path
) -> None:
    data = open_data(voc, "voc", split="train", cache=tmp_path / "cache")
    (spec,) = sample_episodes(data, ["cat"], shots=1, count=1, seed=0).episodes
    predictor = Predictor.load(one(), device="cpu")
    trust = {
        (kind, word): prepare_episode(predictor, data, spec, kind, seed=0, word=word).prepared.text_trust
        for kind in ("label", "mask")
        for word in (True, False)
    }
    known = trust["label", True]
    assert known > 0
    assert trust == {
        ("label", True): known,
        ("label", False): known,
        ("mask", True): known,
        ("mask", False): 0,
    }


@pytest.mark.parametrize("split", ["val", "val2017", "test"])
def test_pictures_to_report_on_are_refused(
    voc: Path, tmp_path: Path, split: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(voc, tmp_path, "--split", split)) == 2
    assert "chosen on training photos" in capsys.readouterr().err
    assert calibrate.SHARPNESS[0] > 0
