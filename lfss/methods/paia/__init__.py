"""PAIA: prototypes of several classes, improved by pictures of which only the label is known.

In the paper's order: prototypes (``step1_prototypes``), soft-masked average pooling
(``step2_soft_pooling``), the distilled threshold (``step3_threshold``), the iterative fusion
(``step4_fusion``), the losses (``losses``).
"""

from .config import PaiaConfig
from .method import Paia

__all__ = ["Paia", "PaiaConfig"]
