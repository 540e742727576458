"""Training PAIA: the threshold of Eq. 4 on frozen features, or with the encoder, as the paper does.

A step is one episode: the fused prototypes (Eq. 5) segment the query and the supports, and the cross
entropy of both (L_qry + L_sup) leads the optimiser. L_sup has two readings: the supports segmented by the
fused prototypes (``fused``, as printed), or PANet's alignment (``alignment``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lfss.errors import InputError
from lfss.images import Image, resize_to
from lfss.methods.paia import Paia, PaiaConfig
from lfss.methods.paia.losses import IGNORE, alignment_loss, segmentation_loss, support_loss
from lfss.methods.paia.method import PreparedPictures
from lfss.methods.paia.step1_prototypes import prototype_cosines
from lfss.predictor import Predictor
from lfss.similarity import concat_levels
from lfss.weights import load_into, read_state

from ..data.datasets import DataSet
from ..data.episodes import Draws
from ..data.ways import WaysEpisode

ENCODER = "encoder.safetensors"  # beside a threshold that was trained with it

Levels = Callable[[Tensor], tuple[Tensor, ...]]
"""(M, 3, S, S) in [0, 1] -> one (M, C_i, h_i, w_i) for each level."""


@dataclass(frozen=True)
class ThresholdRecipe:
    """How PAIA is trained. A file gives every field.

    Attributes:
        steps: of the optimiser, an episode each.
        rate, momentum, decay: of SGD.
        drop_after: steps after which the rate is a tenth.
        encoder: train the backbone too, as the paper does; otherwise only the threshold learns.
        size: side of the pictures in pixels; 0 is the preset's, which is what outputs are kept for.
        flip: mirror half of the episodes; only with the encoder, since kept outputs are not mirrored.
        ways, shots, auxiliary: N, K and U of an episode.
        supports: the reading of L_sup; ``none`` leaves it out.
        iterations: T of the fusion.
        checks: how often the mean loss is told and everything is stored.
        seed: of the episodes.
    """

    steps: int = 400
    rate: float = 1e-3
    momentum: float = 0.9
    decay: float = 5e-4
    drop_after: int = 10_000
    encoder: bool = False
    size: int = 0
    flip: bool = False
    ways: int = 1
    shots: int = 1
    auxiliary: int = 2
    supports: Literal["fused", "alignment", "none"] = "fused"
    iterations: int = 3
    checks: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be: raises InputError."""
        if self.supports not in ("fused", "alignment", "none"):
            raise InputError(f"'{self.supports}' is no reading of L_sup; use fused, alignment or none.")
        if min(self.steps, self.checks, self.iterations, self.auxiliary) < 1:
            raise InputError("steps, checks, iterations and auxiliary must be at least 1.")
        if self.flip and not self.encoder:
            raise InputError("Only with the encoder can pictures be mirrored; set flip to false.")


class Pictures(NamedTuple):
    """An episode's pictures, M = N K supports, then N U auxiliary ones, then the query.

    ``pixels`` (M, 3, S, S) in [0, 1]; ``truths`` (N K + 1, S, S) int64 of the supports and the query: 0 the
    background, 1 to N the classes, ``IGNORE`` what nobody vouches for.
    """

    pixels: Tensor
    truths: Tensor


def read_pictures(data: DataSet, episode: WaysEpisode, *, size: int, mirrored: bool = False) -> Pictures:
    """Read an episode; its auxiliary pictures are of the same data set.

    Args:
        data: the pictures.
        episode: which of them.
        size: side S in pixels.
        mirrored: left and right change places.
    """
    marked = [i for way in episode.ways for i in way.supports] + [episode.query]
    unmarked = [i for way in episode.ways for i in way.auxiliary]
    classes = tuple(way.class_id for way in episode.ways)
    order = [*marked[:-1], *unmarked, marked[-1]]
    pixels = torch.stack([_pixels(data, i, size) for i in order])
    truths = torch.stack([_truth(data, i, classes, size) for i in marked])
    if mirrored:
        pixels, truths = pixels.flip(-1), truths.flip(-1)
    return Pictures(pixels, truths)


