"""The masks that one episode is scored by: the method's own, and those that bound its claim.

Beside the final mask stand what the label alone gives (``initial``), what refinement makes of it
(``refined``), what plain prototypes give, as PANet computes them, from the supports' true masks and from
their pseudo masks, and a mask of everything. A method that does not beat these has shown nothing.
Trained decoders are compared with the training-free read-out on the very same maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, get_args

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lfss.edges import to_pixels
from lfss.images import Image
from lfss.methods import Episode, Lfss
from lfss.methods.lfss import side_by_side
from lfss.predictor import Predictor, Prepared, Support
from lfss.similarity import cosine_map, masked_average

from ..data.weak import known_box, known_mask, known_scribbles

Mask = npt.NDArray[np.bool_]
Kind = Literal["label", "box", "scribble", "mask"]
KINDS: tuple[Kind, ...] = get_args(Kind)

READOUTS = {
    "initial": "initial mask of the query",
    "refined": "refined mask of the query",
    "prototype, true mask": "plain prototypes of the supports' true masks",
    "prototype, pseudo mask": "plain prototypes of the supports' pseudo masks",
    "all foreground": "every pixel",
    "final": "the method's mask, enlarged",
    "final, edges": "the method's mask, moved to the picture's edges",
}


class Marked(NamedTuple):
    """A picture with its truth: ``mask`` and ``ignore`` are (H, W) bool."""

    image: Image
    mask: Mask
    ignore: Mask


class Outcome(NamedTuple):
    """One episode's masks by read-out, (H, W) bool each, and its presence score in [0, 1]."""

    masks: dict[str, Mask]
    presence: float


def make_support(marked: Marked, kind: Kind, *, seed: int | str) -> Support:
    """What a person would have given for a support.

    Args:
        marked: the picture with its true mask.
        kind: how it is marked (rules in ``train.data.weak``); ``label`` marks nothing.
        seed: for scribbles; the same for the same picture, whatever episode it is in.
    """
    image, mask, ignore = marked
    known = {
        "label": lambda: None,
        "box": lambda: known_box(mask, ignore),
        "scribble": lambda: known_scribbles(mask, ignore, seed=seed),
        "mask": lambda: known_mask(mask, ignore),
    }[kind]()
    if known is not None and not (known == 1).any() and not ((known == 0).any() and (known == -1).any()):
        known = None  # a box around the whole picture says nothing, nor does a mask of a few lost pixels
    return Support(image, known)


@torch.inference_mode()
def read_outs(
    predictor: Predictor, prepared: Prepared, query: Image, supports: Sequence[Marked],
    decoders: Mapping[str, Lfss] | None = None,
) -> Outcome:  # fmt: skip
    """Segment one query in all the ways that are compared.

    Args:
        predictor, prepared: the model and the episode's class; its method has no decoder, and keeps the
            portable decoder's maps if ``decoders`` are given.
        query: a picture that shows the class.
        supports: the pictures behind ``prepared``, with their true masks.
        decoders: the method with trained decoders, by name; each gives two more masks.
    """
    episode = predictor.episode(prepared, query, assume_present=True)
    tensors = {step.key: step.tensors for step in predictor.method.steps(episode)}
    size = query.size
    pseudo = tensors["refined_mask"]["support"].float()
    cells = (pseudo.shape[-2], pseudo.shape[-1])
    true = [_shares(m.mask & ~m.ignore, ~m.mask & ~m.ignore, cells) for m in supports]
    inside, outside = (torch.from_numpy(np.stack(side))[None].to(pseudo.device) for side in zip(*true))
    features = episode.query_features
    masks = {
        "initial": enlarge(tensors["initial_mask"]["query"][0].float(), size) >= 0.5,
        "refined": enlarge(tensors["refined_mask"]["query"][0].float(), size) >= 0.5,
        "prototype, true mask": nearest_prototype(prepared, features, inside, outside, size),
        "prototype, pseudo mask": nearest_prototype(prepared, features, pseudo, 1 - pseudo, size),
        "all foreground": np.ones(size, np.bool_),
    }
    logits = {"final": tensors["prediction"]["logits"]}
    for name, method in (decoders or {}).items():
        same = replace(method.config, decoder="none", keep_maps=True) == predictor.method.config
        logits[name] = decode(method, episode, tensors["prediction"] if same else None)
    for name, cells_of in logits.items():
        values = cells_of[0].float().cpu().numpy()
        masks[name] = to_pixels(values, query.pixels, snap=False) >= 0.5
        masks[f"{name}, edges"] = to_pixels(values, query.pixels, snap=True) >= 0.5
    return Outcome(masks, float(tensors["initial_mask"]["presence"][0]))


def decode(method: Lfss, episode: Episode, prediction: Mapping[str, Tensor] | None) -> Tensor:
    """Logits of a trained decoder.

    Args:
        method: with the decoder.
        episode: what it reads.
        prediction: the last step of the method without a decoder, if it makes the very maps that a portable
            decoder reads. The paper's decoder takes the whole method again: it may replace support masks.
    """
    if method.portable is not None and prediction is not None:
        return method.decode_maps(prediction, episode) if method.decodes(episode) else prediction["logits"]
    episode = replace(episode, support_side=None)
    if method.config.circle:
        episode, _ = method.circle(episode)
    return method(episode)


@torch.inference_mode()
def presence_without(predictor: Predictor, prepared: Prepared, query: Image) -> float:
    """The presence score of a picture that does not show the class."""
    step = next(iter(predictor.steps(prepared, query, assume_present=False)))
    return float(step.tensors["presence"][0])


@torch.inference_mode()
def nearest_prototype(
    prepared: Prepared, query: Sequence[Tensor], inside: Tensor, outside: Tensor, size: tuple[int, int]
) -> Mask:
    """Each pixel to the nearer of two prototypes by cosine, as PANet does.

    Args:
        prepared: holds the support features.
        query: the query's features, one (1, C_i, h_i, w_i) a level.
        inside, outside: (1, K, h, w) weights of object and background cells.
        size: (H, W) of the query in pixels.

    Returns:
        (H, W) bool. Prototypes are means over the supports; a side that no support has is at cosine 0.
    """
    support = side_by_side([level.flatten(0, 1) for level in prepared.features])
    cells = side_by_side(query)
    near, far = (
        cosine_map(cells, masked_average(support, weight.flatten(0, 1)).mean(0, keepdim=True))
        for weight in (inside, outside)
    )
    return enlarge((near - far)[0], size) > 0


def enlarge(cells: Tensor, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(h, w) cells to (H, W) pixels, bilinear."""
    values = cells.float().cpu().numpy()
    return np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _shares(inside: Mask, outside: Mask, cells: tuple[int, int]) -> list[npt.NDArray]:
    return [
        cv2.resize(side.astype(np.float32), cells[::-1], interpolation=cv2.INTER_AREA)
        for side in (inside, outside)
    ]
