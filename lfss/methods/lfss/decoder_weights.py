"""Trained decoders: a folder with ``config.json`` and ``model.safetensors``, made by ``train.fit``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ...errors import WeightsMismatch
from ...weights import find_folder, load_into, load_model
from .config import LfssConfig
from .method import Lfss
from .portable import MAP_NAMES
from .step5_segment import PortableDecoder

L = TypeVar("L", bound=Lfss)


def load_decoder(
    method: type[L],
    folder: Path | str,
    *,
    backbone: str,
    channels: tuple[int, ...],
    config: LfssConfig | None = None,
    models_dir: Path | None = None,
) -> L:
    """The method with a trained decoder in place of the training-free rule.

    Args:
        method: the class to build.
        folder: its name in the models folder, a folder, or its name among those that ship with the project.
        backbone, channels: what the method reads. A portable decoder fits any, the paper's only its own.
        config: choices of everything else; what the decoder was trained with has precedence.
        models_dir: the models folder, if not ``assets/models``.

    Raises:
        WeightsUnavailable: the folder is missing or damaged.
        WeightsMismatch: the decoder was made for another backbone, or for other maps.
    """
    about, state = load_model(find_folder(folder, models_dir))
    state = {k: v.float() for k, v in state.items()}
    kind, config = about.get("decoder"), replace(config or LfssConfig(), **about.get("method", {}))
    if kind == "portable":
        _check(about.get("maps") == list(MAP_NAMES), folder, "reads other maps than this version makes")
        built = method(channels, replace(config, decoder="portable"))
        built.portable = PortableDecoder(maps=len(MAP_NAMES), width=int(about["width"]))
        load_into(built.portable, state, source=f"The weights in '{folder}'")
    else:
        _check(kind == "paper", folder, "is of a kind that is not known")
        same = about["backbone"] == backbone and tuple(about["channels"]) == channels
        _check(same, folder, f"was trained on the backbone '{about['backbone']}', not '{backbone}'")
        built = method(channels, replace(config, decoder="paper", circle=about["circle"]))
        assert built.decoder is not None
        load_into(built.decoder, state, source=f"The weights in '{folder}'")
    return built


def _check(right: bool, folder: Path | str, problem: str) -> None:
    if not right:
        raise WeightsMismatch(f"The decoder in '{folder}' {problem}. Train one with: python -m train.fit")
