"""From an episode's specification to pictures with their truth, supports as a person would mark them, and an
encoded Episode: the one way there, whoever trains or measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, TypeVar, get_args

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from lfss.errors import NoForeground, SupportError
from lfss.images import Image
from lfss.labels import parse_label
from lfss.methods import Episode
from lfss.predictor import Predictor
from lfss.prepared import Prepared
from lfss.support import Support

from .datasets import DataSet
from .episodes import EpisodeList, EpisodeSpec
from .weak import known_box, known_mask, known_point, known_scribbles

Mask = npt.NDArray[np.bool_]
Kind = Literal["label", "point", "object-scribble", "scribble", "box", "mask"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Made = TypeVar("Made")


class AnnotatedPicture(NamedTuple):
    """A picture with its truth for one class: ``mask`` and ``ignore`` are (H, W) bool."""

    image: Image
    mask: Mask
    ignore: Mask


@dataclass(frozen=True, eq=False)
class PreparedEpisode:
    """An episode whose supports are encoded.

    Attributes:
        prepared: the class.
        supports, query: the pictures with their truth.
    """

    prepared: Prepared
    supports: Sequence[AnnotatedPicture]
    query: AnnotatedPicture

    def encode(self, predictor: Predictor) -> Episode:
        """The Episode with B = 1 and one class, whose query is known to show it."""
        return predictor.episode(self.prepared, self.query.image, assume_present=True)


@lru_cache(maxsize=128)  # about a megabyte each; every picture serves in many episodes
def annotated(data: DataSet, sample_id: str, class_id: int) -> AnnotatedPicture:
    """A picture of a data set with its truth for one class."""
    sample = data.sample(sample_id)
    image = Image(sample.read_image(), sample.image.name, sample.image)
    return AnnotatedPicture(image, *sample.read_mask(class_id))


def make_support(picture: AnnotatedPicture, kind: Kind, *, seed: int | str) -> Support:
    """What a person would have given for a support.

    Args:
        picture: with its true mask.
        kind: how it is marked (rules in ``train.data.weak``); ``label`` marks nothing, ``point`` and
            ``object-scribble`` mark the object alone.
        seed: for scribbles; the same for the same picture, whatever episode it is in.
    """
    image, mask, ignore = picture
    known = {
        "label": lambda: None,
        "box": lambda: known_box(mask, ignore),
        "point": lambda: known_point(mask, ignore),
        "object-scribble": lambda: known_scribbles(mask, ignore, seed=seed, beside=False),
        "scribble": lambda: known_scribbles(mask, ignore, seed=seed),
        "mask": lambda: known_mask(mask, ignore),
    }[kind]()
    if known is not None and not (known == 1).any() and not ((known == 0).any() and (known == -1).any()):
        known = None  # a box around the whole picture says nothing, nor does a mask of a few lost pixels
    return Support(image, known)


def drafts_of(episodes: EpisodeList, make: Callable[[EpisodeSpec], Made]) -> list[Made]:
    """What is made of each episode, with a bar; without those whose supports do not show the object."""
    made: list[Made] = []
    for spec in tqdm(episodes.episodes, unit="episode"):
        try:
            made.append(make(spec))
        except NoForeground:
            continue
    return made


def prepare_episode(
    predictor: Predictor, data: DataSet, spec: EpisodeSpec, kind: Kind, *, seed: int | str, word: bool = True
) -> PreparedEpisode:
    """Read the pictures of an episode, mark its supports and encode them.

    Args:
        predictor: the model.
        data: the pictures of the episode.
        spec: which pictures, and which class.
        kind: how the supports are marked. Where that says nothing, as a box around the whole picture, and the
            word is unknown, they have their masks.
        seed: of scribbles.
        word: off treats the label as a word that the model does not know.

    Raises:
        SupportError: the supports are not what the method needs.
    """
    pictures = [annotated(data, sample_id, spec.class_id) for sample_id in spec.supports]

    def prepared_with(kind: Kind) -> Prepared:
        marked = zip(pictures, spec.supports)
        supports = [make_support(picture, kind, seed=f"{seed}|{sample_id}") for picture, sample_id in marked]
        return predictor.prepare(parse_label(spec.class_name), supports)

    try:
        prepared = prepared_with(kind)
    except SupportError:
        if kind == "label":
            raise
        prepared = prepared_with("mask")
    if not word and kind != "label":
        prepared = prepared.without_text()
    return PreparedEpisode(prepared, pictures, annotated(data, spec.query, spec.class_id))
