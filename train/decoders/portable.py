"""Training the portable decoder: stored maps of one or several backbones, and its loss."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset

from lfss.errors import InputError
from lfss.methods.lfss import PortableDecoder
from lfss.methods.lfss.portable import MAP_NAMES

from .learning import AveragedLearner, Recipe, cut_windows, loss_of


class Maps(Dataset[dict[str, Tensor]]):
    """Episodes of one map folder, read from disk one by one.

    Args:
        folder: made by ``train.maps``.
        keep: whether an episode is used, by its class and all classes that its pictures show.
        class_names: episodes carry indices into them.
    """

    def __init__(self, folder: Path, keep: Callable[[str, Sequence[str]], bool], class_names: Sequence[str]):
        about = read_about(folder)
        self.arrays = {
            k: np.load(folder / f"{k}.npy", mmap_mode="r")
            for k in ("maps", "logits", "picture", "target", "valid")
        }
        pairs = zip(about["classes"][: about["done"]], about["shown"])
        self.index = [i for i, (name, shown) in enumerate(pairs) if keep(name, shown)]
        self.class_of = [class_names.index(about["classes"][i]) for i in self.index]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        i = self.index[item]
        out = {k: torch.from_numpy(np.array(a[i])).float() for k, a in self.arrays.items()}
        out |= {k: out[k] / 255 for k in ("picture", "target", "valid")}
        out["class"] = torch.tensor(self.class_of[item])
        return out


def read_about(folder: Path) -> dict[str, Any]:
    """about.json of a map folder.

    Raises:
        InputError: the folder holds no maps, maps of another version, or none yet.
    """
    path = folder / "about.json"
    if not path.is_file():
        raise InputError(f"{folder} holds no maps. Make them with: python -m train.maps --out {folder} ...")
    about = json.loads(path.read_text(encoding="utf-8"))
    if about["names"] != list(MAP_NAMES) or "shown" not in about:
        raise InputError(f"{folder} holds the maps of another version of the decoder. Make them again.")
    if not about["done"]:
        raise InputError(f"{folder} holds no finished episode yet.")
    return about


def all_folders(
    folders: Sequence[Path], keep: Callable[[str, Sequence[str]], bool], class_names: Sequence[str]
) -> ConcatDataset[dict[str, Tensor]]:
    """The episodes of all folders, one after the other.

    Shapes are those that ``train.maps`` states.
    """
    return ConcatDataset([Maps(f, keep, class_names) for f in folders])


def vary(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same episodes seen otherwise: windows, mirrored, with maps that are off a little, or missing.

    Few pictures are behind the episodes, and the networks to come are not known: what the decoder may
    rely on is the maps' shape, not their exact height, and no single one of them.
    """
    maps, count = batch["maps"], len(batch["maps"])
    side = torch.empty(count, 2).uniform_(0.6, 1.1)
    shift = torch.empty(count, 2).uniform_(-1, 1) * (1 - side).clamp_min(0)
    mirror = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    window = torch.zeros(count, 2, 3)
    window[:, 0, 0], window[:, 1, 1], window[:, :, 2] = side[:, 0] * mirror, side[:, 1], shift
    cells = torch.cat((maps, batch["logits"][:, None]), 1)
    cells = cut_windows(cells, window, cells.shape[-1])
    pixels = torch.cat((batch["picture"], batch["target"][:, None], batch["valid"][:, None]), 1)
    pixels = cut_windows(pixels, window, pixels.shape[-1])
    gain = (0.2 * torch.randn(count, maps.shape[1], 1, 1)).exp()
    kept = (torch.rand(count, maps.shape[1], 1, 1) > 0.1).float()
    light = torch.empty(count, 3, 1, 1).uniform_(0.7, 1.3) * (torch.rand(count, 1, 1, 1) > 0.2)
    offset = 0.1 * torch.randn(count, maps.shape[1], 1, 1)
    return {
        "maps": (cells[:, :-1] * gain + offset) * kept,
        "logits": cells[:, -1] + 0.5 * torch.randn(count, 1, 1),
        "picture": 0.5 + (pixels[:, :3] - 0.5) * light,
        "target": pixels[:, 3],
        "valid": pixels[:, 4],
    }


class PortableLearner(AveragedLearner):
    """The portable decoder, its average, and its loss."""

    def __init__(self, recipe: Recipe, class_names: Sequence[str]):
        super().__init__(recipe, class_names, PortableDecoder(maps=len(MAP_NAMES), width=recipe.width))

    def training_step(self, batch: dict[str, Tensor]) -> Tensor:
        """Loss of a batch of stored episodes, a scalar; shapes are those of ``train.maps``."""
        seen = vary(batch)
        logits = self.network(seen["maps"], seen["logits"], seen["picture"])
        loss = loss_of(logits, seen["target"], seen["valid"], self.recipe.overlap)
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor]) -> None:
        """Count a batch; shapes are those of ``train.maps``."""
        decoded = self.averaged(batch["maps"], batch["logits"], batch["picture"])
        self.count(batch["logits"], decoded, batch["target"], batch["valid"], batch["class"])
