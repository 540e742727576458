"""What mini is taught, as pure functions of maps and targets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.similarity import mean_of_best

EPS = 1e-6
TEMPERATURE = 0.1  # of cosines between cells and prototypes
MIN_SHARE = 0.01  # of a crop that object and background must each cover to make a prototype
POOLED = 0.05  # share of a photo's cells that show what it is labelled with, at least
SURROUNDINGS_SHARE = 0.3  # how much of an unmarked cell's loss wants surroundings rather than anything else


def token_loss(found: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - cosine between tokens (B, N, C) and those of the original network."""
    return 1 - F.cosine_similarity(found, target, dim=2).mean()


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
    balance = weight * (mask / _area(mask, weight) + (1 - mask) / _area(1 - mask, weight)) / 2
    even = (cells * balance).flatten(1).sum(1)
    plain = cells.flatten(1).sum(1) / weight.flatten(1).sum(1).clamp_min(1)
    overlap = 1 - _soft_iou(logits.softmax(1)[:, 1] * weight, mask * weight)
    own = (even + plain) / 2 + 0.5 * overlap
    total = use.sum().clamp_min(1)
    others = _against_others(features, vectors, mask * weight, partner, use)
    return (own * use).sum() / total + 0.3 * others / total


def _area(mask: Tensor, weight: Tensor) -> Tensor:
    """(B, 1, 1) weighted area, never zero."""
    return (mask * weight).sum((1, 2), keepdim=True).clamp_min(1)


def _soft_iou(found: Tensor, target: Tensor) -> Tensor:
    """(..., h, w) -> (...)."""
    both = (found * target).flatten(-2).sum(-1)
    return both / (found + target - found * target).flatten(-2).sum(-1).clamp_min(EPS)


def _against_others(features: Tensor, vectors: Tensor, known: Tensor, partner: Tensor, use: Tensor) -> Tensor:
    logits = torch.einsum("bchw,kc->bkhw", features, vectors[:, 1]) / TEMPERATURE
    count = len(features)
    pair = torch.arange(count, device=features.device) // 2
    # A crop is compared with its partner and the other pairs, not with itself nor with empty ones.
    out = torch.eye(count, dtype=torch.bool, device=features.device) | (use == 0)[None]
    out[torch.arange(count), partner] = False
    logits = logits.masked_fill(out[:, :, None, None], -1e4)
    right = (pair[:, None] == pair[None]) & ~out
    chance = (logits.log_softmax(1) * right[:, :, None, None]).sum(1)
    per_crop = -(chance * known).flatten(1).sum(1) / known.flatten(1).sum(1).clamp_min(1)
    return (per_crop * use).sum()


def evidence_loss(
    logits: Tensor,
    targets: Sequence[dict[int, Tensor]],
    complete: Tensor,
    label: Tensor,
    surroundings: Tensor,
) -> Tensor:
    """Cross entropy of concepts in each cell, where "none of those marked" leaves several answers right.

    Args:
        logits: (B, V, h, w).
        targets, complete, label: see ``Batch``.
        surroundings: (V,) bool: background and what else is no object.
    """
    log_p = logits.log_softmax(1)
    parts = []
    for maps, target, marked, named in zip(log_p, targets, complete, label.tolist()):
        if named > 0:
            parts.append(-mean_of_best(maps[named], POOLED))
        if not target:
            continue
        things = [c for c in target if c > 0]
        part = maps.new_zeros(())
        if things:
            share = torch.stack([target[c] for c in things])
            part = -(share * maps[things]).sum() / share.sum().clamp_min(EPS)
            overlap = 1 - _soft_iou(maps[things].exp() * sum(target.values()), share)
            large = share.flatten(1).mean(1) > MIN_SHARE
            part = part + 0.5 * (overlap * large).sum() / large.sum().clamp_min(1)
        if 0 in target:
            anything = maps[~marked].logsumexp(0)
            ground = maps[surroundings & ~marked].logsumexp(0)
            wanted = (1 - SURROUNDINGS_SHARE) * anything + SURROUNDINGS_SHARE * ground
            part = part - (target[0] * wanted).sum() / target[0].sum().clamp_min(EPS)
        parts.append(0.5 * part)
    return torch.stack(parts).mean() if parts else logits.sum() * 0


def shown_loss(logits: Tensor, state: Tensor) -> Tensor:
    """Whether the picture shows each concept.

    Args:
        logits: (B, V) log odds.
        state: (B, V): 1 shown, 0 not shown, -1 not known.
    """
    shown, absent = state == 1, state == 0
    # Absent concepts are many: those that are clearly absent already weigh little (focal weight).
    positive = (F.softplus(-logits) * shown).sum()
    negative = (F.softplus(logits) * logits.detach().sigmoid().square() * absent).sum()
    return (positive + negative) / shown.sum().clamp_min(1)
