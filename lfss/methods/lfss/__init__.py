"""LFSS: the paper's five steps in reading order, and the method that wires them."""

from .config import LfssConfig
from .method import Lfss, PreparedSupports
from .step1_initial_mask import (
    InitialMasks,
    SupportMasks,
    assumed_background,
    initial_masks,
    match_probability,
    mean_in_logits,
    never_empty,
    presence,
    raised_to_half,
    soft_iou,
    support_masks,
    text_probability,
)
from .step2_refine import Form, background_similarity, refine, shared_prototype
from .step3_prototypes import (
    Clusters,
    Seeds,
    association_map,
    border_distance,
    cluster,
    place_seeds,
    seed_count,
    shift_seeds,
)
from .step4_correlation import attention, correlation_maps, focused_prototype
from .step5_segment import Aspp, Decoder, PortableDecoder, training_free_logits

__all__ = [
    "Aspp",
    "Clusters",
    "Decoder",
    "Form",
    "InitialMasks",
    "Lfss",
    "LfssConfig",
    "PortableDecoder",
    "PreparedSupports",
    "Seeds",
    "SupportMasks",
    "association_map",
    "assumed_background",
    "attention",
    "background_similarity",
    "border_distance",
    "cluster",
    "correlation_maps",
    "focused_prototype",
    "initial_masks",
    "match_probability",
    "mean_in_logits",
    "never_empty",
    "place_seeds",
    "presence",
    "raised_to_half",
    "refine",
    "seed_count",
    "shared_prototype",
    "shift_seeds",
    "soft_iou",
    "support_masks",
    "text_probability",
    "training_free_logits",
]
