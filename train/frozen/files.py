"""Weights of the frozen networks: files of numbers, from the hub or put into the models folder by hand."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from torch import Tensor, nn

from lfss.errors import WeightsUnavailable
from lfss.weights import load_into, models_folder, read_state

FOLDER = "frozen"

logger = logging.getLogger(__name__)


def by_hand(name: str, models_dir: Path | None) -> Path:
    """``<models>/frozen/NAME.safetensors``, for networks that no repository of the hub holds.

    Raises:
        WeightsUnavailable: it is not there.
    """
    path = models_folder(models_dir) / FOLDER / f"{name}.safetensors"
    if not path.is_file():
        raise WeightsUnavailable(
            f"The frozen network {name} is not at '{path}', and no repository of the hub holds it. Put the "
            "file there, name another models folder with LFSS_MODELS, or use another preset."
        )
    return path


def load_frozen(network: nn.Module, path: Path, *, leave: tuple[str, ...] = ()) -> None:
    """Load a file into a network, freeze it, and say which file it was by its SHA-256.

    Args:
        network: changed in place.
        path: a safetensors file that holds exactly the network's tensors.
        leave: beginnings of names in the file that the network has no use for.

    Raises:
        WeightsError: the file cannot be read, or does not fit.
    """
    state: dict[str, Tensor] = {
        name: value.float() for name, value in read_state(path).items() if not name.startswith(leave)
    }
    counters = {k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
    load_into(network, counters | state, source=f"'{path}'")
    network.eval().requires_grad_(False)
    logger.warning("%s: sha256 %s", path.name, hashlib.sha256(path.read_bytes()).hexdigest())
