"""A miniature of training: maps from nothing, fit, resume, load."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lfss.errors import InputError
from lfss.methods import THUMBNAIL_SIDE
from lfss.methods.lfss import Lfss, PortableDecoder
from lfss.methods.lfss.portable import MAP_NAMES, MAP_SIDE
from lfss.similarity import resize_map
from lfss.weights import load_model
from train.decoders.learning import Recipe, loss_of
from train.decoders.portable import read_about, vary
from train.fit import apart, divide, fit_portable, read_recipe
from train.maps import read_choices

CLASSES = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Discs, each with a map that tells it plainly and logits that are wrong by a constant."""
    rng = np.random.default_rng(0)
    out, n = tmp_path / "maps", 48
    out.mkdir()
    y, x = np.mgrid[:THUMBNAIL_SIDE, :THUMBNAIL_SIDE]
    centre, radius = rng.uniform(25, 75, (n, 2)), rng.uniform(10, 25, n)
    disc = np.hypot(y - centre[:, :1, None], x - centre[:, 1:, None]) < radius[:, None, None]
    maps = rng.normal(0, 0.3, (n, len(MAP_NAMES), MAP_SIDE, MAP_SIDE)).astype(np.float16)
    maps[:, 5] += disc[:, ::2, ::2]
    np.save(out / "maps.npy", maps)
    np.save(out / "logits.npy", np.full((n, MAP_SIDE, MAP_SIDE), 0.5, np.float16))
    np.save(out / "picture.npy", rng.integers(0, 255, (n, 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8))
    np.save(out / "target.npy", disc.astype(np.uint8) * 255)
    np.save(out / "valid.npy", np.full((n, THUMBNAIL_SIDE, THUMBNAIL_SIDE), 255, np.uint8))
    classes = [CLASSES[i % 8] for i in range(n)]
    shown = [[c, "gnu"] if i == 3 else [c] for i, c in enumerate(classes)]
    about = {"names": list(MAP_NAMES), "done": n, "preset": "fake", "classes": classes, "shown": shown}
    about["config"] = {"method": {"dps": False}}
    (out / "about.json").write_text(json.dumps(about))
    return out


RECIPE = Recipe(steps=24, batch=4, rate=1e-2, width=16, average=0.8, kept_apart=3, checks=2)


def test_training_beats_the_fixed_rule_and_resumes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit_portable([folder], tmp_path / "run", RECIPE, accelerator="cpu")
    longer = replace(RECIPE, steps=64)
    decoder = fit_portable([folder], tmp_path / "run", longer, resume=True, accelerator="cpu")
    history = torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)["history"]
    assert [row["step"] for row in history] == [12, 24, 32, 64]
    assert (tmp_path / "run" / "curve.png").stat().st_size > 1000
    monkeypatch.chdir(tmp_path)
    method = Lfss.build(backbone="any", channels=(8,), weights="run/decoder")  # as typed on a command line
    assert method.portable is not None
    assert not method.config.dps  # as the maps were made
    config, _ = load_model(decoder)
    share_of_discs = np.load(folder / "target.npy").mean() / 255  # what "everything is object" scores
    assert config["chosen_at"]["iou"] > share_of_discs + 0.2
    assert config["chosen_at"]["iou"] > config["chosen_at"]["fixed_rule"]


def test_a_folder_with_a_training_is_not_trained_over(folder: Path, tmp_path: Path) -> None:
    fit_portable([folder], tmp_path / "run", replace(RECIPE, steps=2, checks=1), accelerator="cpu")
    with pytest.raises(InputError, match="Add --resume"):
        fit_portable([folder], tmp_path / "run", RECIPE, accelerator="cpu")
    with pytest.raises(InputError, match=r"another recipe\.rate"):
        fit_portable([folder], tmp_path / "run", replace(RECIPE, rate=1e-3), resume=True, accelerator="cpu")


def test_novel_classes_are_seen_nowhere() -> None:
    train, validate = divide(CLASSES, replace(RECIPE, without=("bee",)))
    kept_apart = [c for c in CLASSES if apart(c, 3)]
    other = next(c for c in CLASSES if not apart(c, 3) and c != "bee")
    assert not train("bee", ["bee"])
    assert not train(other, [other, "bee"])
    assert not validate(kept_apart[0], [kept_apart[0], "bee"])
    assert train(other, [other])
    assert not train(other, [other, kept_apart[0]])
    assert validate(kept_apart[0], [kept_apart[0], other])


def test_a_class_is_novel_under_all_its_names() -> None:
    train, _ = divide(["airplane", "sofa", *CLASSES], replace(RECIPE, without=("aeroplane", "couch")))
    assert not train("airplane", ["airplane"])
    assert not train("sofa", ["sofa"])


