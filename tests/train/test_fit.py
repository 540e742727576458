"""A miniature of training: maps from nothing, fit, resume, load."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lfss.errors import InputError
from lfss.methods.portable import CELLS, NAMES, PICTURE
from lfss.pipeline import PortableDecoder
from lfss.weights import load_into, load_model
from train.fit import Recipe, apart, fit, loss_of, read_about

CLASSES = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Discs, each with a map that tells it plainly and logits that are wrong by a constant."""
    rng = np.random.default_rng(0)
    out, n = tmp_path / "maps", 48
    out.mkdir()
    y, x = np.mgrid[:PICTURE, :PICTURE]
    centre, radius = rng.uniform(25, 75, (n, 2)), rng.uniform(10, 25, n)
    disc = np.hypot(y - centre[:, :1, None], x - centre[:, 1:, None]) < radius[:, None, None]
    maps = rng.normal(0, 0.3, (n, len(NAMES), CELLS, CELLS)).astype(np.float16)
    maps[:, 5] += disc[:, ::2, ::2]
    np.save(out / "maps.npy", maps)
    np.save(out / "logits.npy", np.full((n, CELLS, CELLS), 0.5, np.float16))
    np.save(out / "picture.npy", rng.integers(0, 255, (n, 3, PICTURE, PICTURE), np.uint8))
    np.save(out / "target.npy", disc.astype(np.uint8) * 255)
    np.save(out / "valid.npy", np.full((n, PICTURE, PICTURE), 255, np.uint8))
    about = {"names": list(NAMES), "done": n, "preset": "fake", "classes": [CLASSES[i % 8] for i in range(n)]}
    (out / "about.json").write_text(json.dumps(about))
    return out


def test_training_beats_the_read_out_and_resumes(folder: Path, tmp_path: Path) -> None:
    recipe = Recipe(epochs=3, batch=4, rate=3e-3, width=16, kept_apart=3)
    fit([folder], tmp_path / "run", recipe, accelerator="cpu")
    first = torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)["epoch"]
    decoder = fit(
        [folder], tmp_path / "run", Recipe(**{**vars(recipe), "epochs": 8}), resume=True, accelerator="cpu"
    )
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)["epoch"] > first
    config, state = load_model(decoder)
    module = PortableDecoder(maps=len(config["maps"]), width=config["width"])
    load_into(module, {k: v.float() for k, v in state.items()})
    share_of_discs = np.load(folder / "target.npy").mean() / 255  # what "everything is object" scores
    assert config["iou"] > share_of_discs + 0.2


def test_an_untrained_decoder_returns_the_read_out() -> None:
    logits = torch.randn(2, CELLS, CELLS)
    module = PortableDecoder(maps=len(NAMES))
    out = module(torch.randn(2, len(NAMES), CELLS, CELLS), logits, torch.rand(2, 3, CELLS, CELLS))
    torch.testing.assert_close(out, logits)


def test_every_parameter_of_the_decoder_learns() -> None:
    module = PortableDecoder(maps=len(NAMES))
    torch.nn.init.normal_(module.head.weight)
    out = module(
        torch.randn(2, len(NAMES), CELLS, CELLS),
        torch.randn(2, CELLS, CELLS),
        torch.rand(2, 3, PICTURE, PICTURE),
    )
    loss_of(out, torch.rand(2, PICTURE, PICTURE).round(), torch.ones(2, PICTURE, PICTURE), 0.5).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


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
