"""How PAIA describes its results for people, in the paper's order."""

from __future__ import annotations

from ..contract import StageInfo

SHOWN_ITERATIONS = 3  # iterations whose movement is shown; more are made if the configuration says so

STAGES: tuple[StageInfo, ...] = (
    StageInfo(
        "original_map", "Original prototypes", "map", "prototypes",
        "How likely each place is the object, judged by the marked supports alone; on the supports, what was "
        "averaged.",
        query="map", supports="weights",
    ),
    StageInfo(
        "original_mask", "Original mask", "mask", "prototypes",
        "Where the object is the nearest of all prototypes before any picture without marks is read.",
        query="mask", supports="masks", role="first_mask",
    ),
    *(
        StageInfo(
            f"movement_{t}", f"Movement {t}", "number", f"fusion_{t}",
            "How far this iteration moved the prototype: 0 is not at all, 1 is a right angle.",
            query="movement",
        )
        for t in range(1, SHOWN_ITERATIONS + 1)
    ),
    StageInfo(
        "taken", "What each picture gave", "map", "fused",
        "On a support with marks: the marked object. On one without: the places that joined the prototype, "
        "bright where the model is sure.",
        supports="taken",
    ),
    StageInfo(
        "filtered", "What the threshold filtered", "map", "fused",
        "Places of pictures without marks that looked like the object and were left out, because they are "
        "farther from the prototype than the threshold.",
        supports="filtered",
    ),
    StageInfo(
        "fused_mask", "Mask by fused prototypes", "mask", "fused",
        "Where the object is the nearest of all prototypes after the fusion.",
        query="mask", supports="masks", role="refined_mask",
    ),
    StageInfo(
        "runner_up", "Second class", "regions", "prediction",
        "Where the object was found, the class that came second: 0 is the background, then the labels of the "
        "run in their order.",
        query="runner_up", low=0.0, high=8.0,
    ),
)  # fmt: skip
