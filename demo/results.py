"""What is kept of a prediction: small enough for 500 of them, enough to draw everything again.

The score is kept in 256 steps at 1,024 pixels on the long side, the size up to which it is made (see
``lfss.edges``), so a new threshold needs no model and loses nothing that the eye sees.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lfss.atomic import write_atomic
from lfss.labels import Label
from lfss.stages import Prediction, Stage

SCORE_SIDE = 1024
_FACTS = ("key", "title", "kind", "how_to_read", "low", "high")


@dataclass(frozen=True, eq=False)
class Result:
    """A prediction at the size of its score.

    Attributes:
        prediction: mask and score at most 1,024 pixels long; maps in half precision.
        score: (h, w) uint8, 255 is 1.
        size: (H, W) of the picture.
        present: whether the model says that the object is in the picture.
        supports: digests of the support pictures, in order.
    """

    prediction: Prediction
    score: npt.NDArray[np.uint8]
    size: tuple[int, int]
    present: bool
    supports: tuple[str, ...] = ()

    def mask(self, threshold: float, size: tuple[int, int] | None = None) -> npt.NDArray[np.bool_]:
        """The mask at a threshold, (H, W) bool at ``size``, the picture's own by default."""
        height, width = size or self.size
        if not self.present:
            return np.zeros((height, width), bool)
        score = cv2.resize(self.score, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(score >= max(1, round(threshold * 255)))


def compact(prediction: Prediction, *, present: bool, supports: Sequence[str] = ()) -> Result:
    """Shrink a prediction; ``present`` as the model decided it, ``supports`` their digests."""
    height, width = prediction.score.shape
    shrink = min(1.0, SCORE_SIDE / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    score = np.rint(cv2.resize(prediction.score, size, interpolation=cv2.INTER_AREA) * 255).astype(np.uint8)
    mask = cv2.resize(prediction.mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) >= 128
    small = score.astype(np.float32) / np.float32(255)
    stages = tuple(
        replace(s, query={"score": small, "prediction": mask}[s.key])
        if s.key in ("score", "prediction")
        else s
        for s in prediction.stages
    )
    small_prediction = replace(prediction, mask=mask, score=small, stages=stages)
    return Result(small_prediction, score, (height, width), present, tuple(supports))


def save(result: Result, path: Path) -> None:
    """Write one npz file, atomically: arrays named ``stage.query``, ``stage.support.0``; facts as JSON."""
    p = result.prediction
    arrays: dict[str, npt.NDArray] = {"score.query": result.score}
    for stage in p.stages:
        sides = [(f"support.{i}", s) for i, s in enumerate(stage.supports)]
        if stage.query is not None and stage.key != "score":
            sides.append(("query", stage.query))
        for side, values in sides:
            arrays[f"{stage.key}.{side}"] = _stored(stage, np.asarray(values))
    facts = {
        "stages": [{k: getattr(s, k) for k in _FACTS} | {"supports": len(s.supports)} for s in p.stages],
        "label": [p.label.text, p.label.synonyms, p.label.distractors],
        "preset": p.preset,
        "presence": p.presence,
        "present": result.present,
        "threshold": p.threshold,
        "seconds": p.seconds,
        "size": result.size,
        "supports_used": result.supports,
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, facts=np.array(json.dumps(facts)), **arrays)
    write_atomic(path, buffer.getvalue(), sync=False)


def load(path: Path) -> Result:
    """Read what ``save`` wrote."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    facts = json.loads(str(arrays.pop("facts")))
    score = arrays["score.query"]
    arrays["score.query"] = score.astype(np.float32) / 255
    stages = []
    for about in facts["stages"]:
        supports = tuple(_drawn(arrays[f"{about['key']}.support.{i}"]) for i in range(about.pop("supports")))
        query = arrays.get(f"{about['key']}.query")
        stages.append(Stage(supports=supports, query=None if query is None else _drawn(query), **about))
    text, synonyms, distractors = facts["label"]
    by_key = {s.key: s for s in stages}
    prediction = Prediction(
        mask=np.asarray(by_key["prediction"].query, bool),
        score=arrays["score.query"],
        presence=facts["presence"],
        stages=tuple(stages),
        label=Label(text, tuple(synonyms), tuple(distractors)),
        preset=facts["preset"],
        threshold=facts["threshold"],
        seconds=facts["seconds"],
    )
    height, width = facts["size"]
    return Result(prediction, score, (height, width), facts["present"], tuple(facts["supports_used"]))


def _stored(stage: Stage, values: npt.NDArray) -> npt.NDArray:
    if stage.kind == "points":  # pixels of a large picture need more than half precision
        return values.astype(np.float32)
    return values.astype(np.float16) if values.dtype.kind == "f" else values


def _drawn(values: npt.NDArray) -> npt.NDArray:
    return values.astype(np.float32) if values.dtype == np.float16 else values
