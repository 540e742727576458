"""A trained threshold: a folder with ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

from pathlib import Path

from ...errors import WeightsMismatch
from ...weights import find_folder, load_into, load_model
from .step3_threshold import Threshold


def load_threshold(network: Threshold | None, folder: Path | str, *, models_dir: Path | None = None) -> None:
    """Load the weights of Eq. 4 into the network.

    Its inputs have no unit, so one network serves every backbone.

    Args:
        network: of a method whose configuration has a threshold.
        folder: its name in the models folder, a folder, or its name among those that ship with the project.
        models_dir: the models folder, if not the usual one.

    Raises:
        WeightsUnavailable: the folder is missing or damaged.
        WeightsMismatch: it holds something else, or the configuration has no threshold.
    """
    if network is None:
        raise WeightsMismatch(f"The threshold in '{folder}' is not used: PaiaConfig.threshold is off.")
    about, state = load_model(find_folder(folder, models_dir))
    if about.get("method") != "paia":
        raise WeightsMismatch(f"The weights in '{folder}' are not a threshold of PAIA.")
    load_into(network, {k: v.float() for k, v in state.items()}, source=f"The weights in '{folder}'")
