"""The functions that run the model, all that a lent GPU sees (see ``demo.gpu``)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from .gpu import ON_ZEROGPU, with_gpu

if TYPE_CHECKING:  # torch takes seconds to import, and the page need not wait for it
    from lfss.asking import Marks
    from lfss.encoding import Encoded
    from lfss.images import Image
    from lfss.labels import Label
    from lfss.predictor import Predictor
    from lfss.prepared import Prepared
    from lfss.settings import Options
    from lfss.stages import Prediction, Stage
    from lfss.support import Support

# Found by number, so that the weights are not pickled with every call.
_predictors: WeakValueDictionary[int, Predictor] = WeakValueDictionary()
_numbers = itertools.count()


def register(predictor: Predictor) -> int:
    """A number for the functions below; it holds as long as the predictor is kept."""
    number = next(_numbers)
    _predictors[number] = predictor
    return number


def storage_device(number: int) -> str:
    """Where classes are kept between calls."""
    return "cpu" if ON_ZEROGPU else _predictors[number].device


@with_gpu
def prepare(number: int, label: Label, supports: Sequence[Support]) -> Prepared:
    """See ``Predictor.prepare``."""
    return _moved(_predictors[number].prepare(label, supports), "cpu")


@with_gpu
def look(number: int, prepared: Prepared) -> tuple[tuple[npt.NDArray[np.bool_], ...], tuple[float, ...]]:
    """See ``lfss.agreement``: what each support takes to be its object, and how well they agree.

    Masks are (h, w) cells, numbers in [0, 1].
    """
    from lfss.agreement import agreement, readings

    predictor = _predictors[number]
    prepared = _moved(prepared, predictor.device)
    return readings(predictor, prepared), agreement(predictor, prepared)


@with_gpu
def ask(
    number: int, prepared: Prepared | None, label: Label, query: tuple[Image, Encoded | None], marks: Marks
) -> tuple[npt.NDArray[np.bool_], Encoded]:
    """See ``lfss.asking.ask``; returns the picture's encoding too, made here unless it is given."""
    from lfss.asking import ask
    from lfss.methods import map_tensors

    predictor, (image, encoded) = _predictors[number], query
    if encoded is None:
        encoded = predictor.encode(image)
    if ON_ZEROGPU:
        encoded = map_tensors(encoded, lambda tensor: tensor.to(predictor.device))
    prepared = None if prepared is None else _moved(prepared, predictor.device)
    mask = ask(predictor, prepared, label, (image, encoded), marks)
    return mask, map_tensors(encoded, lambda tensor: tensor.cpu()) if ON_ZEROGPU else encoded


@with_gpu
def encode(number: int, image: Image) -> Encoded:
    """See ``Predictor.encode``; on the CPU, where it is kept."""
    made = _predictors[number].encode(image)
    return made._replace(dense=made.dense.cpu(), levels=tuple(level.cpu() for level in made.levels))


@with_gpu
def steps(
    number: int, prepared: Sequence[Prepared], query: Image, options: Options
) -> Iterator[tuple[int, Stage | Prediction]]:
    """See ``Predictor.iterate_classes``."""
    predictor = _predictors[number]
    yield from predictor.iterate_classes([_moved(p, predictor.device) for p in prepared], query, **options)


def _moved(prepared: Prepared, device: str) -> Prepared:
    """The class on a device, where a GPU is only lent; as it is elsewhere."""
    return prepared.to(device) if ON_ZEROGPU else prepared
