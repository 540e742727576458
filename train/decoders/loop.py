"""The loop of a training: Lightning's trainer, what it leaves in its folder, and going on in that folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from lfss.errors import InputError
from lfss.weights import save_model

from ..data.datasets import write_text
from ..measure.report import draw_curve
from .learning import L, Learner, Recipe

from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar  # isort: skip
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger  # isort: skip

LAST, ABOUT = "last.ckpt", "fit.json"


def run(
    learner: Learner, loaders: tuple[DataLoader[Any], DataLoader[Any]] | L.LightningDataModule, out: Path, *,
    resume: bool = False, devices: int = 1, nodes: int = 1, accelerator: str = "auto",
) -> Path | None:  # fmt: skip
    """Lightning's loop, and the curve of its validations.

    A recipe with epochs is validated and stored at their ends, another one at equal distances of steps.

    Args:
        learner: what learns.
        loaders: of training and validation; or a module that gives new ones for each epoch, and to each
            process its share.
        out: checkpoints, logs and the curve.
        resume: go on from the last checkpoint, if there is one.
        devices, nodes, accelerator: see ``L.Trainer``.

    Returns:
        The best checkpoint; None in all processes but the first.
    """
    recipe, own = learner.recipe, isinstance(loaders, L.LightningDataModule)
    best = ModelCheckpoint(
        out, "best", monitor="iou", mode="max", enable_version_counter=False, save_weights_only=True
    )
    # Of its own, because "save_last" skips the checks that are not the best.
    last = ModelCheckpoint(
        out, "last", save_on_train_epoch_end=bool(recipe.epochs), enable_version_counter=False
    )
    callbacks: list[L.Callback] = [best, last, TQDMProgressBar(refresh_rate=5)]
    if recipe.patience:
        callbacks.append(EarlyStopping("iou", mode="max", patience=recipe.patience))
    gpu = torch.cuda.is_available() and accelerator != "cpu"
    trainer = L.Trainer(
        default_root_dir=out,
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else "auto",
        precision="bf16-mixed" if gpu else "32-true",
        callbacks=callbacks,
        logger=[CSVLogger(out, name="log"), TensorBoardLogger(out, name="tensorboard")],
        gradient_clip_val=1.0,
        log_every_n_steps=10,
        limit_val_batches=max(1, recipe.validate // recipe.batch),
        num_sanity_val_steps=0,
        enable_model_summary=False,
        use_distributed_sampler=not own,
        **_length(recipe),
    )
    begun = resume and (out / LAST).exists()
    given: dict[str, Any] = {"datamodule": loaders}
    if not isinstance(loaders, L.LightningDataModule):
        given = {"train_dataloaders": loaders[0], "val_dataloaders": loaders[1]}
    trainer.fit(learner, **given, ckpt_path=out / LAST if begun else None, weights_only=False)
    if not trainer.is_global_zero:
        return None
    draw_curve(learner.history, out / "curve.png")
    return Path(best.best_model_path)


def _length(recipe: Recipe) -> dict[str, Any]:
    """Arguments of the trainer: how long, and when it is validated."""
    if recipe.epochs:
        return {
            "max_epochs": recipe.epochs,
            "check_val_every_n_epoch": max(1, recipe.epochs // recipe.checks),
            "reload_dataloaders_every_n_epochs": 1,
        }
    return {
        "max_steps": recipe.steps,
        "val_check_interval": max(1, recipe.steps // recipe.checks),
        "check_val_every_n_epoch": None,
    }


def finish(
    out: Path, best: Path | None, learner: Learner, prefix: str, config: dict[str, Any], *,
    name: str = "decoder",
) -> Path:  # fmt: skip
    """Write the best weights and what they are to a folder of OUT; only in the first process.

    Args:
        out: folder of the run.
        best: checkpoint with the best state.
        learner: whose validations these were.
        prefix: of the network's names in that state.
        config: what the network is.
        name: of the folder.
    """
    folder = out / name
    if best is not None:
        state = torch.load(best, weights_only=False)["state_dict"]
        chosen = max(learner.history, key=lambda row: row["iou"], default={})
        weights = {k.removeprefix(prefix): v.half() for k, v in state.items() if k.startswith(prefix)}
        save_model(folder, weights, {**config, "chosen_at": chosen})
    return folder


def check_out(out: Path, about: dict[str, Any], *, resume: bool) -> None:
    """One folder, one training: what it was begun with is kept beside its checkpoints.

    A resumed run may be longer than the first; nothing else may change.

    Raises:
        InputError: the folder holds another training, or one that would be overwritten.
    """
    path = out / ABOUT
    if path.exists() and (out / LAST).exists():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        if not resume:
            raise InputError(f"'{out}' holds a training. Add --resume to go on, or choose another --out.")
        now, before = (dict(_flat(value)) for value in (about, earlier))
        free = {f"recipe.{name}" for name in ("steps", "epochs", "patience", "checks", "validate")}
        other = sorted(k for k in now.keys() | before.keys() if now.get(k) != before.get(k) and k not in free)
        if other:
            raise InputError(f"'{out}' was begun with another {', '.join(other)}. Choose another --out.")
    out.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(about, indent=1))


def recipe_json(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON gives it back."""
    return json.loads(json.dumps(asdict(recipe)))


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, dict):
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item
