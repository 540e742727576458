"""Train a decoder: the portable one on stored maps, or the paper's on cached features.

    python -m train.fit --maps cache/maps-mini --out runs/portable
    python -m train.fit --maps cache/maps-a cache/maps-b --out runs/both --without cat cow --devices 2
    python -m train.fit --config train/configs/paper.json --data ../data-full --preset train.teachers:vit \
        --out runs/paper
    python -m train.fit --maps cache/maps-mini --out runs/portable --steps 1500 --resume

Several map folders, of several backbones, are trained on together. Some base classes are kept apart to choose
the best state by: their IoU is printed beside that of the fixed rule, which bounds the claim.
``--without`` names novel classes: no episode with a picture that shows one is used. Fields of the recipe come
from ``--config``, and flags override them. The best weights are written to OUT/decoder as model.safetensors
and config.json, the curve to OUT/curve.png, logs for TensorBoard to OUT/tensorboard.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import torch
from torch.utils.data import DataLoader

from lfss.errors import InputError
from lfss.methods.lfss.portable import MAP_NAMES
from lfss.predictor import Predictor
from lfss.weights import save_model

from . import cli
from .data.benchmark import spellings
from .data.datasets import write_text
from .data.remember import remember
from .decoders.learning import L, Learner, Recipe
from .decoders.paper import Examples, PaperLearner
from .decoders.portable import PortableLearner, all_folders, read_about
from .maps import draw_tasks, mark_unknown_words, open_sources, shown_in
from .measure.report import draw_curve

from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar  # isort: skip
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger  # isort: skip

LAST, ABOUT = "last.ckpt", "fit.json"

Keep = Callable[[str, Sequence[str]], bool]


def apart(name: str, one_in: int) -> bool:
    """Whether a class is only validated on: fixed by its name."""
    return int(hashlib.sha1(name.encode()).hexdigest()[:8], 16) % one_in == 0


def divide(classes: Sequence[str], recipe: Recipe) -> tuple[Keep, Keep]:
    """Which episodes are trained on, and which are validated on.

    An episode that shows a novel class in any picture is in neither, one that shows a class kept apart is not
    trained on.

    Raises:
        InputError: no class is left for one of them.
    """
    novel = spellings(recipe.without)
    base = {c for c in classes if c not in novel}
    kept_apart = spellings(recipe.choose or [c for c in sorted(base) if apart(c, recipe.kept_apart)])
    if not base & kept_apart or not base - kept_apart:
        raise InputError(
            f"Of {len(base)} base classes {len(base & kept_apart)} would be validated on; "
            "change --choose or --kept-apart, or use more classes."
        )

    def train(name: str, shown: Sequence[str]) -> bool:
        return not novel & {name, *shown} and not kept_apart & {name, *shown}

    def validate(name: str, shown: Sequence[str]) -> bool:
        return not novel & {name, *shown} and name in kept_apart

    return train, validate


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


def fit_portable(folders: Sequence[Path], out: Path, recipe: Recipe, **trainer: Any) -> Path:
    """Train a portable decoder on map folders, and write OUT/decoder. Returns that folder.

    Args:
        folders: made by ``train.maps``.
        out: checkpoints, logs, curve, and the decoder.
        recipe: how.
        trainer: see ``run``.

    Raises:
        InputError: no maps, no classes left, or ``out`` holds another training.
    """
    abouts = [read_about(folder) for folder in folders]
    names = sorted({c for about in abouts for c in about["classes"]})
    rules = divide(names, recipe)
    about = {"recipe": recipe_json(recipe), "trained_on": list(dict.fromkeys(a["preset"] for a in abouts))}
    methods = [a["config"].get("method", {}) for a in abouts]
    if any(method != methods[0] for method in methods):
        raise InputError("The map folders were made with different choices of the method. Use those of one.")
    check_out(out, about, resume=trainer.get("resume", False))
    L.seed_everything(recipe.seed, verbose=False)
    train, validate = (all_folders(folders, keep, names) for keep in rules)
    check_enough(len(train), len(validate))
    print(f"{len(train)} episodes to train on, {len(validate)} of other classes", file=sys.stderr)
    learner = PortableLearner(recipe, names)
    full = len(train) > recipe.batch
    loaders = (
        DataLoader(train, recipe.batch, shuffle=True, drop_last=full),
        DataLoader(validate, recipe.batch),
    )
    best = run(learner, loaders, out, **trainer)
    config = {"decoder": "portable", "maps": list(MAP_NAMES), "width": recipe.width, "method": methods[0]}
    return finish(out, best, learner, "averaged.module.", {**config, **about})


def fit_paper(
    config: dict[str, Any], out: Path, recipe: Recipe, *, data: Path, preset: str, cache: Path, **trainer: Any
) -> Path:
    """Train the paper's decoder for one preset, and write OUT/decoder. Returns that folder.

    Args:
        config: which episodes, as for ``train.maps``.
        out, recipe, trainer: as in ``fit_portable``.
        data: folder of the data sets.
        preset: its encoders stay as they are.
        cache: of encoder outputs.

    Raises:
        InputError, WeightsError: see ``fit_portable``; the preset cannot be loaded.
    """
    predictor, item_bytes = remember(Predictor.load(preset, device="cpu"), cache)
    opened = open_sources(config, data, cache)
    sources = [source for source, _ in opened]
    tasks = mark_unknown_words(draw_tasks(config, opened), predictor)
    names = sorted({t.episode.class_name for t in tasks})
    rules = divide(names, recipe)
    about = {"recipe": recipe_json(recipe), "trained_on": [preset]}
    check_out(out, about, resume=trainer.get("resume", False))
    L.seed_everything(recipe.seed, verbose=False)
    shown = [shown_in(t, sources[t.source]) for t in tasks]
    train, validate = ([t for t, s in zip(tasks, shown) if keep(t.episode.class_name, s)] for keep in rules)
    check_enough(len(train), len(validate))
    pictures = len({(t.source, p) for t in tasks for p in (t.episode.query, *t.episode.supports)})
    print(
        f"{len(train)} episodes to train on, {len(validate)} of other classes; encoder outputs of "
        f"{pictures} pictures: up to {pictures * item_bytes / 1e6:.0f} MB in '{cache / 'encoded'}'",
        file=sys.stderr,
    )
    backbone = predictor.encoders.backbone
    learner = PaperLearner(recipe, names, backbone.channels)
    loaders = (
        DataLoader(
            Examples(train, sources, predictor, names, batch=recipe.batch), batch_size=None, shuffle=True
        ),
        DataLoader(Examples(validate, sources, predictor, names, batch=recipe.batch), batch_size=None),
    )
    best = run(learner, loaders, out, **trainer)
    config = {"decoder": "paper", "backbone": backbone.name, "channels": backbone.channels}
    return finish(out, best, learner, "method.decoder.", {**config, "circle": recipe.circle, **about})


def check_enough(train: int, validate: int) -> None:
    """Raises InputError unless there are episodes of both kinds."""
    if not train or not validate:
        raise InputError(
            f"{train} episodes are left to train on and {validate} to validate on. Draw more episodes, "
            "name fewer classes in --without, or change --choose."
        )


def finish(out: Path, best: Path | None, learner: Learner, prefix: str, config: dict[str, Any]) -> Path:
    """Write the best weights and what they are to OUT/decoder; only in the first process.

    Args:
        out: folder of the run.
        best: checkpoint with the best state.
        learner: gets that state.
        prefix: of the decoder's names in it.
        config: what the decoder is.
    """
    folder = out / "decoder"
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


def read_recipe(path: Path | None, flags: dict[str, Any]) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a file with flags over it, and what else the file holds (episodes to draw).

    Raises:
        InputError: the file cannot be read, or a value is of the wrong kind.
    """
    value: dict[str, Any] = {}
    if path is not None:
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"'{path}' cannot be read as a configuration: {error}.") from error
    names = {f.name for f in fields(Recipe)}
    recipe = value.pop("recipe", {})
    unknown = sorted(set(recipe) - names)
    if unknown:
        raise InputError(f"'{path}' sets {', '.join(unknown)}; a recipe has {', '.join(sorted(names))}.")
    chosen = recipe | {k: v for k, v in flags.items() if v is not None}
    lists = {name: tuple(chosen.get(name, ())) for name in ("without", "choose")}
    return Recipe(**{**chosen, **lists}), value


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    options = _parser().parse_args(arguments)
    return cli.run(_run, options, stopped="The same command with --resume goes on from the last check.")


