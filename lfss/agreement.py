"""How well each support agrees with the others: leave one out, so that a photo that hurts is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from .methods import Episode
from .predictor import Predictor
from .prepared import Prepared


@torch.inference_mode()
def readings(predictor: Predictor, prepared: Prepared) -> tuple[npt.NDArray[np.bool_], ...]:
    """What each support takes to be its object: K masks, (h, w) bool cells.

    Each support is refined with itself as the query, where the method refines; a person's marks stay as
    they are. A method that makes no masks of the supports takes them as they are marked.
    """
    method, masks = predictor.method, []
    stage = method.stage_of("refined_mask") or method.stage_of("first_mask")
    for i in range(len(prepared.names)):
        if stage is None or stage.supports is None:
            mask = prepared.encoded.known[0, i] > 0.5
        else:
            steps = method.steps(_episode(prepared, [i], i))
            mask = next(s for s in steps if s.key == stage.step).supports(stage.supports)[0][0, 0]
        masks.append(mask.bool().cpu().numpy())
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
        *_, last = predictor.method.steps(_episode(prepared, others, i))
        mask = torch.from_numpy(reading).float()  # (h, w)
        score = last.query("logits")[:, 0].sigmoid().float().cpu()  # (1, h, w), finer with a decoder
        score = F.adaptive_avg_pool2d(score, (mask.shape[0], mask.shape[1]))[0]  # (h, w)
        union = torch.maximum(score, mask).sum()
        scores.append(float(torch.minimum(score, mask).sum() / union) if union > 0 else 0.0)
    return tuple(scores)


def _episode(prepared: Prepared, supports: Sequence[int], query: int) -> Episode:
    """B = 1, with some supports and one more as the query, which is known to show the object."""
    one = prepared.encoded
    pictures = one.supports.only([query])
    return Episode(
        query_features=tuple(level[:, 0] for level in pictures.features),
        query_thumbnail=None if pictures.thumbnails is None else pictures.thumbnails[:, 0],
        classes=(
            replace(
                one.only(supports),
                query_logits=pictures.logits[:, 0],
                known_present=torch.ones_like(one.known_present),
            ),
        ),
    )
