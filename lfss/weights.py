"""Where weights come from: a folder on this machine, the hub's cache, then the hub itself.

A file of the repository ``owner/name`` is looked for at ``<models>/owner/name/<file>``, in the cache
of huggingface_hub, and at last online. ``<models>`` is ``assets/models`` or the folder that the
environment variable LFSS_MODELS names. Only safetensors files are read: they hold numbers and
cannot run code. Which commit of a repository is meant is said by ``<models>/revisions.json``, where there
is one: ``{"owner/name": "commit"}``. A model of ours is a folder with ``config.json`` and
``model.safetensors``.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from torch import Tensor, nn

from .atomic import write_atomically
from .errors import WeightsMismatch, WeightsUnavailable
from .files import read_bytes
from .shipped import shipped
from .text import decode

SHIPPED = shipped("models")
CONFIG, WEIGHTS = "config.json", "model.safetensors"
REVISIONS = "revisions.json"
MAX_CONFIG = 1 << 20  # bytes
PROBE_SECONDS = 3.0  # longest wait for a sign of life from the hub
_SHOWN_KEYS = 6  # names listed in an error before "and N more"

logger = logging.getLogger(__name__)


def models_folder(models_dir: Path | str | None = None) -> Path:
    """The folder for weights put there by hand: the given one, else LFSS_MODELS, else assets/models."""
    given = models_dir or os.environ.get("LFSS_MODELS")
    return Path(given).expanduser() if given else SHIPPED


def model_folders(name: Path | str, models_dir: Path | str | None = None) -> tuple[Path, ...]:
    """Where a model of that name may lie, in the order in which it is looked for.

    The models folder, the folder of that name, and those that ship with the project, which another models
    folder does not hide.
    """
    return tuple(dict.fromkeys((models_folder(models_dir) / name, Path(name), SHIPPED / name)))


def find_folder(name: Path | str, models_dir: Path | str | None = None) -> Path:
    """The first of ``model_folders`` that is there, else the last of them; never asks the hub."""
    folders = model_folders(name, models_dir)
    return next((f for f in folders if f.is_dir()), folders[-1]).absolute()


def find_file(
    repo_id: str,
    filename: str,
    *,
    revision: str | None = None,
    models_dir: Path | str | None = None,
) -> Path:
    """Path of a file of a hub repository, downloaded only where this machine does not have it.

    Without a network the answer comes within about three seconds.

    Args:
        repo_id: ``owner/name`` on the hub.
        filename: path inside the repository.
        revision: branch, tag or commit; if None the one that ``revisions.json`` of the models folder names,
            else the main branch. Files in the models folder have no revisions.
        models_dir: folder for weights put there by hand; see ``models_folder``.

    Raises:
        WeightsUnavailable: the file is neither here nor to be had, or the names are not valid ones.
    """
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    _check_names(repo_id, filename)
    by_hand = models_folder(models_dir) / repo_id / filename
    if by_hand.is_file():
        return by_hand
    revision = revision or _revisions(models_folder(models_dir)).get(repo_id)
    cached = try_to_load_from_cache(repo_id, filename, revision=revision)
    if isinstance(cached, str):
        return Path(cached)
    reason = _why_no_hub()
    if reason is None:
        logger.info("downloading %s of %s", filename, repo_id)
        try:
            got = Path(hf_hub_download(repo_id, filename, revision=revision, etag_timeout=PROBE_SECONDS))
            logger.info("got %s of %s at %s", filename, repo_id, got.parent.name)  # the commit
            return got
        except Exception as error:  # the client raises errors of its own, of httpx, and OSError
            logger.debug("download of %s failed", repo_id, exc_info=True)
            reason = f"the download failed: {_first_line(error)}"
    raise WeightsUnavailable(
        f"The file {filename} of the model {repo_id} is not on this machine, and {reason}. "
        f"Places tried: {by_hand}; the cache {constants.HF_HUB_CACHE}; {constants.ENDPOINT}. Connect "
        f"this machine to the internet once, or get the file from {constants.ENDPOINT}/{repo_id} and "
        f"put it at {by_hand}."
    )


def read_state(path: Path | str) -> dict[str, Tensor]:
    """All tensors of a safetensors file by name, in the shapes that it states, on the CPU.

    Raises:
        WeightsUnavailable: the file is missing, cut short, or no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsUnavailable(
            f"{path} cannot be read as a safetensors file ({_first_line(error)}). It may be a cut-off "
            "download: delete it and get it again."
        ) from error


