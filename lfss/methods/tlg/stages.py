"""How TLG describes its results for people."""

from __future__ import annotations

from ..contract import StageInfo

STAGES: tuple[StageInfo, ...] = (
    StageInfo(
        "pseudo_mask", "Pseudo mask", "mask", "pseudo_masks",
        "The masks that the network starts from: what the text and the pictures say without any training.",
        query="query", supports="support", role="refined_mask",
    ),
    StageInfo(
        "correlation", "Correlation", "map", "correlation",
        "How strongly each place of the query resembles the most similar place of the supports' objects.",
        query="likeness",
    ),
    StageInfo(
        "transport", "Transport plan", "map", "transport",
        "How selective each part of the query is in what it takes from the supports; a bright part has one "
        "counterpart, a dark one takes a little of everything.",
        query="preference", low=None, high=None,
    ),
    StageInfo(
        "residual", "Residuals", "map", "residual",
        "What each picture adds of its own: the query the mean of its details, the support the strongest.",
        query="query", supports="support", low=None, high=None,
    ),
    StageInfo(
        "text_plane", "Text planes", "map", "text",
        "The factor that the words put on each place; above 1 the words speak for it.",
        query="query", supports="support", low=0.0, high=2.0,
    ),
)  # fmt: skip
