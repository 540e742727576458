"""From the method's steps, tensors, to the stages that people look at, with a sentence for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from .methods import Step
from .stages import Kind, Stage

# key: title, kind, range of the colours, how to read it
STAGES: dict[str, tuple[str, Kind, tuple[float, float], str]] = {
    "text_evidence": (
        "Text evidence", "map", (0, 1),
        "How strongly each place looks like the typed word, judged by the text alone.",
    ),
    "initial_mask": (
        "Initial mask", "mask", (0, 1),
        "The first guess: where the word (or your marks) beats the words that compete with it.",
    ),
    "presence": (
        "Presence", "number", (0, 1),
        "How sure the model is that the object is in the picture at all; below the limit the mask is empty.",
    ),
    "refined_mask": (
        "Refined mask", "mask", (0, 1),
        "The guess after comparing each place with the object and with the picture's own background.",
    ),
    "seeds": (
        "Seeds", "points", (0, 1),
        "Points spread inside the supports' masks, far from the border and from each other.",
    ),
    "shifted_seeds": (
        "Shifted seeds", "points", (0, 1),
        "The same points after moving to the neighbour that looks most like the query's object.",
    ),
    "superpixels": (
        "Superpixels", "map", (-1, 4),
        "Which seed each part of the support's object belongs to; each colour becomes one prototype.",
    ),
    "association": (
        "Association map", "map", (0, 1),
        "How much each place of the query resembles the supports' parts; bright is alike.",
    ),
    "rcm": (
        "RCM", "map", (0, 1),
        "Likeness to the supports' object inside the refined mask only; dark outside it.",
    ),
    "fcm": (
        "FCM", "map", (0, 1),
        "Likeness to the supports' object over the whole query; bright places outside the mask were missed.",
    ),
    "score": (
        "Score", "map", (0, 1),
        "The final score of each pixel; the mask is where it reaches the threshold.",
    ),
    "prediction": ("Prediction", "mask", (0, 1), "The final mask."),
}  # fmt: skip


def make_stage(key: str, *, supports: Sequence[npt.NDArray] = (), query: npt.NDArray | None = None) -> Stage:
    """The stage of that key with its title, range and sentence."""
    title, kind, (low, high), how_to_read = STAGES[key]
    if kind == "map" and key in ("association", "rcm", "fcm"):
        # Cosines of one picture lie close together; its own range shows what differs.
        values = query[query != 0] if query is not None and (query != 0).any() else np.zeros(1)
        low, high = float(values.min()), float(values.max())
    return Stage(key, title, kind, tuple(supports), query, how_to_read, low, high)


def stages_of(
    step: Step, *, query_size: tuple[int, int], support_sizes: Sequence[tuple[int, int]]
) -> Iterator[Stage]:
    """What a step shows people.

    Args:
        step: of an episode with B = 1.
        query_size, support_sizes: (H, W) of the pictures, for points in pixels.
    """
    t = step.tensors
    if step.key == "initial_mask":
        yield make_stage("text_evidence", supports=_each(t["support_text"]), query=_array(t["query_text"]))
        yield make_stage("initial_mask", supports=_each(t["support"]), query=_array(t["query"]))
        yield make_stage("presence", query=_array(t["presence"]))
    elif step.key == "refined_mask":
        yield make_stage("refined_mask", supports=_each(t["support"]), query=_array(t["query"]))
    elif step.key == "prototypes":
        cells = (t["superpixels"].shape[-2], t["superpixels"].shape[-1])
        for key, name in (("seeds", "seeds"), ("shifted_seeds", "shifted")):
            points = [
                _to_pixels(p[valid], cells, size)
                for p, valid, size in zip(_each(t[name]), _each(t["valid"]), support_sizes)
            ]
            yield make_stage(key, supports=points)
        yield make_stage("superpixels", supports=[s.astype(np.float32) for s in _each(t["superpixels"])])
        yield make_stage("association", query=_array(t["association"]))
    elif step.key == "correlation":
        yield make_stage("rcm", query=_array(t["rcm"]))
        yield make_stage("fcm", query=_array(t["fcm"]))


def _array(tensor: Tensor) -> npt.NDArray:
    return tensor[0].detach().cpu().numpy()


def _each(tensor: Tensor) -> list[npt.NDArray]:
    return list(_array(tensor))


def _to_pixels(points: npt.NDArray, cells: tuple[int, int], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(P, 2) row, column of cells -> of the middle of those cells in pixels."""
    return ((points + 0.5) * np.asarray(size) / np.asarray(cells)).astype(np.float32)
