"""Trained weights of TLG: a folder with ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from ...errors import WeightsMismatch
from ...weights import CONFIG, load_into, load_model, models_folder, save_model
from .config import TlgConfig
from .method import Tlg

T = TypeVar("T", bound=Tlg)


def usual_folder(backbone: str) -> str:
    """Name of the folder in the models folder where weights for a backbone are looked for.

    >>> usual_folder("resnet50.tv_in1k")
    'tlg-resnet50.tv_in1k'
    """
    return f"{Tlg.name}-{re.sub(r'[^A-Za-z0-9._]+', '-', backbone)}"


def description(config: TlgConfig, *, backbone: str, channels: tuple[int, ...]) -> dict[str, Any]:
    """What ``config.json`` of trained weights says; ``load_tlg`` reads it.

    Args:
        config: the choices that the network was trained with.
        backbone: the name of the preset's matching network.
        channels: of its levels.
    """
    return {"method": Tlg.name, "backbone": backbone, "channels": list(channels), "config": asdict(config)}


def save_tlg(method: Tlg, folder: Path | str, *, backbone: str, channels: tuple[int, ...]) -> Path:
    """Write the network for the backbone that it was trained on, and return the folder.

    Args:
        method: the network.
        folder: made if it is missing.
        backbone, channels: see ``description``.
    """
    about = description(method.config, backbone=backbone, channels=channels)
    return save_model(folder, method.state_dict(), about)


def load_tlg(
    method: type[T],
    folder: Path | str | None,
    *,
    backbone: str,
    channels: tuple[int, ...],
    models_dir: Path | None = None,
) -> T:
    """The network with its trained weights.

    Args:
        method: the class to build.
        folder: written by ``save_tlg`` or ``train.fit --method tlg``: a folder, or its name in the models
            folder; None looks for ``usual_folder`` there.
        backbone, channels: what the method reads; the weights fit no other.
        models_dir: the models folder, if not the usual one.

    Raises:
        WeightsMismatch: there are none, or the weights were trained on another backbone.
        WeightsUnavailable: the folder is missing or damaged.
    """
    usual = models_folder(models_dir) / usual_folder(backbone)
    if folder is None and (usual / CONFIG).is_file():
        folder = usual
    if folder is None:
        raise WeightsMismatch(
            f"The method 'tlg' has no trained weights for the backbone '{backbone}', and without them its "
            f"answers mean nothing. Train them with: python -m train.fit --method tlg, and put the folder at "
            f"'{usual}'; or choose --method lfss."
        )
    about, state = load_model(folder, models_dir=models_dir)
    if about.get("method") != Tlg.name or about.get("backbone") != backbone:
        raise WeightsMismatch(
            f"The weights in '{folder}' are for {about.get('method')} on '{about.get('backbone')}', not for "
            f"tlg on '{backbone}'. Train them with: python -m train.fit --method tlg."
        )
    try:
        config = TlgConfig(**about["config"])
    except (KeyError, TypeError) as error:
        raise WeightsMismatch(
            f"The configuration in '{folder}' is of another version. Train the weights again."
        ) from error
    built = method(channels, config)
    load_into(built, {k: v.float() for k, v in state.items()}, source=f"The weights in '{folder}'")
    return built
