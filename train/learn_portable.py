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
from lfss.methods.portable import NAMES
from lfss.pipeline import PortableDecoder

from .learning import Learner, Recipe, loss_of


class Maps(Dataset[dict[str, Tensor]]):
    """Episodes of one map folder, read from disk one by one.

    Args:
        folder: made by ``train.maps``.
        keep: whether an episode is used, by its class and all classes that its pictures show.
        class_names: episodes carry indices into them.
        flip: mirror half of them.
    """

    def __init__(
        self,
        folder: Path,
        keep: Callable[[str, Sequence[str]], bool],
        class_names: Sequence[str],
        *,
        flip: bool,
    ):
        about = read_about(folder)
        self.arrays = {
            k: np.load(folder / f"{k}.npy", mmap_mode="r")
            for k in ("maps", "logits", "picture", "target", "valid")
        }
        self.flip = flip
        pairs = zip(about["classes"][: about["done"]], about["shown"])
        self.index = [i for i, (name, shown) in enumerate(pairs) if keep(name, shown)]
        self.class_of = [class_names.index(about["classes"][i]) for i in self.index]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        i = self.index[item]
        out = {k: torch.from_numpy(np.array(a[i])).float() for k, a in self.arrays.items()}
        out |= {k: out[k] / 255 for k in ("picture", "target", "valid")}
        if self.flip and torch.rand(()) < 0.5:
            out = {k: v.flip(-1) for k, v in out.items()}
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
    if about["names"] != list(NAMES) or "shown" not in about:
        raise InputError(f"{folder} holds the maps of another version of the decoder. Make them again.")
    if not about["done"]:
        raise InputError(f"{folder} holds no finished episode yet.")
    return about


def all_folders(
    folders: Sequence[Path],
    keep: Callable[[str, Sequence[str]], bool],
    class_names: Sequence[str],
    *,
    flip: bool,
) -> ConcatDataset[dict[str, Tensor]]:
    """The episodes of all folders, one after the other."""
    return ConcatDataset([Maps(f, keep, class_names, flip=flip) for f in folders])


class PortableLearner(Learner):
    """The portable decoder and its loss."""

    def __init__(self, recipe: Recipe, class_names: Sequence[str]):
        super().__init__(recipe, class_names)
        self.decoder = PortableDecoder(maps=len(NAMES), width=recipe.width)

    def training_step(self, batch: dict[str, Tensor]) -> Tensor:
        """Loss of a batch of stored episodes."""
        logits = self.decoder(batch["maps"], batch["logits"], batch["picture"])
        loss = loss_of(logits, batch["target"], batch["valid"], self.recipe.overlap)
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor]) -> None:
        """Count a batch."""
        decoded = self.decoder(batch["maps"], batch["logits"], batch["picture"])
        self.count(batch["logits"], decoded, batch["target"], batch["valid"], batch["class"])
