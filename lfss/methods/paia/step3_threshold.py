"""Step 3, Eq. 4 and 5: a threshold for each class and episode that filters distractions.

Printed literally, Eq. 4 cannot be trained and filters everything at the start. The readings here:

    *Normalised* distances are compared with the threshold, because its inputs are normalised; a distance is
    divided by the mean of its set, as in the paper that the idea comes from, so the threshold has no unit.
    *Start.* The threshold starts at exactly 1, the mean distance. A network with the usual start values
    gives about 0, and then no pixel is left and nothing can be learned.
    *Gate.* The step function has no gradient; a sigmoid stands for it in training.
    *Statistics*: one of each kind over all cells of all auxiliary pictures, with the population's variance.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...similarity import EPS
from .config import Distance, Gate

STATISTICS = 5
HIDDEN = 20


def distances(features: Tensor, prototypes: Tensor, cosines: Tensor, *, kind: Distance) -> Tensor:
    """Distance of every cell from every class prototype.

    Args:
        features: (B, M, C, h, w); prototypes: (B, N, C), without the background's.
        cosines: (B, M, N, h, w) of the two.
        kind: 1 - cosine, or the squared Euclidean distance.

    Returns:
        (B, N, M, h, w), at least 0.
    """
    if kind == "cosine":
        return (1 - cosines).clamp_min(0).transpose(1, 2)
    product = torch.einsum("bmchw,bnc->bnmhw", features, prototypes)
    squares = features.square().sum(2)[:, None] + prototypes.square().sum(2)[:, :, None, None, None]
    return (squares - 2 * product).clamp_min(0)


def normalise(distance: Tensor, counted: Tensor) -> Tensor:
    """Divide by the mean over each class's set.

    Args:
        distance: (B, N, M, h, w).
        counted: (B, N, M) bool, the pictures whose distances are the class's set.

    Returns:
        (B, N, M, h, w); the mean over the set is 1 unless all its distances are 0.
    """
    share = counted[..., None, None].to(distance.dtype).expand_as(distance)
    mean = (distance * share).flatten(2).sum(2) / share.flatten(2).sum(2).clamp_min(1)
    return distance / mean.clamp_min(EPS)[..., None, None, None]


def statistics(normalised: Tensor, counted: Tensor) -> Tensor:
    """Minimum, maximum, variance, skewness and excess kurtosis of each class's set (Eq. 4).

    Args:
        normalised: (B, N, M, h, w), of ``normalise``.
        counted: (B, N, M) bool; a set without a picture counts as one distance of 0.

    Returns:
        (B, N, 5). Where all distances are equal the last three are 0.
    """
    share = counted[..., None, None].to(normalised.dtype).expand_as(normalised).flatten(2)
    values, empty = normalised.flatten(2), share.sum(2) == 0
    infinity = torch.full_like(values, torch.inf)
    low = torch.where(share > 0, values, infinity).amin(2)
    high = torch.where(share > 0, values, -infinity).amax(2)
    low, high = (torch.where(empty, torch.zeros_like(v), v) for v in (low, high))
    count = share.sum(2).clamp_min(1)
    mean = (values * share).sum(2) / count
    deviation = (values - mean[..., None]) * share
    second, third, fourth = (deviation.pow(p).sum(2) / count for p in (2, 3, 4))
    spread = second > EPS
    safe = torch.where(spread, second, torch.ones_like(second))
    skewness = torch.where(spread, third / safe.pow(1.5), torch.zeros_like(third))
    kurtosis = torch.where(spread, fourth / safe.square() - 3, torch.zeros_like(fourth))
    return torch.stack((low, high, second, skewness, kurtosis), 2)


class Threshold(nn.Module):
    """The network of Eq. 4: five statistics, 20 hidden units with tanh, one threshold."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(STATISTICS, HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.ones_(self.out.bias)  # the mean distance

    def forward(self, statistic: Tensor) -> Tensor:
        """Five statistics of distances (..., 5) -> a threshold (...,) in units of the mean distance.

        ``statistic`` has any leading axes, as (B, K, 5).
        """
        return self.out(torch.tanh(self.hidden(statistic)))[..., 0]


def gate(normalised: Tensor, threshold: Tensor, *, kind: Gate, sharpness: float) -> Tensor:
    """How far each cell passes the filter (the paper's indicator, H).

    Args:
        normalised: (B, N, M, h, w).
        threshold: (B, N).
        kind: ``soft`` is a sigmoid, ``hard`` the step, ``straight-through`` the step with the gradient
            of the sigmoid.
        sharpness: of the sigmoid.

    Returns:
        (B, N, M, h, w) in [0, 1].
    """
    room = threshold[..., None, None, None] - normalised
    step = (room > 0).to(normalised.dtype)
    if kind == "hard":
        return step
    soft = F.sigmoid(sharpness * room)
    return soft if kind == "soft" else step + soft - soft.detach()
