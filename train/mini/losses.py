"""What mini is taught, as pure functions of maps and targets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

EPS = 1e-6
TEMPERATURE = 0.1  # of cosines between cells and prototypes
MIN_SHARE = 0.01  # of a crop that object and background must each cover to make a prototype
POOLED = 0.02  # share of cells whose mean logit decides what a photo shows


def token_loss(found: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - cosine between tokens and the teacher's.

    Args:
        found: (B, C, h, w).
        target: (B, C, h, w), the teacher's tokens, centred.
    """
    return 1 - F.cosine_similarity(found, target, dim=1).mean()


def prototypes(features: Tensor, mask: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean object and background vector of each crop.

    Args:
        features: (B, C, h, w).
        mask: (B, h, w) share of object, in [0, 1].
        weight: (B, h, w) how far the mask is known, in [0, 1].

    Returns:
        Unit vectors (B, 2, C), background first, and (B,) bool: both are there.
    """
    shares = torch.stack((1 - mask, mask), 1) * weight[:, None]  # (B, 2, h, w)
    sums = shares.flatten(2).sum(2)
    vectors = torch.einsum("bchw,bkhw->bkc", features, shares) / sums.clamp_min(EPS)[..., None]
    return F.normalize(vectors, dim=2), (sums > MIN_SHARE * mask[0].numel()).all(1)


def episode_loss(features: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Each crop is segmented by its partner's prototypes, and by its partner's against all others'.

    Crops come in pairs (0, 1), (2, 3), ... that show the same thing; different pairs show different things.

    Args:
        features: (2 P, C, h, w), unit cells.
        mask: (2 P, h, w) share of the thing, in [0, 1].
        weight: (2 P, h, w) how far the mask is known, in [0, 1].
    """
    vectors, valid = prototypes(features, mask, weight)
    partner = torch.arange(len(features), device=features.device).view(-1, 2).flip(1).flatten()
    use = (valid & valid[partner]).float()
    logits = torch.einsum("bchw,bkc->bkhw", features, vectors[partner]) / TEMPERATURE
    share = torch.stack((1 - mask, mask), 1)
    cells = -(share * logits.log_softmax(1)).sum(1) * weight
    # Object and background count alike, whatever their size.
    balance = weight * (mask / mask_sum(mask, weight) + (1 - mask) / mask_sum(1 - mask, weight)) / 2
    own = (
        (cells * balance).flatten(1).sum(1) + cells.flatten(1).sum(1) / weight.flatten(1).sum(1).clamp_min(1)
    ) / 2
    total = use.sum().clamp_min(1)
    return (own * use).sum() / total + 0.3 * _against_others(
        features, vectors, mask * weight, partner, use
    ) / total


def mask_sum(mask: Tensor, weight: Tensor) -> Tensor:
    """(B, 1, 1) weighted area, never zero."""
    return (mask * weight).sum((1, 2), keepdim=True).clamp_min(1)


def _against_others(features: Tensor, vectors: Tensor, known: Tensor, partner: Tensor, use: Tensor) -> Tensor:
    things = vectors[:, 1]
    logits = torch.einsum("bchw,kc->bkhw", features, things) / TEMPERATURE
    count = len(features)
    pair = torch.arange(count, device=features.device) // 2
    # A crop is compared with its partner and the other pairs, not with itself nor with empty ones.
    self_or_empty = torch.eye(count, dtype=torch.bool, device=features.device) | (use == 0)[None]
    self_or_empty[torch.arange(count), partner] = False
    logits = logits.masked_fill(self_or_empty[:, :, None, None], -1e4)
    right = (pair[:, None] == pair[None]) & ~self_or_empty
    chance = (logits.log_softmax(1) * right[:, :, None, None]).sum(1)
    per_crop = -(chance * known).flatten(1).sum(1) / known.flatten(1).sum(1).clamp_min(1)
    return (per_crop * use).sum()


def evidence_loss(logits: Tensor, target: Tensor, allowed: Tensor) -> Tensor:
    """Cross entropy of concepts in each cell, where "none of those marked" leaves several answers right.

    Args:
        logits: (B, V, h, w).
        target: (B, h, w) concept numbers, 0 for none of those marked, 255 for not known.
        allowed: (B, V) bool: what a cell with target 0 may show.
    """
    log_p = logits.log_softmax(1)
    exact = log_p.gather(1, target.where(target != 255, 0)[:, None])[:, 0]
    rest = log_p.masked_fill(~allowed[:, :, None, None], -1e4).logsumexp(1)
    cells = -torch.where(target == 0, rest, exact)
    known, thing = target != 255, (target != 255) & (target != 0)
    # As much weight on the things as on what surrounds them.
    return 0.5 * _mean(cells, thing) + 0.5 * _mean(cells, known & ~thing)


def cell_presence_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Logits of the concepts marked in a crop are above 0 on them and below 0 beside them.

    Args:
        logits: (B, V, h, w).
        target: (B, h, w) concept numbers, 0 for none, 255 for not known.
    """
    losses = []
    for maps, cells in zip(logits, target):
        for concept in cells.unique().tolist():
            if concept not in (0, 255):
                here = cells == concept
                values = F.binary_cross_entropy_with_logits(maps[concept], here.float(), reduction="none")
                losses.append(0.5 * _mean(values, here) + 0.5 * _mean(values, (cells != 255) & ~here))
    return torch.stack(losses).mean() if losses else logits.sum() * 0


def presence_loss(logits: Tensor, state: Tensor) -> Tensor:
    """The best cells of a photo tell what it shows.

    Args:
        logits: (B, V, h, w).
        state: (B, V): 1 shown, 0 not shown, -1 not known.
    """
    flat = logits.flatten(2)
    pooled = flat.topk(max(1, round(POOLED * flat.shape[2])), dim=2).values.mean(2)
    p = pooled.sigmoid()
    shown, absent = state == 1, state == 0
    # Absent concepts are many: those that are clearly absent already weigh little (focal weight).
    positive = (F.softplus(-pooled) * shown).sum()
    negative = (F.softplus(pooled) * p.detach().square() * absent).sum()
    return (positive + negative) / shown.sum().clamp_min(1)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum() / where.sum().clamp_min(1)
