"""How well each support agrees with the others: leave one out, so that a photo that hurts is seen."""

from __future__ import annotations

import torch

from .methods import Episode, Step
from .predictor import Predictor, Prepared


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
    count = len(prepared.names)
    if count < 2:
        return ()
    scores = []
    for i in range(count):
        others = [k for k in range(count) if k != i]
        left_out = _steps(predictor, _episode(prepared, others, i))["prediction"].tensors["logits"]
        own = _steps(predictor, _episode(prepared, [i], i))["refined_mask"].tensors["support"][:, 0]
        score, mask = left_out.sigmoid()[0].float(), own[0].float()
        union = torch.maximum(score, mask).sum()
        scores.append(float(torch.minimum(score, mask).sum() / union) if union > 0 else 0.0)
    return tuple(scores)


def _steps(predictor: Predictor, episode: Episode) -> dict[str, Step]:
    return {step.key: step for step in predictor.method.steps(episode)}


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
    )
