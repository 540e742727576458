"""What is kept of a prediction: small enough for 500 of them, enough to draw everything again."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lfss.atomic import write_atomic
from lfss.doubt import doubt
from lfss.drafts import Draft
from lfss.labels import Label
from lfss.packing import unpack_mask, unpack_scores
from lfss.scoremap import ScoreMap, keep_scores
from lfss.stages import Prediction, Stage

_FACTS = ("key", "title", "kind", "how_to_read", "low", "high", "role")


@dataclass(frozen=True, eq=False)
class Result:
    """A prediction at the size of its score.

    Attributes:
        prediction: mask and score at most 1,024 pixels long; maps in half precision.
        kept: what the model said, for other thresholds.
        size: (H, W) of the picture.
        present: whether the model says that the object is in the picture.
        supports: digests of the support pictures, in order.
    """

    prediction: Prediction
    kept: ScoreMap
    size: tuple[int, int]
    present: bool
    supports: tuple[str, ...] = ()

    def mask(self, threshold: float, size: tuple[int, int] | None = None) -> npt.NDArray[np.bool_]:
        """The mask at a threshold, (H, W) bool at ``size``, the picture's own by default."""
        return self.kept.cut(threshold, size=size, present=self.present).mask


def compact(prediction: Prediction, *, present: bool, supports: Sequence[str] = ()) -> Result:
    """Shrink a prediction; ``present`` as the model decided it, ``supports`` their digests."""
    kept = keep_scores(
        prediction.mask,
        prediction.score,
        threshold=prediction.threshold,
        score=None,
        doubt=doubt(prediction),
    )
    return Result(_shrunk(prediction, kept), kept, prediction.mask.shape, present, tuple(supports))


def of_draft(draft: Draft, kept: ScoreMap) -> Result:
    """What the model said of a draft of an earlier session; its stages are gone."""
    bare = Prediction(
        mask=np.zeros((1, 1), bool),
        score=np.zeros((1, 1), np.float32),
        presence=draft.presence or 0.0,
        stages=(),
        label=Label(draft.label),
        preset=draft.origin.model,
        threshold=kept.threshold,
        seconds=0.0,
        method=draft.origin.method,
        lost=draft.lost,
    )
    present = bool(unpack_mask(kept.mask).any())
    return Result(_shrunk(bare, kept), kept, draft.size, present, draft.origin.supports)


def _shrunk(prediction: Prediction, kept: ScoreMap) -> Prediction:
    """The prediction with score and mask at the size of the map that is kept."""
    score = unpack_scores(kept.scores)
    mask = kept.cut(kept.threshold, size=score.shape).mask
    small = {"score": score, "prediction": mask}
    stages = tuple(replace(s, query=small[s.key]) if s.key in small else s for s in prediction.stages)
    return replace(prediction, mask=mask, score=score, stages=stages)


def save(result: Result, path: Path) -> None:
    """Write one npz file, atomically: arrays named ``stage.query``, ``stage.support.0``; facts as JSON."""
    p, kept = result.prediction, result.kept
    arrays: dict[str, npt.NDArray] = {
        f"kept.{name}": np.frombuffer(getattr(kept, name), np.uint8) for name in ("mask", "scores")
    }
    for stage in p.stages:
        given = [(f"support.{i}", s) for i, s in enumerate(stage.supports)]
        if stage.query is not None and stage.key not in ("score", "prediction"):
            given.append(("query", stage.query))
        for name, values in given:
            arrays[f"{stage.key}.{name}"] = _stored(stage, np.asarray(values))
    facts = {
        "stages": [{k: getattr(s, k) for k in _FACTS} | {"supports": len(s.supports)} for s in p.stages],
        "label": [p.label.text, p.label.synonyms, p.label.distractors],
        "preset": p.preset,
        "method": p.method,
        "lost": dict(p.lost),
        "presence": p.presence,
        "present": result.present,
        "threshold": p.threshold,
        "doubt": kept.doubt,
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
    packed = {name: arrays.pop(f"kept.{name}").tobytes() for name in ("mask", "scores")}
    kept = ScoreMap(**packed, threshold=facts["threshold"], score=None, doubt=facts["doubt"])
    stages = []
    for about in facts["stages"]:
        supports = tuple(_drawn(arrays[f"{about['key']}.support.{i}"]) for i in range(about.pop("supports")))
        query = arrays.get(f"{about['key']}.query")
        stages.append(Stage(supports=supports, query=None if query is None else _drawn(query), **about))
    text, synonyms, distractors = facts["label"]
    bare = Prediction(
        mask=np.zeros((1, 1), bool),
        score=np.zeros((1, 1), np.float32),
        presence=facts["presence"],
        stages=tuple(stages),
        label=Label(text, tuple(synonyms), tuple(distractors)),
        preset=facts["preset"],
        threshold=facts["threshold"],
        seconds=facts["seconds"],
        method=facts["method"],
        lost=facts["lost"],
    )
    height, width = facts["size"]
    supports_used = tuple(facts["supports_used"])
    return Result(_shrunk(bare, kept), kept, (height, width), facts["present"], supports_used)


def _stored(stage: Stage, values: npt.NDArray) -> npt.NDArray:
    if stage.kind == "points":  # pixels of a large picture need more than half precision
        return values.astype(np.float32)
    return values.astype(np.float16) if values.dtype.kind == "f" else values


def _drawn(values: npt.NDArray) -> npt.NDArray:
    return values.astype(np.float32) if values.dtype == np.float16 else values