class PaiaTraining:
    """The method, what learns, and the loss of an episode.

    Args:
        recipe: how to train.
        levels: of the backbone; with a gradient if the recipe trains the encoder.
        network: the encoder's weights, if they learn.
        device: where the method is.

    Attributes:
        method: PAIA in training mode, so its gate is the soft one.
        optimizer: SGD over what learns.
    """

    def __init__(
        self, recipe: ThresholdRecipe, levels: Levels, network: nn.Module | None = None, device: str = "cpu"
    ):
        self.recipe, self.levels, self.network = recipe, levels, network
        self.method = Paia(PaiaConfig(iterations=recipe.iterations)).train().to(device)
        learning = [*self.method.parameters(), *(network.parameters() if network is not None else ())]
        self.optimizer = torch.optim.SGD(
            learning, recipe.rate, momentum=recipe.momentum, weight_decay=recipe.decay
        )
        self.schedule = torch.optim.lr_scheduler.MultiStepLR(self.optimizer, [recipe.drop_after])
        self.step_number = 0

    def loss(self, pictures: Pictures) -> Tensor:
        """L_qry + L_sup of one episode, a single value."""
        r, scale = self.recipe, self.method.config.scale
        features = concat_levels(self._levels(pictures.pixels))[None]  # (1, M, C, h, w)
        classes = self._classes(features, pictures.truths)
        query = features[:, -1:]  # (1, 1, C, h, w)
        original = self.method.original(classes)
        prototypes = original.prototypes  # (1, N + 1, C)
        for fusion in self.method.fusion(classes, original, query):
            prototypes = fusion.prototypes
        truths = pictures.truths.to(features.device)
        loss = segmentation_loss(query, prototypes, truths[None, -1:], scale=scale)
        if r.supports == "none":
            return loss
        own = [c.features for c in classes]
        marked = list(truths[None, :-1].split(r.shots, 1))  # N of (1, K, S, S)
        if r.supports == "fused":
            return loss + support_loss(own, prototypes, marked, scale=scale)
        cosines = prototype_cosines(query, prototypes)[:, 0]  # (1, N + 1, h, w)
        return loss + alignment_loss(query[:, 0], cosines, own, marked, scale=scale)

    def step(self, pictures: Pictures) -> float:
        """Learn from one episode; returns its loss."""
        self.optimizer.zero_grad()
        loss = self.loss(pictures)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.step_number += 1
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        """Everything that a stopped training needs to go on."""
        return {
            "step": self.step_number,
            "method": self.method.state_dict(),
            "network": self.network.state_dict() if self.network is not None else {},
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a ``state``."""
        self.step_number = state["step"]
        self.method.load_state_dict(state["method"])
        if self.network is not None:
            self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])

    def _levels(self, pixels: Tensor) -> tuple[Tensor, ...]:
        if self.network is not None:
            return self.levels(pixels)
        with torch.no_grad():
            return self.levels(pixels)

    def _classes(self, features: Tensor, truths: Tensor) -> list[PreparedPictures]:
        """What is known of each class: features (1, M, C, h, w), truths (N K + 1, S, S)."""
        r, cells = self.recipe, (features.shape[-2], features.shape[-1])
        made = []
        for number in range(1, r.ways + 1):
            own = slice((number - 1) * r.shots, number * r.shots)
            start = r.ways * r.shots + (number - 1) * r.auxiliary
            inside, outside = (_shares(truths[own] == n, cells).to(features) for n in (number, 0))
            auxiliary = features[:, start : start + r.auxiliary]  # (1, U, C, h, w)
            marked = features.new_zeros(1, r.shots)
            made.append(PreparedPictures(features[:, own], inside[None], outside[None], marked, auxiliary))
        return made


def load_encoder(predictor: Predictor, folder: Path) -> bool:
    """Put a backbone that was trained with a threshold into a predictor, if there is one in the folder.

    Raises:
        WeightsError: it cannot be read, or is of another backbone.
    """
    path = folder / ENCODER
    if not path.is_file():
        return False
    backbone: Any = predictor.encoders.backbone
    load_into(backbone.network, read_state(path), source=f"'{path}'")
    return True


def mirrored(recipe: ThresholdRecipe, index: int) -> bool:
    """Whether an episode is mirrored; the same on every machine."""
    return recipe.flip and Draws(f"flip|{recipe.seed}|{index}").choice((False, True))


def _shares(mask: Tensor, cells: tuple[int, int]) -> Tensor:
    """(K, S, S) bool -> (K, h, w), the share of each cell that is in the mask."""
    return F.adaptive_avg_pool2d(mask[:, None].float(), cells)[:, 0]


@lru_cache(maxsize=128)  # about two megabytes each; every picture serves in many episodes
def _pixels(data: DataSet, sample_id: str, size: int) -> Tensor:
    """(3, S, S) in [0, 1]."""
    sample = data.sample(sample_id)
    return torch.from_numpy(resize_to(Image(sample.read_image(), sample.image.name, sample.image), size))


@lru_cache(maxsize=128)
def _truth(data: DataSet, sample_id: str, classes_of: tuple[int, ...], size: int) -> Tensor:
    """(S, S) int64; the nearest pixel of the class map stands for each."""
    classes, ignore = data.sample(sample_id).read_classes()
    truth = np.zeros(classes.shape, np.int64)
    for number, class_id in enumerate(classes_of, start=1):
        truth[classes == class_id] = number
    truth[ignore] = IGNORE
    whole = torch.from_numpy(truth)[None, None].double()
    return F.interpolate(whole, (size, size), mode="nearest")[0, 0].long()
