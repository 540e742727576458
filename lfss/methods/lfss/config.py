"""Every choice of LFSS in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .step2_refine import Form


@dataclass(frozen=True)
class LfssConfig:
    """Every choice of the method; the defaults are the paper's, or explained where it is silent.

    Attributes:
        alpha: weight of the support in the shared prototype (Eq. 3).
        refine: off for the ablation "without mask refinement".
        refine_form, refine_temperature: the reading of Eq. 4.
        dps: off compares with one global prototype instead of local ones.
        seeds, window, sigma, radius, iterations: DPS (Eq. 6-11).
        ccm: off leaves FCM out.
        attention_temperature: Eq. 13.
        geometry: ``"literal"`` makes the association map on the support, as Eq. 12 is printed.
        cells: products of cells with cells pool one side to at most ``cells x cells``.
        decoder: ``"paper"``, ``"portable"`` (for words that the text tower knows, ``text_trust`` above 0),
            or ``"none"`` (the training-free rule).
        decoder_width: channels of the paper's decoder; a narrow one learns on a processor in minutes.
        circle: segment the supports first and let the result replace their masks (Eq. 20).
        sharpness, text_limit, roi: the training-free rule.
        keep_maps: put the portable decoder's maps into the last step, to train it on.
    """

    alpha: float = 0.5
    refine: bool = True
    refine_form: Form = "self-support"
    refine_temperature: float = 2.0
    dps: bool = True
    seeds: int = 5
    window: int = 3
    sigma: float = 4.0
    radius: float = 2.0
    iterations: int = 5
    ccm: bool = True
    attention_temperature: float = 1.0
    geometry: Literal["query", "literal"] = "query"
    cells: int = 16
    decoder: Literal["none", "paper", "portable"] = "none"
    decoder_width: int = 256
    circle: bool = False
    sharpness: float = 16.0
    text_limit: float = 6.0
    roi: float = 0.6
    keep_maps: bool = False
