"""The methods by name."""

from .contract import Episode, Method, Step, SupportSide
from .lfss import Lfss, LfssConfig
from .portable import PICTURE

METHODS: dict[str, type[Method]] = {"lfss": Lfss}

__all__ = ["METHODS", "PICTURE", "Episode", "Lfss", "LfssConfig", "Method", "Step", "SupportSide"]
