"""How LFSS describes its results for people, in the paper's order."""

from __future__ import annotations

from ..contract import StageInfo

STAGES: tuple[StageInfo, ...] = (
    StageInfo(
        "text_evidence", "Text evidence", "map", "initial_mask",
        "How strongly each place looks like the typed word, judged by the text alone.",
        query="query_text", supports="support_text",
    ),
    StageInfo(
        "initial_mask", "Initial mask", "mask", "initial_mask",
        "The first guess: where the word (or your marks) beats the words that compete with it.",
        query="query", supports="support", role="first_mask",
    ),
    StageInfo(
        "refined_mask", "Refined mask", "mask", "refined_mask",
        "The guess after comparing each place with the object and with the picture's own background.",
        query="query", supports="support", role="refined_mask",
    ),
    StageInfo(
        "seeds", "Seeds", "points", "prototypes",
        "Points of DPS, spread inside the supports' masks, far from the border and from each other.",
        supports="seeds",
    ),
    StageInfo(
        "shifted_seeds", "Shifted seeds", "points", "prototypes",
        "The same points after moving to the neighbour that looks most like the query's object.",
        supports="shifted",
    ),
    StageInfo(
        "superpixels", "Superpixels", "regions", "prototypes",
        "Which seed each part of the support's object belongs to; each colour becomes one prototype.",
        supports="superpixels", low=-1.0, high=4.0,
    ),
    StageInfo(
        "association", "Association map", "map", "prototypes",
        "How much each place of the query resembles the supports' parts; bright is alike.",
        query="association", low=None, high=None,  # cosines of one picture lie close together
    ),
    StageInfo(
        "rcm", "RCM", "map", "correlation",
        "Correlation with the supports' object inside the refined first guess only; dark outside it.",
        query="rcm", low=None, high=None,
    ),
    StageInfo(
        "fcm", "FCM", "map", "correlation",
        "Correlation with the supports' object over the whole query; bright outside the mask was missed.",
        query="fcm", low=None, high=None,
    ),
)  # fmt: skip