def _run(args: argparse.Namespace) -> None:
    trainer = {
        "resume": args.resume, "devices": args.devices, "nodes": args.nodes, "accelerator": args.accelerator
    }  # fmt: skip
    if args.threads:
        torch.set_num_threads(args.threads)
    flags = {f.name: getattr(args, f.name) for f in fields(Recipe)}
    recipe, episodes = read_recipe(args.config, flags)
    if recipe.decoder == "portable":
        if not args.maps:
            raise InputError("The portable decoder is trained on maps: give --maps FOLDER.")
        folder = fit_portable(args.maps, args.out, recipe, **trainer)
    else:
        if args.data is None or "sources" not in episodes:
            raise InputError("The paper's decoder needs --data FOLDER and --config with its sources.")
        folder = fit_paper(
            episodes, args.out, recipe, data=args.data, preset=args.preset, cache=args.cache, **trainer
        )
    print(folder)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("fit", __doc__)
    parser.add_argument("--config", type=Path, help="a recipe; flags override it")
    parser.add_argument("--maps", type=Path, nargs="+", help="folders made by train.maps (portable)")
    parser.add_argument("--data", type=Path, help="folder of the data sets (paper)")
    parser.add_argument("--preset", default="mini", help="whose encoders (paper)")
    cli.add_cache(parser)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", action="store_true", help="go on from the last check")
    parser.add_argument("--devices", type=int, default=1, help="processes or GPUs on a machine")
    parser.add_argument("--nodes", type=int, default=1, help="machines")
    parser.add_argument("--accelerator", default="auto", help="auto, cpu or gpu")
    parser.add_argument("--threads", type=int)
    for field in fields(Recipe):
        flag, default = f"--{field.name.replace('_', '-')}", f"default {field.default}"
        if field.name in ("without", "choose"):
            text = "novel classes, never shown" if field.name == "without" else "only validated on"
            parser.add_argument(flag, nargs="+", metavar="CLASS", help=text)
        elif field.name == "circle":
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=default)
        elif isinstance(field.default, str):
            options = get_args(get_type_hints(Recipe)[field.name])
            parser.add_argument(flag, choices=options, help=default)
        else:
            parser.add_argument(flag, type=type(field.default), help=default)
    return parser


if __name__ == "__main__":
    sys.exit(main())
