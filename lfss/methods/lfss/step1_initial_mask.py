"""Step 1, section 3.3: the first mask, from what the text says about each cell.

Where the paper is silent
    *Competitors.* An argmax needs other words. The label and its synonyms compete with the "not"
    words and a list of background words; of the synonyms the best counts.
    *Order.* Logits are enlarged first and compared afterwards, so that masks follow smooth edges.
    *Empty masks.* Where the object is known to be present, the cells with the highest probability
    are taken; a mask is never empty then.
    *Marks on the object alone.* What is far from them in the picture and unlike them is taken for background
    when the prototypes of the support are made (``assumed_background``).
    *Weak words.* The paper's text tower knows every word equally well. Where the trust in a word is below
    ``WEAK``, its cells are too low nearly everywhere and rank other things high in pictures that lack the
    object. Then the text only says where the object is in supports that are known to show it
    (``raised_to_half``), and the query is searched by matching alone.
    *Queries of strong supports.* The paper knows labels only. Where a person marked a support, the
    query's first map is a mixture of text and matching, each weighted by how well it explains
    what the person marked (``mean_in_logits``).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ...labels import WEAK
from ...similarity import EPS, cosine_map, masked_average, mean_of_best


def text_probability(logits: Tensor, roles: Tensor) -> Tensor:
    """Probability that a cell shows the label rather than any competitor.

    A softmax over phrases in which the label's synonyms count once, by the best of them.

    Args:
        logits: (N, V, h, w).
        roles: (N, V): 1 names the label, at least one does; -1 competes with it; 0 is padding.

    Returns:
        (N, h, w) in [0, 1]. Without a competitor the label competes with a logit of 0.
    """
    names, competes = roles == 1, roles == -1  # (N, V)
    label = logits.masked_fill(~names[..., None, None], -torch.inf).amax(1)  # (N, h, w)
    rivals = logits.masked_fill(~competes[..., None, None], -torch.inf).logsumexp(1)  # (N, h, w)
    alone = ~competes.any(1)
    return (label - rivals.masked_fill(alone[:, None, None], 0.0)).sigmoid()


def never_empty(mask: Tensor, score: Tensor, *, share: float = 0.05) -> Tensor:
    """Fill the empty masks among N with their best cells.

    Args:
        mask: (N, h, w) bool.
        score: (N, h, w); larger means more like the object.
        share: part of all cells that an empty mask is given, at least one cell.

    Returns:
        (N, h, w) bool; masks that had a cell are unchanged.
    """
    flat = score.flatten(1)
    count = max(1, round(share * flat.shape[1]))
    best = torch.zeros_like(flat, dtype=torch.bool)
    best.scatter_(1, flat.topk(count, dim=1).indices, True)
    empty = ~mask.flatten(1).any(1)
    return torch.where(empty[:, None, None], best.view_as(mask), mask)


def presence(probability: Tensor, *, share: float = 0.01) -> Tensor:
    """How sure the text is that the object is somewhere: mean of the best cells.

    Args:
        probability: (N, h, w) in [0, 1].
        share: part of all cells averaged, at least one.

    Returns:
        (N,) in [0, 1].
    """
    return mean_of_best(probability, share)


def raised_to_half(probability: Tensor, *, share: float = 0.02) -> Tensor:
    """Shift each picture's logits so that half of the way from its median to its best cells is 0.

    The order of the cells is kept. It is meant for pictures that are known to show the object.

    Args:
        probability: (N, h, w) in [0, 1].
        share: part of all cells whose mean counts as the best, at least one cell.

    Returns:
        (N, h, w) in [0, 1].
    """
    logits = probability.logit(1e-6)
    middle = (mean_of_best(logits, share) + logits.flatten(1).median(1).values) / 2  # (N,)
    return (logits - middle[:, None, None]).sigmoid()


def soft_iou(score: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Soft intersection over union, sum(min) / sum(max) over the valid cells.

    All (N, ...), score and target in [0, 1], valid a weight. Returns (N,); 0 where the union is empty.
    """
    low = (torch.minimum(score, target) * valid).flatten(1).sum(1)
    high = (torch.maximum(score, target) * valid).flatten(1).sum(1)
    return low / high.clamp_min(EPS)


