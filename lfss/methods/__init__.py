"""The methods by name."""

from .contract import Episode, Method, Step
from .lfss import Lfss, LfssConfig

METHODS: dict[str, type[Method]] = {"lfss": Lfss}

__all__ = ["METHODS", "Episode", "Lfss", "LfssConfig", "Method", "Step"]
