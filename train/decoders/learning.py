"""What the trainings of decoders and of TLG have in common: recipe, loss, schedule, average, score."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lfss.compat import ensure_torchvision
from lfss.similarity import resize_map

ensure_torchvision()  # Lightning's metrics import it

import lightning as L  # noqa: E402

ROWS = ("fixed_rule", "iou")  # the fixed rule, which bounds the claim, and the decoder


@dataclass(frozen=True)
class Recipe:
    """How a decoder is trained. A file gives every field, a flag of the same name overrides it.

    Attributes:
        decoder: ``portable`` reads stored maps, ``paper`` cached features of one backbone; ``tlg`` is no
            decoder of LFSS but the whole network of that method.
        steps: of the optimiser; not used where ``epochs`` is given.
        epochs: passes over all pairs of a picture and a base class; 0 counts steps instead.
        epoch_episodes: episodes of one epoch; 0 is one for each pair.
        patience: validations without a better state after which training ends; 0 never ends early.
        batch: episodes a step.
        optimizer: ``adam`` or ``adamw``.
        rate: highest learning rate.
        schedule: ``cosine`` after a warm-up, or ``constant``.
        decay: weight decay (AdamW).
        average: how much of the running average of the weights stays at each step; portable and TLG.
        width: channels of the portable decoder.
        overlap: weight of the soft IoU loss beside binary cross entropy.
        beta: share of the supports' loss in circle training, the query's is 1 - beta (Eq. 20); the paper's
            decoder only.
        circle: segment the supports first (section 3.6); the paper's decoder only.
        choose: base classes that are only validated on, to choose the best state by.
        kept_apart: without ``choose``, one in so many base classes, fixed by their names.
        without: novel classes: no picture that shows one is trained or validated on.
        checks: validations during the run.
        validate: episodes of a validation, at most.
        seed: of weights, order and flips.
    """

    decoder: Literal["portable", "paper", "tlg"] = "portable"
    steps: int = 400
    epochs: int = 0
    epoch_episodes: int = 0
    patience: int = 0
    batch: int = 16
    optimizer: Literal["adam", "adamw"] = "adamw"
    rate: float = 2e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    decay: float = 5e-2
    average: float = 0.98
    width: int = 16
    overlap: float = 0.5
    beta: float = 0.5
    circle: bool = True
    choose: tuple[str, ...] = ()
    kept_apart: int = 7
    without: tuple[str, ...] = ()
    checks: int = 8
    validate: int = 400
    seed: int = 0


def loss_of(logits: Tensor, target: Tensor, valid: Tensor, overlap: float) -> Tensor:
    """Binary cross entropy over the valid pixels, plus ``overlap`` times one minus the soft IoU.

    Args:
        logits, target, valid: (N, H, W); target and valid in [0, 1].
        overlap: at least 0.
    """
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    cross = (cross * valid).sum() / valid.sum().clamp_min(1)
    if not overlap:
        return cross
    p = logits.sigmoid()
    both = (p * target * valid).sum((1, 2))
    either = ((p + target - p * target) * valid).sum((1, 2))
    return cross + overlap * (1 - (both + 1) / (either + 1)).mean()


def cut_windows(maps: Tensor, window: Tensor, side: int) -> Tensor:
    """Windows of square maps, seen at another size.

    Args:
        maps: (N, C, h, w).
        window: (N, 2, 3) affine matrices, as ``F.affine_grid`` takes them.
        side: of the result.

    Returns:
        (N, C, side, side); beyond the border the border's values go on.
    """
    grid = F.affine_grid(window.to(maps), [len(maps), maps.shape[1], side, side], align_corners=False)
    return F.grid_sample(maps, grid, padding_mode="border", align_corners=False)


def rate_factor(step: int, total: int) -> float:
    """Linear warm-up over the first tenth, then half a cosine to zero; in [0, 1]."""
    warm = max(1, total // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm)))


class Learner(L.LightningModule):
    """Optimiser, schedule, and the class-accumulated IoU of fixed rule and decoder on classes kept apart.

    Args:
        recipe: how to train.
        class_names: episodes carry indices into them.
    """

    sums: Tensor  # (row, class, intersection or union) in pixels

    def __init__(self, recipe: Recipe, class_names: Sequence[str]):
        super().__init__()
        self.recipe = recipe
        self.register_buffer("sums", torch.zeros(len(ROWS), len(class_names), 2), persistent=False)
        self.began, self.before = time.monotonic(), 0.0
        self.history: list[dict[str, float]] = []  # of validations: step, minutes and ROWS

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The minutes and validations so far go with the weights."""
        checkpoint |= {"minutes": self.minutes, "history": self.history}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """They go on where they stopped."""
        self.before, self.history = checkpoint["minutes"], checkpoint["history"]

    @property
    def minutes(self) -> float:
        """Of this run and those it was resumed from."""
        return self.before + (time.monotonic() - self.began) / 60

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation."""
        self.sums.zero_()

    def count(
        self, fixed_rule: Tensor, decoded: Tensor, target: Tensor, valid: Tensor, classes: Tensor
    ) -> None:
        """Add episodes to the sums.

        Args:
            fixed_rule, decoded: logits (N, h, w).
            target, valid: (N, H, W) in [0, 1].
            classes: (N,) number of each episode's class.
        """
        truth, known = target > 0.5, valid > 0.5
        size = (truth.shape[-2], truth.shape[-1])
        for row, logits in enumerate((fixed_rule, decoded)):
            mask = resize_map(logits, size) > 0
            sums = torch.stack(((mask & truth & known).sum((1, 2)), ((mask | truth) & known).sum((1, 2))), 1)
            self.sums[row].index_add_(0, classes, sums.float())

    def on_validation_epoch_end(self) -> None:
        """Log mIoU over the classes seen, summed over all processes."""
        gathered = self.all_gather(self.sums)
        assert isinstance(gathered, Tensor)
        sums = gathered.sum(0) if gathered.dim() == 4 else gathered
        seen = sums[0, :, 1] > 0
        iou = (sums[:, seen, 0] / sums[:, seen, 1].clamp_min(1)).mean(1)
        for name, value in zip(ROWS, iou):
            self.log(name, value, prog_bar=True)
        if not self.trainer.sanity_checking:
            scores = dict(zip(ROWS, iou.tolist()))
            self.history.append({"step": self.global_step, "minutes": self.minutes, **scores})

    def configure_optimizers(self) -> Any:
        """Adam or AdamW over what can learn."""
        r = self.recipe
        learning = [p for p in self.parameters() if p.requires_grad]
        if r.optimizer == "adam":
            optimizer: torch.optim.Optimizer = torch.optim.Adam(learning, r.rate)
        else:
            optimizer = torch.optim.AdamW(learning, r.rate, weight_decay=r.decay)
        if r.schedule == "constant":
            return optimizer
        # A function of the step alone, so that a resumed run may be longer than the first.
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, r.steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class AveragedLearner(Learner):
    """A learner whose network is followed by a running average, which is what is measured and kept.

    Args:
        recipe: how to train.
        class_names: episodes carry indices into them.
        network: what learns.
    """

    def __init__(self, recipe: Recipe, class_names: Sequence[str], network: nn.Module):
        super().__init__(recipe, class_names)
        self.network = network
        follow = get_ema_multi_avg_fn(recipe.average)
        self.averaged = AveragedModel(network, multi_avg_fn=follow).requires_grad_(False)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """The average follows."""
        self.averaged.update_parameters(self.network)