def load_into(module: nn.Module, state: Mapping[str, Tensor], *, source: str = "The weights") -> None:
    """Copy a state into a network that must have exactly its names and shapes.

    Args:
        module: changed in place, and only if everything fits.
        state: name to tensor.
        source: what the error message calls the state.

    Raises:
        WeightsMismatch: a name is missing or left over, or a shape differs; all are listed.
    """
    own = module.state_dict()
    problems = {
        "missing": [k for k in own if k not in state],
        "unexpected": [k for k in state if k not in own],
        "of another shape": [
            f"{k} {tuple(state[k].shape)} instead of {tuple(v.shape)}"
            for k, v in own.items()
            if k in state and state[k].shape != v.shape
        ],
    }
    found = "; ".join(f"{what}: {_listed(keys)}" for what, keys in problems.items() if keys)
    if found:
        raise WeightsMismatch(
            f"{source} do not fit {type(module).__name__}. Tensors {found}. Use the file made for it."
        )
    module.load_state_dict(dict(state))


def save_model(folder: Path | str, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Path:
    """Write ``config.json`` and ``model.safetensors``, each in one step, and return the folder.

    Args:
        folder: made if it is missing; older files of these names are replaced.
        state: name to tensor, on any device.
        config: what JSON can hold.

    Tensors keep their shapes.

    Raises:
        OSError: the folder cannot be written.
    """
    from safetensors.torch import save

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dict(config), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    # Copies, because safetensors refuses tensors that share memory (tied weights).
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in state.items()}
    # Written by Python, because safetensors has an error of its own for a full disk.
    write_atomically(folder / WEIGHTS, lambda path: path.write_bytes(save(tensors)))
    write_atomically(folder / CONFIG, lambda path: path.write_text(text, encoding="utf-8"))
    return folder


def load_model(
    folder_or_repo: Path | str, *, revision: str | None = None, models_dir: Path | str | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and tensors, in the shapes that were saved, of a model saved by ``save_model``.

    Args:
        folder_or_repo: the name of a folder in the models folder, any other folder, the name of one that
            ships with the project, or ``owner/name`` on the hub; tried in this order.
        revision: as in ``find_file``.
        models_dir: as in ``find_file``.

    Raises:
        WeightsUnavailable: the model cannot be found or read.
    """
    name, folders = str(folder_or_repo), model_folders(folder_or_repo, models_dir)
    folder = next((f for f in folders if (f / CONFIG).is_file()), None)
    if folder is not None:
        config_path, weights_path = folder / CONFIG, folder / WEIGHTS
    elif name.count("/") == 1:
        config_path = find_file(name, CONFIG, revision=revision, models_dir=models_dir)
        weights_path = find_file(name, WEIGHTS, revision=revision, models_dir=models_dir)
    else:
        raise WeightsUnavailable(
            f"There is no model '{name}'. Places tried: {'; '.join(map(str, folders))}. Give a folder with "
            f"{CONFIG} and {WEIGHTS}, or a hub repository as owner/name."
        )
    try:
        config = json.loads(decode(read_bytes(config_path, most=MAX_CONFIG), "It"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsUnavailable(
            f"{config_path} cannot be read ({_first_line(error)}). Get the model again."
        ) from error
    if not isinstance(config, dict):
        raise WeightsUnavailable(f"{config_path} should hold a JSON object. Get the model again.")
    return config, read_state(weights_path)


def _check_names(repo_id: str, filename: str) -> None:
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise WeightsUnavailable(f"'{repo_id}' is no hub repository. Write it as owner/name.") from error
    inside = PurePosixPath(filename)
    if not filename or "\\" in filename or inside.is_absolute() or ".." in inside.parts:
        raise WeightsUnavailable(f"'{filename}' is no file name inside a repository.")


def _revisions(folder: Path) -> dict[str, str]:
    """Commits by repository; raises WeightsUnavailable where the file is no such thing."""
    path = folder / REVISIONS
    if not path.is_file():
        return {}
    try:
        found = json.loads(decode(read_bytes(path, most=MAX_CONFIG), "It"))
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            raise ValueError("it is no object of names and commits")
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsUnavailable(
            f'{path} cannot be read ({_first_line(error)}). Write it as {{"owner/name": "commit"}}, or '
            "remove it."
        ) from error
    return found


def _why_no_hub() -> str | None:
    """Why the hub cannot be asked, or None where it answers within ``PROBE_SECONDS``."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids downloads"
    answers: list[str | None] = []

    def ask() -> None:
        try:
            get_session().head(constants.ENDPOINT, timeout=PROBE_SECONDS)
        except Exception as error:  # whatever it is, the hub was not reached
            answers.append(f"{constants.ENDPOINT} cannot be reached ({_first_line(error)})")
        else:
            answers.append(None)

    # A thread, because looking up a host name obeys no timeout.
    probe = threading.Thread(target=ask, daemon=True)
    probe.start()
    probe.join(PROBE_SECONDS)
    return answers[0] if answers else f"{constants.ENDPOINT} does not answer"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN_KEYS
    return ", ".join(names[:_SHOWN_KEYS]) + (f" and {more} more" if more > 0 else "")
