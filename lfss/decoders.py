"""Trained decoders: a folder with ``config.json`` and ``model.safetensors``, made by ``train.fit``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .encoders import Backbone
from .errors import WeightsMismatch
from .methods import Lfss, LfssConfig
from .methods.portable import NAMES
from .pipeline import PortableDecoder
from .weights import SHIPPED, load_into, load_model, models_folder


def load_decoder(
    folder: Path | str,
    backbone: Backbone,
    method: LfssConfig,
    *,
    device: str = "cpu",
    models_dir: Path | None = None,
) -> Lfss:
    """The method with a trained decoder in place of the training-free read-out.

    Args:
        folder: its name in the models folder, a folder, or its name among those that ship with the project.
        backbone: what the method reads. A portable decoder fits any, the paper's only its own.
        method: configuration of everything else; what the decoder was trained with has precedence.
        device: where it runs.
        models_dir: the models folder, if not ``assets/models``.

    Raises:
        WeightsUnavailable: the folder is missing or damaged.
        WeightsMismatch: the decoder was made for another backbone, or for other maps.
    """
    by_hand = models_folder(models_dir) / folder
    places = (by_hand, Path(folder), SHIPPED / folder)
    about, state = load_model(next((p.absolute() for p in places if p.is_dir()), places[-1]))
    state = {k: v.float() for k, v in state.items()}
    kind, method = about.get("decoder"), replace(method, **about.get("method", {}))
    if kind == "portable":
        _check(about.get("maps") == list(NAMES), folder, "reads other maps than this version makes")
        built = Lfss(backbone.channels, replace(method, decoder="portable"))
        built.portable = PortableDecoder(maps=len(NAMES), width=int(about["width"]))
        load_into(built.portable, state, source=f"The weights in '{folder}'")
    else:
        _check(kind == "paper", folder, "is of a kind that is not known")
        same = about["backbone"] == backbone.name and tuple(about["channels"]) == backbone.channels
        _check(same, folder, f"was trained on the backbone '{about['backbone']}', not '{backbone.name}'")
        built = Lfss(backbone.channels, replace(method, decoder="paper", circle=about["circle"]))
        assert built.decoder is not None
        load_into(built.decoder, state, source=f"The weights in '{folder}'")
    return built.eval().requires_grad_(False).to(device)


def _check(right: bool, folder: Path | str, problem: str) -> None:
    if not right:
        raise WeightsMismatch(f"The decoder in '{folder}' {problem}. Train one with: python -m train.fit")