def test_flags_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"recipe": {"steps": 5, "rate": 0.1}, "episodes": 7}))
    recipe, rest = read_recipe(path, {"steps": 9, "rate": None, "without": ["cat"]})
    assert (recipe.steps, recipe.rate, recipe.without) == (9, 0.1, ("cat",))
    assert rest == {"episodes": 7}
    path.write_text(json.dumps({"recipe": {"stepps": 5}}))
    with pytest.raises(InputError, match="sets stepps; a recipe has"):
        read_recipe(path, {})
    with pytest.raises(InputError, match="cannot be read as a configuration"):
        read_recipe(tmp_path / "none.json", {})


def test_classes_to_choose_by_can_be_named() -> None:
    train, validate = divide(CLASSES, replace(RECIPE, choose=("fox",)))
    assert [c for c in CLASSES if validate(c, [c])] == ["fox"]
    assert not train("ant", ["ant", "fox"])


def test_choices_of_the_method_are_checked() -> None:
    assert read_choices(["dps=false", "alpha=0.3"]) == {"dps": False, "alpha": 0.3}
    with pytest.raises(InputError, match="no choice 'depth'"):
        read_choices(["depth=3"])
    with pytest.raises(InputError, match="write NAME=VALUE"):
        read_choices(["dps=maybe"])


def test_too_few_classes_are_named() -> None:
    with pytest.raises(InputError, match="0 would be validated on"):
        divide([next(c for c in CLASSES if not apart(c, 3))], RECIPE)


def test_two_processes_train_together(folder: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "train.fit", "--maps", str(folder), "--out", str(tmp_path / "run"),
        "--steps", "4", "--batch", "4", "--width", "8", "--kept-apart", "3", "--checks", "1",
        "--devices", "2", "--accelerator", "cpu", "--threads", "1",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "decoder" / "model.safetensors").is_file()
    history = torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)["history"]
    assert [row["step"] for row in history] == [4]


def test_an_untrained_decoder_returns_the_fixed_rule() -> None:
    logits = torch.randn(2, MAP_SIDE, MAP_SIDE)
    module = PortableDecoder(maps=len(MAP_NAMES))
    picture = torch.rand(2, 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    out = module(torch.randn(2, len(MAP_NAMES), MAP_SIDE, MAP_SIDE), logits, picture)
    torch.testing.assert_close(out, resize_map(logits, (THUMBNAIL_SIDE, THUMBNAIL_SIDE)))


def test_every_parameter_of_the_decoder_learns() -> None:
    module = PortableDecoder(maps=len(MAP_NAMES))
    torch.nn.init.normal_(module.head.weight)
    out = module(
        torch.randn(2, len(MAP_NAMES), MAP_SIDE, MAP_SIDE),
        torch.randn(2, MAP_SIDE, MAP_SIDE),
        torch.rand(2, 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE),
    )
    loss_of(
        out,
        torch.rand(2, THUMBNAIL_SIDE, THUMBNAIL_SIDE).round(),
        torch.ones(2, THUMBNAIL_SIDE, THUMBNAIL_SIDE),
        0.5,
    ).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_varied_maps_and_targets_stay_on_each_other() -> None:
    torch.manual_seed(0)
    disc = (torch.rand(12, 1, 5, 5) > 0.5).float()
    target = F.interpolate(disc, (THUMBNAIL_SIDE, THUMBNAIL_SIDE))[:, 0]
    cells = F.avg_pool2d(target, 2)
    batch = {
        "maps": cells[:, None].expand(-1, len(MAP_NAMES), -1, -1), "logits": cells, "target": target,
        "picture": target[:, None].expand(-1, 3, -1, -1), "valid": torch.ones_like(target),
    }  # fmt: skip
    seen = vary(batch)
    truth = F.avg_pool2d(seen["target"], 2)
    assert not torch.equal(truth, cells)
    for row in range(12):
        pairs = [torch.stack((m.flatten(), truth[row].flatten())) for m in seen["maps"][row] if m.std() > 0]
        assert len(pairs) > len(MAP_NAMES) / 2
        assert min(torch.corrcoef(pair)[0, 1] for pair in pairs) > 0.9


def test_ignored_pixels_do_not_matter_to_the_loss() -> None:
    logits, target, valid = torch.randn(1, 8, 8), torch.rand(1, 8, 8).round(), torch.ones(1, 8, 8)
    valid[:, :4] = 0
    changed = target.clone()
    changed[:, :4] = 1 - changed[:, :4]
    assert loss_of(logits, target, valid, 0.5) == loss_of(logits, changed, valid, 0.5)


def test_classes_kept_apart_follow_from_their_names() -> None:
    assert [apart(name, 3) for name in CLASSES] == [apart(name, 3) for name in CLASSES]
    assert any(apart(name, 3) for name in CLASSES)


def test_a_folder_without_maps_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no maps.*train\.maps"):
        read_about(tmp_path)


def test_maps_of_another_version_are_refused(folder: Path) -> None:
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps({**about, "names": ["text"]}))
    with pytest.raises(InputError, match="another version"):
        read_about(folder)