def mean_in_logits(text: Tensor, match: Tensor, text_trust: Tensor, match_trust: Tensor) -> Tensor:
    """Weighted mean, in logits, of what the text says and what matching says.

    Args:
        text, match: (N, h, w) probabilities in [0, 1].
        text_trust, match_trust: (N,) at least 0. Trust (1, 0) returns the text unchanged.

    Returns:
        (N, h, w) in [0, 1].
    """
    share = (match_trust / (text_trust + match_trust).clamp_min(EPS))[:, None, None]
    logits = (1 - share) * text.logit(1e-4) + share * match.logit(1e-4)
    return torch.where(share > 0, logits.sigmoid(), text)


def match_probability(
    features: Tensor, foreground: Tensor, background: Tensor, *, sharpness: float = 10.0
) -> Tensor:
    """Probability by matching: nearer to the object's prototype than to the background's.

    Args:
        features: (N, C, h, w); foreground, background: (N, C).
        sharpness: logits per unit of cosine.

    Returns:
        (N, h, w) in [0, 1]; 0.5 where the two are equally near.
    """
    near = cosine_map(features, torch.stack((foreground, background), 1))
    return (sharpness * (near[:, 0] - near[:, 1])).sigmoid()


def assumed_background(
    features: Tensor, foreground: Tensor, known: Tensor, *, far: float = 0.5, unlike: float = 0.5
) -> Tensor:
    """Cells to take for background in pictures of which only the object is marked.

    A person who draws on the object alone says nothing of the rest; what is far from the marks and unlike
    them is most likely not the object.

    Args:
        features: (N, C, h, w).
        foreground: (N, C), the mean feature under the marks.
        known: (N, h, w) in [0, 1], the share of each cell that is marked as object.
        far: cells whose distance from the marks is at least this share of the largest one count as far.
        unlike: share of all cells that count as unlike, those with the smallest cosine.

    Returns:
        (N, h, w) bool; never empty unless every cell is marked, and never a marked cell.
    """
    marked = known > 0  # (N, h, w)
    distance = _steps_from(marked)
    distant = distance >= far * distance.amax((1, 2), keepdim=True)
    likeness = cosine_map(features, foreground).masked_fill(marked, torch.inf)  # (N, h, w)
    flat = likeness.flatten(1)
    limit = flat.kthvalue(max(1, round(unlike * flat.shape[1])), dim=1).values[:, None, None]
    chosen = distant & (likeness <= limit) & ~marked
    return never_empty(chosen, -likeness) & ~marked


def _steps_from(marked: Tensor) -> Tensor:
    """(N, h, w) bool -> (N, h, w): steps from each cell to the nearest marked one, diagonal steps too."""
    reached = marked.float()
    steps = torch.zeros_like(reached)
    for _ in range(max(marked.shape[-2:])):
        steps += 1 - reached
        reached = F.max_pool2d(reached, 3, stride=1, padding=1)
    return steps


class SupportMasks(NamedTuple):
    """What step 1 makes of the supports; nothing of it depends on the query.

    ``probability`` (B, K, h, w) in [0, 1], ``mask`` its bool mask, ``text`` what the text alone says;
    ``object`` and ``other`` (B, C) prototypes of the masks and of what is beside them, marked supports
    first; ``match_share`` (B,) the part of a query's map that should come from matching with these.
    """

    probability: Tensor
    mask: Tensor
    text: Tensor
    object: Tensor
    other: Tensor
    match_share: Tensor


class InitialMasks(NamedTuple):
    """What step 1 knows of both sides.

    ``support`` (B, K, h, w) and ``query`` (B, h, w) are probabilities in [0, 1], ``support_mask`` and
    ``query_mask`` their bool masks, ``support_text`` and ``query_text`` what the text alone says, and
    ``match_share`` (B,) the part of the query's map that comes from matching.
    """

    support: Tensor
    query: Tensor
    support_mask: Tensor
    query_mask: Tensor
    support_text: Tensor
    query_text: Tensor
    match_share: Tensor


