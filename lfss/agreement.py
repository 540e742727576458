"""How well each support agrees with the others: leave one out, so that a photo that hurts is seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from .methods import Episode
from .predictor import Predictor, Prepared


@torch.inference_mode()
def readings(predictor: Predictor, prepared: Prepared) -> tuple[npt.NDArray[np.bool_], ...]:
    """What each support takes to be its object: K refined masks, (h, w) bool cells.

    Each support is refined with itself as the query. A person's marks stay as they are.
    """
    masks = []
    for i in range(len(prepared.names)):
        steps = predictor.method.steps(_episode(prepared, [i], i))
        refined = next(s for s in steps if s.key == "refined_mask").tensors["support"]
        masks.append(refined[0, 0].bool().cpu().numpy())
    return tuple(masks)


@torch.inference_mode()
def agreement(predictor: Predictor, prepared: Prepared) -> tuple[float, ...]:
    """Agreement of each support with all others, in [0, 1].

    Each support in turn is the query and the others are its supports. The score of that run is compared
    with what the support itself takes to be its object: its own refined mask, in which a person's marks
    stay. The measure is the soft intersection over union, the sum of the smaller values divided by the
    sum of the larger ones. No picture is encoded again.

    Args:
        predictor: of the preset that prepared the class.
        prepared: a class with K supports.

    Returns:
        K values; empty for a single support, which has nothing to be compared with.
    """
    own = readings(predictor, prepared)
    if len(own) < 2:
        return ()
    scores = []
    for i, reading in enumerate(own):
        others = [k for k in range(len(own)) if k != i]
        steps = predictor.method.steps(_episode(prepared, others, i))
        *_, left_out = steps
        mask = torch.from_numpy(reading).float()
        score = left_out.tensors["logits"].sigmoid().float().cpu()
        # The map of a decoder is finer than the cells.
        score = F.adaptive_avg_pool2d(score, (mask.shape[0], mask.shape[1]))[0]
        union = torch.maximum(score, mask).sum()
        scores.append(float(torch.minimum(score, mask).sum() / union) if union > 0 else 0.0)
    return tuple(scores)


def _episode(prepared: Prepared, supports: list[int], query: int) -> Episode:
    """B = 1, with some supports and one more as the query, which is known to show the object."""
    return Episode(
        support_logits=prepared.logits[:, supports],
        query_logits=prepared.logits[:, query],
        foreground=prepared.foreground,
        support_features=tuple(f[:, supports] for f in prepared.features),
        query_features=tuple(f[:, query] for f in prepared.features),
        support_known=prepared.known[:, supports],
        support_unknown=prepared.unknown[:, supports],
        text_trust=prepared.text_trust,
        query_present=True,
        query_picture=prepared.picture(query),
    )
