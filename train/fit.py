"""Train a decoder of LFSS, the portable one on stored maps or the paper's on cached features; or train TLG.

    python -m train.fit --maps cache/maps-mini --out runs/portable
    python -m train.fit --maps cache/maps-a cache/maps-b --out runs/both --without cat cow --devices 2
    python -m train.fit --config train/configs/paper.json --data ../data-full --preset train.teachers:vit \
        --out runs/paper
    python -m train.fit --maps cache/maps-mini --out runs/portable --steps 1500 --resume
    python -m train.fit --method tlg --data ../data-full --preset train.teachers:vit --without cat cow \
        --choose sheep --out runs/tlg --set use_query_mask=false

Several map folders, of several backbones, are trained on together. Some base classes are kept apart to choose
the best state by: their IoU is printed beside that of the fixed rule, which bounds the claim.
``--without`` names novel classes: no episode with a picture that shows one is used. Fields of the recipe come
from ``--config``, and flags override them. The best weights are written to OUT/decoder (TLG: OUT/tlg) as
model.safetensors and config.json, the curve to OUT/curve.png, logs for TensorBoard to OUT/tensorboard.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import torch
from torch.utils.data import DataLoader

from lfss.errors import InputError
from lfss.methods import THUMBNAIL_SIDE
from lfss.methods.lfss.portable import MAP_NAMES
from lfss.methods.tlg import TlgConfig
from lfss.methods.tlg.weights import description
from lfss.predictor import Predictor

from . import cli
from .data.benchmark import spellings
from .data.datasets import DataSet
from .data.remember import remember
from .decoders.learning import L, Recipe
from .decoders.loop import check_out, finish, recipe_json, run
from .decoders.paper import Examples, PaperLearner
from .decoders.portable import PortableLearner, all_folders, read_about
from .decoders.tlg import PseudoFiles, TlgLearner, own_pseudo_masks
from .maps import Task, draw_tasks, mark_unknown_words, open_sources, read_choices, shown_in

TLG_CONFIG = Path(__file__).parent / "configs" / "tlg.json"

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


@dataclass(frozen=True)
class Drawn:
    """The episodes of a configuration, divided, for a network that reads the features of one preset.

    Attributes:
        predictor: its encoders remember what they made, and stay as they are.
        sources: the data sets.
        names: of all classes.
        train, validate: the episodes.
    """

    predictor: Predictor
    sources: list[DataSet]
    names: list[str]
    train: list[Task]
    validate: list[Task]

    def loaders(self, batch: int, **more: Any) -> tuple[DataLoader[Any], DataLoader[Any]]:
        """Batches of encoded episodes of training and validation; see ``Examples`` for the arguments."""
        train, validate = (
            Examples(tasks, self.sources, self.predictor, self.names, batch=batch, **more)
            for tasks in (self.train, self.validate)
        )
        return DataLoader(train, batch_size=None, shuffle=True), DataLoader(validate, batch_size=None)


def draw(config: dict[str, Any], recipe: Recipe, *, data: Path, preset: str, cache: Path) -> Drawn:
    """Draw the episodes of a configuration, and divide them as the recipe says.

    Args:
        config: which episodes, as for ``train.maps``.
        recipe: how they are divided.
        data: folder of the data sets.
        preset: whose encoders.
        cache: of encoder outputs.

    Raises:
        InputError, WeightsError: no episodes are left; the preset cannot be loaded.
    """
    predictor, item_bytes = remember(Predictor.load(preset, device="cpu"), cache)
    opened = open_sources(config, data, cache)
    sources = [source for source, _ in opened]
    tasks = mark_unknown_words(draw_tasks(config, opened), predictor)
    names = sorted({t.episode.class_name for t in tasks})
    rules = divide(names, recipe)
    shown = [shown_in(t, sources[t.source]) for t in tasks]
    train, validate = ([t for t, s in zip(tasks, shown) if keep(t.episode.class_name, s)] for keep in rules)
    check_enough(len(train), len(validate))
    pictures = len({(t.source, p) for t in tasks for p in (t.episode.query, *t.episode.supports)})
    print(
        f"{len(train)} episodes to train on, {len(validate)} of other classes; encoder outputs of "
        f"{pictures} pictures: up to {pictures * item_bytes / 1e6:.0f} MB in '{cache / 'encoded'}'",
        file=sys.stderr,
    )
    return Drawn(predictor, sources, names, train, validate)


def fit_paper(
    config: dict[str, Any], out: Path, recipe: Recipe, *, data: Path, preset: str, cache: Path, **trainer: Any
) -> Path:
    """Train the paper's decoder for one preset, and write OUT/decoder. Returns that folder.

    Args:
        config, data, preset, cache: see ``draw``.
        out, recipe, trainer: as in ``fit_portable``.

    Raises:
        InputError, WeightsError: see ``fit_portable`` and ``draw``.
    """
    about = {"recipe": recipe_json(recipe), "trained_on": [preset]}
    check_out(out, about, resume=trainer.get("resume", False))
    L.seed_everything(recipe.seed, verbose=False)
    drawn = draw(config, recipe, data=data, preset=preset, cache=cache)
    backbone = drawn.predictor.encoders.backbone
    learner = PaperLearner(recipe, drawn.names, backbone.channels)
    best = run(learner, drawn.loaders(recipe.batch), out, **trainer)
    what = {"decoder": "paper", "backbone": backbone.name, "channels": backbone.channels}
    return finish(out, best, learner, "method.decoder.", {**what, "circle": recipe.circle, **about})


def fit_tlg(
    config: dict[str, Any], out: Path, recipe: Recipe, *, data: Path, preset: str, cache: Path,
    pseudo: Path | None = None, **trainer: Any,
) -> Path:  # fmt: skip
    """Train TLG for one preset, and write OUT/tlg. Returns that folder.

    Args:
        config: see ``draw``; its ``method`` holds choices of ``TlgConfig``.
        out, recipe, trainer: as in ``fit_portable``.
        data, preset, cache: see ``draw``.
        pseudo: folder of pseudo masks (``PseudoFiles``); None makes them by the steps of LFSS.

    Raises:
        InputError, WeightsError: see ``fit_portable`` and ``draw``; a pseudo mask is missing.
    """
    choices = TlgConfig(**config.get("method", {}))
    about = {"recipe": recipe_json(recipe), "trained_on": [preset], "choices": config.get("method", {})}
    check_out(out, about, resume=trainer.get("resume", False))
    L.seed_everything(recipe.seed, verbose=False)
    drawn = draw(config, recipe, data=data, preset=preset, cache=cache)
    backbone = drawn.predictor.encoders.backbone
    learner = TlgLearner(recipe, drawn.names, backbone.channels, choices=choices)
    masks = PseudoFiles(pseudo, drawn.sources) if pseudo else own_pseudo_masks(learner.network)
    best = run(learner, drawn.loaders(recipe.batch, side=THUMBNAIL_SIDE, pseudo=masks), out, **trainer)
    what = description(choices, backbone=backbone.name, channels=backbone.channels)
    return finish(out, best, learner, "averaged.module.", {**what, **about}, name="tlg")


def check_enough(train: int, validate: int) -> None:
    """Raises InputError unless there are episodes of both kinds."""
    if not train or not validate:
        raise InputError(
            f"{train} episodes are left to train on and {validate} to validate on. Draw more episodes, "
            "name fewer classes in --without, or change --choose."
        )


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
    if args.method == "tlg":
        args.config, flags["decoder"] = args.config or TLG_CONFIG, "tlg"
    recipe, episodes = read_recipe(args.config, flags)
    if args.set:
        if recipe.decoder != "tlg":
            raise InputError("--set changes choices of TLG; give it with --method tlg.")
        episodes["method"] = episodes.get("method", {}) | read_choices(args.set, TlgConfig)
    if recipe.decoder == "portable":
        if not args.maps:
            raise InputError("The portable decoder is trained on maps: give --maps FOLDER.")
        folder = fit_portable(args.maps, args.out, recipe, **trainer)
    else:
        if args.data is None or "sources" not in episodes:
            raise InputError("A network on features needs --data FOLDER and --config with its sources.")
        if args.episodes:
            episodes["episodes"] = args.episodes
        where = {"data": args.data, "preset": args.preset, "cache": args.cache}
        if recipe.decoder == "tlg":
            folder = fit_tlg(episodes, args.out, recipe, pseudo=args.pseudo, **where, **trainer)
        else:
            folder = fit_paper(episodes, args.out, recipe, **where, **trainer)
    print(folder)


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("fit", __doc__)
    parser.add_argument(
        "--method", choices=("lfss", "tlg"), default="lfss", help="a decoder of LFSS, or the network of TLG"
    )
    parser.add_argument(
        "--set", nargs="+", metavar="NAME=VALUE", default=[], help="choices of TLG, such as text=false"
    )
    parser.add_argument(
        "--pseudo", type=Path, metavar="FOLDER",
        help="pseudo masks to train TLG on, FOLDER/CLASS/PICTURE.png; its own if not given",
    )  # fmt: skip
    parser.add_argument("--config", type=Path, help="a recipe; flags override it")
    parser.add_argument("--maps", type=Path, nargs="+", help="folders made by train.maps (portable)")
    parser.add_argument("--data", type=Path, help="folder of the data sets (paper, TLG)")
    parser.add_argument("--preset", default="mini", help="whose encoders (paper, TLG)")
    parser.add_argument("--episodes", type=int, help="instead of the configuration's number (paper, TLG)")
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