def support_masks(
    features: Tensor,
    logits: Tensor,
    roles: Tensor,
    *,
    known: Tensor,
    unknown: Tensor,
    text_trust: Tensor,
) -> SupportMasks:
    """First masks of the supports, and how far matching with them can be trusted.

    A cell that a person marked keeps what was said of it; the others follow the text, and the marks' own
    appearance where some of the object is marked. Matching is trusted as far as it explains the marks
    better than the text does; where nothing is marked, not at all, or for weak words entirely.

    Args:
        features: (B, K, C, h, w); logits: (B, K, V, h, w), on the same cells.
        roles: (B, V), as in ``text_probability``.
        known, unknown: (B, K, h, w), the share of each cell known to be object, and not known.
        text_trust: (B,) in [0, 1]; 0 for a word the tower does not know.
    """
    b, k = known.shape[:2]
    text = text_probability(logits.flatten(0, 1), roles.repeat_interleave(k, 0)).view_as(known)
    background = (1 - known - unknown).clamp_min(0)  # (B, K, h, w)
    marked = (known + background).amax((2, 3)) > 0.5  # (B, K): this support carries a mark
    weak = text_trust < WEAK  # (B,)
    raised = (weak[:, None] & ~marked)[..., None, None]  # (B, K, 1, 1)
    text = torch.where(raised, raised_to_half(text.flatten(0, 1)).view_as(text), text)

    flat = features.flatten(0, 1)  # (B*K, C, h, w)
    object_like = masked_average(flat, known.flatten(0, 1), directions=True)
    has_object = known.amax((2, 3)) > 0.5  # (B, K)
    alone = has_object & (background.amax((2, 3)) <= 0.5)  # the object alone is marked
    beside = background.flatten(0, 1)  # (B*K, h, w)
    if bool(alone.any()):
        assumed = assumed_background(flat, object_like, known.flatten(0, 1)).to(beside.dtype)
        beside = torch.where(alone.flatten()[:, None, None], assumed, beside)
    other_like = masked_average(flat, beside, directions=True)
    likeness = match_probability(flat, object_like, other_like).view_as(known)
    # A box says what is outside; most of its inside is object.
    likeness = torch.where(has_object[..., None, None], likeness, torch.full_like(likeness, 0.75))
    trust = text_trust.to(known.dtype).repeat_interleave(k, 0)  # (B*K,)
    marked_flat = marked.flatten().to(trust.dtype)  # (B*K,)
    guess = mean_in_logits(text.flatten(0, 1), likeness.flatten(0, 1), trust, marked_flat).view_as(known)
    probability = known + unknown * guess
    # An object smaller than a cell never fills one by half: then its fullest cells are taken.
    fullest = probability.amax((2, 3), keepdim=True)
    level = torch.where(marked[..., None, None], (fullest / 2).clamp(max=0.5), torch.full_like(fullest, 0.5))
    mask = never_empty((probability > level).flatten(0, 1), probability.flatten(0, 1)).view_as(known)

    weight = marked.float() + 1e-3  # label-only supports count where no other is there

    def mean(masks: Tensor) -> Tensor:
        vectors = masked_average(flat, masks.flatten(0, 1), directions=True).view(b, k, -1)
        return (vectors * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)

    inside, outside = mean(mask), mean(~mask)  # (B, C)
    own = match_probability(flat, inside.repeat_interleave(k, 0), outside.repeat_interleave(k, 0))
    own = own.view_as(known)  # (B, K, h, w)
    # A cell that nobody marked is a guess itself, made partly from the text: it says less.
    valid = marked[..., None, None] * (1 - 0.7 * unknown)
    text_fit = soft_iou(text, probability, valid) * text_trust
    match_fit = soft_iou(own, probability, valid) * marked.float().mean(1)
    # Squares, so that the better source leads instead of being averaged away.
    share = match_fit.square() / (match_fit.square() + text_fit.square()).clamp_min(EPS)
    share = torch.where(marked.any(1), share, weak.to(share))
    return SupportMasks(probability, mask, text, inside, outside, share)


def initial_masks(
    supports: SupportMasks,
    query_features: Tensor,
    query_logits: Tensor,
    roles: Tensor,
    *,
    known_present: Tensor,
) -> InitialMasks:
    """Adds the query: text, and matching with the supports by their ``match_share``.

    Args:
        supports: of ``support_masks``.
        query_features: (B, C, h, w); query_logits: (B, V, h, w), on the same cells.
        roles: (B, V), as in ``text_probability``.
        known_present: (B,) bool: the query is known to show the object, so its mask is never empty.
    """
    text = text_probability(query_logits, roles)  # (B, h, w)
    match = match_probability(query_features, supports.object, supports.other)
    share = supports.match_share
    query = mean_in_logits(text, match, 1 - share, share)
    mask = query > 0.5
    mask = torch.where(known_present[:, None, None], never_empty(mask, query), mask)  # (B, h, w)
    return InitialMasks(supports.probability, query, supports.mask, mask, supports.text, text, share)
