"""Scores of PAIA and of the parts it is made of, over episodes of several classes with auxiliary pictures.

All variants are computed from one encoding of each picture, and on the same episodes:

- ``prototypes``: the plain prototypes of the supports, which is PANet without its training.
- ``soft pooling``: T iterations with soft-masked pooling alone, the paper's "PAIA-Smp".
- ``one iteration``: soft pooling and the threshold, once: "PAIA-Init".
- ``paia``: all parts.
- ``..., background too``: auxiliary pictures teach the background prototype as well, which Eq. 5 does not.
- ``unmarked as supports``: the auxiliary pictures' first masks, cut hard and used like a person's masks,
  which is the plain alternative that soft pooling must beat.

With a trained threshold, all that have one stand there twice, the second time as ``..., trained``.

Every episode is scored by two protocols of ``train.measure.metrics``: ``panet`` counts a class only in
pictures that show it, so false alarms on other pictures of an episode are free; ``native`` counts all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from lfss.images import Image
from lfss.labels import parse_label
from lfss.methods import Episode
from lfss.methods.paia import Paia, PaiaConfig
from lfss.methods.paia.method import PreparedPictures
from lfss.predictor import Predictor
from lfss.similarity import resize_map
from lfss.support import Support

from ..data.datasets import DataSet
from ..data.encode import Kind, annotated, make_support
from ..data.ways import Way, WaysEpisode
from .metrics import PROTOCOLS, ClassIoU, Scores, sums_of

COUNTED = ("panet", "native")

Table = dict[int, dict[str, dict[str, Scores]]]
"""Scores by number of auxiliary pictures, then protocol, then variant."""


def variants_of(paia: PaiaConfig) -> dict[str, PaiaConfig]:
    """The rows that are compared, by name; see the module."""
    return {
        "prototypes": replace(paia, iterations=0),
        "unmarked as supports": replace(paia, threshold=False, iterations=1, hard_masks=True),
        "soft pooling": replace(paia, threshold=False),
        "one iteration": replace(paia, iterations=1),
        "paia": paia,
        "paia, background too": replace(paia, teach_background=True),
        "soft pooling, background too": replace(paia, threshold=False, teach_background=True),
    }


@dataclass(frozen=True)
class WaysSet:
    """Where the pictures of episodes are, and how supports are marked.

    Attributes:
        data: of queries and supports.
        others: of the auxiliary pictures; may be the same.
        kind: how supports are marked.
    """

    data: DataSet
    others: DataSet
    kind: Kind


def score_ways(
    predictor: Predictor, methods: Mapping[str, Paia], pictures: WaysSet, episodes: Sequence[WaysEpisode], *,
    seed: int, auxiliary: Sequence[int] = (), progress: bool = False,
) -> Table:  # fmt: skip
    """Scores of every variant over one list of episodes.

    Args:
        predictor: with the method ``paia``; its encoders may remember what they made.
        methods: the variants by name.
        pictures: see ``WaysSet``.
        episodes: of ``train.data.ways``.
        seed: of scribbles.
        auxiliary: how many of the auxiliary pictures of each class are used, each number in turn; all of them
            if none is given.
        progress: show a bar with time left.
    """
    names = sorted({way.class_name for one in episodes for way in one.ways})
    numbers = tuple(auxiliary) or (len(episodes[0].ways[0].auxiliary),)
    counters = {u: {p: {m: ClassIoU(names, p) for m in methods} for p in COUNTED} for u in numbers}
    for one in tqdm(episodes, unit="episode", disable=not progress):
        whole, query = _episode(predictor, pictures, one, seed)
        truths = [annotated(pictures.data, one.query, way.class_id) for way in one.ways]
        for u in numbers:
            given = _with_first(whole, u)
            masks = {name: masks_of(method, given, query.size) for name, method in methods.items()}
            for place, (way, truth) in enumerate(zip(one.ways, truths)):
                found = {name: both[place] for name, both in masks.items()}
                for protocol, rows in counters[u].items():
                    sums = sums_of(found, truth.mask, truth.ignore, protocol=PROTOCOLS[protocol])
                    for name, values in sums.items():
                        rows[name].add(way.class_name, values)
    return {
        u: {p: {m: counter.compute() for m, counter in rows.items()} for p, rows in table.items()}
        for u, table in counters.items()
    }


@torch.inference_mode()
def masks_of(method: Paia, episode: Episode, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """(N, H, W) masks at the picture's size: each pixel is of the class that leads there, if one does."""
    margin: Tensor = resize_map(method(episode)[0], size)  # (N, H, W)
    numbers = torch.arange(margin.shape[0], device=margin.device).view(-1, 1, 1)
    leads = margin.argmax(0, keepdim=True) == numbers
    return (leads & (margin > 0)).cpu().numpy()


def _episode(predictor: Predictor, pictures: WaysSet, one: WaysEpisode, seed: int) -> tuple[Episode, Image]:
    classes = [
        (parse_label(way.class_name), [_support(pictures, i, way, one.ways, seed) for i in way.supports])
        for way in one.ways
    ]
    auxiliary = [[_image(pictures.others, i) for i in way.auxiliary] for way in one.ways]
    prepared = predictor.prepare_classes(classes, auxiliary)
    query = _image(pictures.data, one.query)
    return predictor.episode(prepared, query), query


def _with_first(episode: Episode, auxiliary: int) -> Episode:
    """The episode with the first auxiliary pictures of each class only."""
    classes = []
    for one in episode.classes:
        prepared: PreparedPictures = one.prepared
        classes.append(replace(one, prepared=replace(prepared, auxiliary=prepared.auxiliary[:, :auxiliary])))
    return replace(episode, classes=tuple(classes))


def _support(pictures: WaysSet, sample_id: str, way: Way, ways: Sequence[Way], seed: int) -> Support:
    """What a person would have given; nothing is said of the pixels of the episode's other classes."""
    picture = annotated(pictures.data, sample_id, way.class_id)
    support = make_support(picture, pictures.kind, seed=f"{seed}|{sample_id}")
    shown = pictures.data.sample(sample_id).areas
    others = [w.class_id for w in ways if w is not way and w.class_id in shown]
    if support.known is None or not others:
        return support
    masks = [annotated(pictures.data, sample_id, c).mask for c in others]
    hidden = np.logical_or.reduce(masks) & (support.known == 0)
    return Support(picture.image, np.where(hidden, np.int8(-1), support.known))


def _image(data: DataSet, sample_id: str) -> Image:
    sample = data.sample(sample_id)
    return Image(sample.read_image(), sample.image.name, sample.image)
