"""A whole method in about 30 lines, nearest prototypes as in PANet: all that a new method has to write.

METHODS["panet"] = PanetLike
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from lfss.methods import Episode, Method, Needs, StageInfo, Step
from lfss.similarity import concat_levels, cosine_map, masked_average


class PanetLike(Method):
    """Each cell to the nearest of the prototypes of all classes and of their common background."""

    name = "panet"
    needs = Needs(masks=True, several_classes=True)
    stages = (
        StageInfo(
            "likeness", "Likeness", "map", "matching", "Bright is like the class.",
            query="near", low=None, high=None,
        ),
        StageInfo(
            "marks", "Marks", "mask", "matching", "What was marked, and where the query looks alike.",
            query="mask", supports="marks", role="first_mask",
        ),
    )  # fmt: skip

    def steps(self, episode: Episode) -> Iterator[Step]:
        query = concat_levels(episode.query_features)  # (B, C, h, w)
        objects, others = [], []
        for one in episode.classes:
            support = concat_levels([f.flatten(0, 1) for f in one.supports.features])  # (B*K, C, h, w)
            b, k = one.known.shape[:2]
            inside = one.known + one.unknown  # (B, K, h, w), all of a box
            for side, found in ((inside, objects), (1 - inside, others)):
                mean = masked_average(support, side.flatten(0, 1))  # (B*K, C)
                found.append(mean.unflatten(0, (b, k)).mean(1))  # (B, C)
        near = cosine_map(query, torch.stack(objects, 1))  # (B, N, h, w)
        ground = cosine_map(query, torch.stack(others, 1).mean(1))[:, None]  # (B, 1, h, w)
        rivals = [torch.cat((ground, near[:, :n], near[:, n + 1 :]), 1).amax(1) for n in range(near.shape[1])]
        logits = 20 * (near - torch.stack(rivals, 1))  # (B, N, h, w)
        marks = tuple(one.known + one.unknown > 0.5 for one in episode.classes)
        yield Step("matching", {"near": near, "mask": logits > 0, "marks": marks})
        yield Step("prediction", {"logits": logits, "presence": logits.sigmoid().flatten(2).amax(2)})
