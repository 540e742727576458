"""Step 4, section 3.5: complementary correlation matching, CCM (Eq. 13-17).

The parts of the supports that look like the query's object make one focused prototype. Its cosine
with the query is the correlation map: FCM over the whole picture, RCM inside the refined mask only.

Where the paper is silent
    *Eq. 13* has no axis and Eq. 14 needs one weight for each support cell: softmax over the support
    cells for each query cell of the mask, then the mean over those query cells.
    *Temperature*: with 1, as printed, the weights are almost equal; ``temperature`` sharpens them.
    *Soft masks* would do nothing in Eq. 15, since a cosine ignores length: RCM is FCM times a mask.
    *Cost*: the query's cells are pooled first; see ``pool_cells``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...similarity import EPS, cosine_map, lengths, pool_cells


def attention(
    query: Tensor,
    query_mask: Tensor,
    support: Tensor,
    support_mask: Tensor,
    *,
    temperature: float = 1.0,
    queries: int = 16,
) -> Tensor:
    """How much each support cell is what the query shows (Eq. 13).

    Args:
        query: (N, C, h, w); query_mask: (N, h, w) bool.
        support: (N, K, C, h, w); support_mask: (N, K, h, w) bool.
        temperature: 1 is the paper's; 0.05 to 0.1 makes the map selective.
        queries: query cells are pooled to at most ``queries x queries``.

    Returns:
        (N, K, h, w), at least 0, summing to 1 over all shots, 0 outside the masks. Uniform where the
        query's mask is empty; all 0 where all support masks are.
    """
    cells = pool_cells(query, query_mask, queries, directions=True)
    asks = torch.nn.functional.normalize(cells.vectors, dim=2, eps=EPS)
    # Shot by shot: laying the cells of all shots side by side would copy the features.
    length = lengths(support.transpose(1, 2)).flatten(2)  # (N, K, n)
    logits = asks[:, None] @ support.flatten(3) / (temperature * length)[:, :, None]
    logits = logits.transpose(1, 2).flatten(2)  # (N, m, K * n)
    logits = logits.masked_fill(~support_mask.flatten(1)[:, None], -torch.inf)
    weight = logits.softmax(2).nan_to_num(0.0)
    share = cells.weight / cells.weight.sum(1, keepdim=True).clamp_min(EPS)
    mean = torch.einsum("nms,nm->ns", weight, share)
    plain = support_mask.flatten(1).to(mean.dtype)
    plain = plain / plain.sum(1, keepdim=True).clamp_min(1)
    empty = cells.weight.sum(1, keepdim=True) <= EPS
    return torch.where(empty, plain, mean).view(support_mask.shape)


def focused_prototype(support: Tensor, weight: Tensor) -> Tensor:
    """Attention-weighted mean of the support cells (Eq. 14).

    Args:
        support: (N, K, C, h, w).
        weight: (N, K, h, w), ``attention``. Its sum is 1, so no further division is needed.

    Returns:
        (N, C).
    """
    return torch.einsum("nkchw,nkhw->nkc", support, weight).sum(1)


def correlation_maps(query: Tensor, query_mask: Tensor, prototype: Tensor) -> tuple[Tensor, Tensor]:
    """RCM and FCM (Eq. 15 and 16), each (N, h, w) in [-1, 1]; RCM is 0 outside the mask.

    Args:
        query: (N, C, h, w); query_mask: (N, h, w) bool; prototype: (N, C).
    """
    fcm = cosine_map(query, prototype)
    return fcm * query_mask, fcm
