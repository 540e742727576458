"""A picture through the encoders, and what the text tower says of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .encoders import VisionLanguage
from .images import Image, resize_to
from .methods import THUMBNAIL_SIDE
from .presets import Encoders


class Encoded(NamedTuple):
    """A picture as the encoders see it; keep it to ask for other classes without encoding again.

    Attributes:
        dense: (1, D, h', w') cells of the text tower.
        levels: one (1, C_i, h_i, w_i) for each backbone level.
        thumbnail: (1, 3, 100, 100) in [0, 1].
    """

    dense: Tensor
    levels: tuple[Tensor, ...]
    thumbnail: Tensor


@torch.inference_mode()
def encode_picture(encoders: Encoders, image: Image, *, size: int, device: str) -> Encoded:
    """One pass through both towers.

    Args:
        encoders: of a preset.
        image: the picture; it is stretched to a square.
        size: side of the square in pixels.
        device: where the result lies.
    """
    pixels = torch.from_numpy(resize_to(image, size))[None].to(device)  # (1, 3, size, size)
    if encoders.encode is not None:
        dense, levels = encoders.encode(pixels)
    else:
        dense, levels = encoders.vlm.encode_dense(pixels), encoders.backbone(pixels)
    thumbnail = torch.from_numpy(resize_to(image, THUMBNAIL_SIDE))[None].to(device)
    return Encoded(dense, levels, thumbnail)


def phrase_logits(vlm: VisionLanguage, dense: Tensor, text: Tensor) -> Tensor:
    """(1, D, h', w') cells and (V, D) phrases -> (1, V, h', w') logits."""
    return torch.einsum("bdhw,vd->bvhw", dense.float(), text) * vlm.logit_scale


def judged_presence(vlm: VisionLanguage, phrases: Sequence[str], dense: Tensor) -> Tensor | None:
    """How sure the text tower is that pictures show the label, if it judges that itself: (B,) or None."""
    judge = getattr(vlm, "presence", None)
    return judge(phrases, dense.float()) if judge else None


def presence_offset(vlm: VisionLanguage, phrases: Sequence[str], marked: Iterable[Tensor]) -> float:
    """What brings marked supports to even odds on average; 0 if they are there, or if there is none.

    Whoever marked the object has seen it. On unmarked supports the judge may be right.

    Args:
        vlm: the text tower.
        phrases: those that name the label.
        marked: (1, D, h', w') cells of each support that carries marks.
    """
    sure = [judged_presence(vlm, phrases, dense) for dense in marked]
    logits = [float(s.logit(1e-4)) for s in sure if s is not None]
    return max(0.0, -sum(logits) / len(logits)) if logits else 0.0
