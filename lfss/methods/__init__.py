"""The methods by name. A new method is a folder of its own and one line here."""

from ..errors import UnknownName
from .batches import collate, map_tensors
from .contract import (
    THUMBNAIL_SIDE,
    Episode,
    EpisodeClass,
    Method,
    Needs,
    Pictures,
    Role,
    StageInfo,
    Step,
)
from .lfss import Lfss
from .paia import Paia
from .tlg import Tlg

METHODS: dict[str, type[Method]] = {
    "lfss": Lfss,
    "tlg": Tlg,
    "paia": Paia,
}


def find_method(name: str) -> type[Method]:
    """The method of that name.

    Raises:
        UnknownName: there is none; lists the known ones.
    """
    if name not in METHODS:
        raise UnknownName("method", name, METHODS)
    return METHODS[name]


__all__ = [
    "METHODS",
    "THUMBNAIL_SIDE",
    "Episode",
    "EpisodeClass",
    "Method",
    "Needs",
    "Pictures",
    "Role",
    "StageInfo",
    "Step",
    "collate",
    "find_method",
    "map_tensors",
]
