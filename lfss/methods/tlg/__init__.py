"""TLG: two heterogeneous branches, correlation, transport and text."""

from .config import TlgConfig
from .method import Branches, PseudoMasks, Tlg
from .weights import load_tlg, save_tlg

__all__ = ["Branches", "PseudoMasks", "Tlg", "TlgConfig", "load_tlg", "save_tlg"]
