"""Train PAIA: its threshold on frozen, kept features in minutes, or with the encoder as the paper does.

    python -m train.fit_paia --data ../data-full/voc --split trainaug --preset mini \\
        --classes bottle,car,chair,diningtable,pottedplant,sofa,tvmonitor --out runs/threshold
    python -m train.fit_paia --data ../data/voc --split trainaug --preset paper-rn50 --classes ... \\
        --config train/configs/paia.json --out runs/paia

Episodes are drawn as ``train.data.ways`` draws them, a third of the pictures serve as auxiliary ones only.
``train/configs/paia_threshold.json`` is the recipe for frozen features, ``train/configs/paia.json`` the
paper's: SGD 1e-3, 20,000 steps, 417 pixels, trained encoder. Classes that are tested later must not be among
``--classes``. The same command goes on where it was stopped. OUT/threshold is what ``--threshold`` of
``train.ways`` and ``train.reproduce paia`` reads; a trained encoder lies beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from tqdm import tqdm

from lfss.atomic import write_atomically
from lfss.errors import InputError
from lfss.methods.paia import Paia
from lfss.predictor import Predictor
from lfss.weights import save_model

from . import cli
from .data.remember import remember
from .data.ways import digest_of, sample_ways
from .paper.threshold import ENCODER, Levels, PaiaTraining, ThresholdRecipe, mirrored, read_pictures

CONFIG = Path(__file__).parent / "configs" / "paia_threshold.json"
LAST = "last.pt"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    command = cli.as_typed("fit_paia", arguments)
    return cli.run(
        lambda options: _run(options, command), _parser().parse_args(arguments), stopped=cli.GOES_ON
    )


def read_recipe(path: Path) -> ThresholdRecipe:
    """The recipe of a file.

    Raises:
        InputError: it cannot be read, or has other fields.
    """
    try:
        return ThresholdRecipe(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        names = ", ".join(f.name for f in fields(ThresholdRecipe))
        raise InputError(f"'{path}' cannot be read as a recipe: {error}. It may set {names}.") from error


def encoder_of(predictor: Predictor, recipe: ThresholdRecipe, cache: Path) -> tuple[Levels, nn.Module | None]:
    """What makes features, and the weights that learn with them.

    Raises:
        InputError: this backbone cannot learn.
    """
    backbone: Any = predictor.encoders.backbone
    if recipe.encoder:
        if not hasattr(backbone, "levels_of"):
            raise InputError(
                f"The backbone of '{predictor.preset.name}' cannot be trained here. Use a preset of the hub, "
                'such as paper-rn50, or a recipe with "encoder": false.'
            )
        return backbone.levels_of, backbone.network.requires_grad_(True)
    kept, _ = remember(predictor, cache)
    encode = kept.encoders.encode
    assert encode is not None  # remember always gives one
    return lambda pixels: encode(pixels)[1], None


def _run(options: argparse.Namespace, command: str) -> None:
    recipe, device = read_recipe(options.config), options.device
    data, names = cli.read_data(options), options.classes
    episodes = sample_ways(
        data, names, ways=recipe.ways, shots=recipe.shots, auxiliary=recipe.auxiliary, count=recipe.steps,
        seed=recipe.seed,
    )  # fmt: skip
    predictor = Predictor.load(options.preset, method=Paia.name, device=device)
    levels, network = encoder_of(predictor, recipe, options.cache)
    training = PaiaTraining(recipe, levels, network, str(predictor.device))
    about = {"preset": options.preset, "recipe": asdict(recipe), "episodes": digest_of(episodes)}
    last = options.out / LAST
    if last.exists():
        state = torch.load(last, map_location=predictor.device, weights_only=True)
        if state.pop("about") != about:
            raise InputError(f"'{options.out}' holds another training. Choose another --out, or remove it.")
        training.load(state)
    size = recipe.size or predictor.preset.size
    losses: list[float] = []
    for index in tqdm(
        range(training.step_number, recipe.steps), unit="step", disable=not sys.stderr.isatty()
    ):
        pictures = read_pictures(data, episodes[index], size=size, mirrored=mirrored(recipe, index))
        losses.append(training.step(pictures._replace(pixels=pictures.pixels.to(predictor.device))))
        if (index + 1) % max(1, recipe.steps // recipe.checks) == 0 or index + 1 == recipe.steps:
            print(f"step {index + 1}: mean loss {sum(losses) / len(losses):.4f}", file=sys.stderr)
            losses = []
            options.out.mkdir(parents=True, exist_ok=True)
            write_atomically(last, lambda part: torch.save({**training.state(), "about": about}, part))
    finish(training, options.out, {**about, "method": Paia.name, "classes": names, "command": command})
    print(options.out / "threshold")


def finish(training: PaiaTraining, out: Path, about: dict[str, Any]) -> None:
    """Write what was learned: OUT/threshold, and with a trained encoder its weights beside it."""
    assert training.method.threshold is not None  # PaiaConfig has one unless it is switched off
    folder = save_model(out / "threshold", training.method.threshold.state_dict(), about)
    if training.network is not None:
        state = {k: v.detach().cpu().contiguous() for k, v in training.network.state_dict().items()}
        write_atomically(folder / ENCODER, lambda part: save_file(state, part))


def _parser() -> argparse.ArgumentParser:
    parser = cli.command("fit_paia", __doc__)
    cli.add_data(parser)
    cli.add_model(parser)
    cli.add_classes(parser, about="base classes, separated by commas")
    parser.add_argument("--config", type=Path, default=CONFIG, help="the recipe")
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
