"""The masks that one episode is scored by: the method's own, and those that bound its claim.

Beside the final mask stand what the label alone gives (``initial``), what refinement makes of it
(``refined``), what plain prototypes give, as PANet computes them, from the supports' true masks and from
their pseudo masks, and a mask of everything. A method that does not beat these has shown nothing.
Trained decoders are compared with the fixed rule on the very same maps, other methods on the same pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lfss.edge_network import score_at_pixels
from lfss.errors import NoForeground
from lfss.images import Image
from lfss.methods import Episode, Method, Role, Step
from lfss.methods.lfss import Lfss
from lfss.predictor import Predictor
from lfss.prepared import Prepared
from lfss.similarity import concat_levels, cosine_map, masked_average

from ..data.encode import Mask, PreparedEpisode

MASKS = {
    "initial": "initial mask of the query",
    "refined": "refined mask of the query",
    "prototype, true mask": "plain prototypes of the supports' true masks",
    "prototype, pseudo mask": "plain prototypes of the supports' pseudo masks",
    "all foreground": "every pixel",
    "final": "the method's mask, enlarged",
    "final, edges": "the method's mask at the picture's edges",
}

# Where the preset has a network for edges: the method's mask, moved by the guided filter alone.
FILTER = "final, filter"
# The product's own mask, with its check of presence: empty where the object is judged absent.
SHIPPED = "as it ships"
# The decoder that ships with the preset, beside the fixed rule that is the method's mask here.
DECODER = "decoder"


class Outcome(NamedTuple):
    """One episode's masks by name, (H, W) bool each, and its presence score in [0, 1]."""

    masks: dict[str, Mask]
    presence: float


@torch.inference_mode()
def episode_masks(
    predictor: Predictor,
    given: PreparedEpisode,
    beside: Mapping[str, Method] | None = None,
    *,
    shipped: bool = False,
) -> Outcome:
    """Segment one query in all the ways that are compared.

    Masks that the method does not make, such as refined ones, are left out.

    Args:
        predictor: the model; its method has no decoder, and keeps the portable decoder's maps if one is
            beside it.
        given: an episode whose query shows the class.
        beside: LFSS with trained decoders, or other methods, by name; each gives two more masks.
        shipped: also give the mask with the check of presence; the others are told that the object is there.
    """
    query, size = given.query.image, given.query.image.size
    episode = given.encode(predictor)
    made = {step.key: step for step in predictor.method.steps(episode)}
    masks: dict[str, Mask] = {}
    roles: dict[str, Role] = {"initial": "first_mask", "refined": "refined_mask"}
    for name, role in roles.items():
        stage = predictor.method.stage_of(role)
        if stage is not None and stage.query in made[stage.step].tensors:
            cells = made[stage.step].query(stage.query)[0, 0].float()  # (h, w)
            masks[name] = enlarge(cells, size) >= 0.5
    masks |= prototype_masks(predictor, given, episode, made)
    masks["all foreground"] = np.ones(size, np.bool_)
    last = made["prediction"]
    logits = {"final": last.query("logits")[:, 0]}  # (1, h, w)
    for name, method in (beside or {}).items():
        read = last if _same_maps(method, predictor.method) else None
        logits[name] = decode(method, episode, read, everywhere=name != DECODER)
    for name, cells_of in logits.items():
        values = cells_of[0].float().cpu().numpy()
        masks[name] = score_at_pixels(values, query.pixels, snap=False) >= 0.5
        if predictor.edges is not None:
            masks[f"{name}, filter"] = score_at_pixels(values, query.pixels) >= 0.5
        masks[f"{name}, edges"] = score_at_pixels(values, query.pixels, predictor.edges) >= 0.5
    if shipped:
        method = (beside or {}).get(DECODER, predictor.method)
        product = Predictor(predictor.preset, predictor.encoders, method, predictor.device, predictor.edges)
        masks[SHIPPED] = product.predict(given.prepared, query).mask
    return Outcome(masks, float(_presence(made.values())))


def prototype_masks(
    predictor: Predictor, given: PreparedEpisode, episode: Episode, made: Mapping[str, Step]
) -> dict[str, Mask]:
    """(H, W) masks of plain prototypes: of the true masks of the supports, and of their pseudo masks.

    Args:
        predictor: whose method made the steps.
        given: the episode's pictures.
        episode: as the method reads it.
        made: its steps by key.
    """
    one, size = given.prepared, given.query.image.size
    true = [_shares(p.mask & ~p.ignore, ~p.mask & ~p.ignore, one.cells) for p in given.supports]
    device = one.encoded.known.device
    inside, outside = (torch.from_numpy(np.stack(shares))[None].to(device) for shares in zip(*true))
    features = episode.query_features
    masks = {"prototype, true mask": nearest_prototype(one, features, inside, outside, size)}
    stage = predictor.method.stage_of("refined_mask") or predictor.method.stage_of("first_mask")
    if stage is not None and stage.supports is not None:
        pseudo = made[stage.step].supports(stage.supports)[0].float()  # (1, K, h, w)
        masks["prototype, pseudo mask"] = nearest_prototype(one, features, pseudo, 1 - pseudo, size)
    return masks


def _same_maps(method: Method, plain: Method) -> bool:
    """Whether LFSS with a decoder may read the maps that LFSS without one has made."""
    if not isinstance(method, Lfss) or not isinstance(plain, Lfss):
        return False
    return replace(method.config, decoder="none", keep_maps=True) == plain.config


def decode(method: Method, episode: Episode, last: Step | None, *, everywhere: bool) -> Tensor:
    """Logits (1, h, w) of a trained decoder, or of another method, for an episode with one class.

    Args:
        method: what segments.
        episode: what it reads.
        last: the last step of the method without a decoder, if it makes the very maps that a portable decoder
            reads. The paper's decoder takes the whole method again: it may replace support masks.
        everywhere: a portable decoder that reads these maps decides for every word and kind of marks, so that
            it is seen where the product would leave it out; otherwise where the product lets it.
    """
    (one,) = episode.classes
    if isinstance(method, Lfss) and method.portable is not None and last is not None:
        maps = {name: last.query(name)[:, 0] for name in ("maps", "training_free")}
        decides = method.decides(one)  # (1,) bool
        decides = torch.ones_like(decides) if everywhere else decides
        return method.decode(last.query("logits")[:, 0], maps, decides, episode.query_thumbnail)
    one = replace(one, prepared=None)
    if isinstance(method, Lfss):
        if method.config.circle:
            one, _ = method.circle(one)
    else:
        one = method.prepare(one)
    try:
        return method(replace(episode, classes=(one,)))[:, 0]
    except NoForeground:  # it sees no object in the supports, so it finds none in the query
        return torch.full_like(episode.query_features[0][:, 0], -torch.inf)


@torch.inference_mode()
def presence_without(predictor: Predictor, prepared: Prepared, query: Image) -> float:
    """The presence score of a picture that does not show the class."""
    return _presence(predictor.steps(prepared, query, assume_present=False))


def _presence(steps: Iterable[Step]) -> float:
    """From the first step that has it."""
    return float(next(s for s in steps if "presence" in s.tensors).query("presence")[0, 0])


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
        (H, W) bool. Prototypes are means over the supports; the cosine with one of no cells is 0.
    """
    support = concat_levels([level.flatten(0, 1) for level in prepared.encoded.supports.features])
    cells = concat_levels(query)
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
        cv2.resize(region.astype(np.float32), cells[::-1], interpolation=cv2.INTER_AREA)
        for region in (inside, outside)
    ]
