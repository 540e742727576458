"""TLG: two heterogeneous branches, correlation, transport and text."""

from .config import TlgConfig
from .method import Branches, Tlg, two_branch_loss
from .weights import load_tlg, save_tlg

__all__ = ["Branches", "Tlg", "TlgConfig", "load_tlg", "save_tlg", "two_branch_loss"]
