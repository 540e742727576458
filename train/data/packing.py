"""Forms in which encoder outputs are kept, from exact to small.

Outputs of ResNet-50 and CLIP for a picture of 400 x 400 take 8 MB as ``float16``, 4 MB as ``int8`` and 1.1 MB
as ``int8-pooled``: 92, 46 and 13 GB for PASCAL-5i's 11,500 pictures, 980, 490 and 140 GB for COCO-20i's
122,000.

- ``float16``: as they are.
- ``int8``: each cell's vector is divided by its largest entry, which is kept beside it. Methods read the
  directions of cells, so only the rounding of the direction matters: about half a degree.
- ``int8-pooled``: maps of more than 32 x 32 cells are first averaged over 2 x 2 cells; reading enlarges them
  to their size again. The deep levels of a dilated network hold no more than that.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from lfss.similarity import resize_map

Form = Literal["float16", "int8", "int8-pooled"]
FORMS: tuple[Form, ...] = get_args(Form)
POOLED_ABOVE = 32  # cells a side

Packed = dict[str, Tensor]


def pack(levels: tuple[Tensor, ...], form: Form) -> Packed:
    """Maps of one picture, (1, C_i, h_i, w_i) each, as named tensors on the CPU."""
    packed: Packed = {}
    for i, level in enumerate(levels):
        if form == "float16":
            packed[f"level{i}"] = level.half().cpu()
            continue
        size = torch.tensor(level.shape[-2:], dtype=torch.int32)
        if form == "int8-pooled" and min(level.shape[-2:]) > POOLED_ABOVE:
            level = F.avg_pool2d(level.float(), 2, ceil_mode=True, count_include_pad=False)
        scale = (level.float().abs().amax(1, keepdim=True) / 127).clamp_min(1e-12)
        packed |= {
            f"level{i}": (level.float() / scale).round().to(torch.int8).cpu(),
            f"level{i}.scale": scale.cpu(),
            f"level{i}.size": size,
        }
    return packed


def unpack(packed: Packed, device: torch.device | str = "cpu") -> tuple[Tensor, ...]:
    """The maps again, (1, C_i, h_i, w_i) float32 each."""
    levels = []
    for i in range(sum("." not in name for name in packed)):
        level = packed[f"level{i}"].to(device).float()
        if f"level{i}.scale" in packed:
            h, w = packed[f"level{i}.size"].tolist()
            level = resize_map(level * packed[f"level{i}.scale"].to(device), (h, w))
        levels.append(level)
    return tuple(levels)


def packed_bytes(packed: Packed) -> int:
    """What they take."""
    return sum(t.nelement() * t.element_size() for t in packed.values())


def choose_form(bytes_of: dict[Form, int], pictures: int, limit: int) -> Form | None:
    """The most exact form in which all pictures fit.

    Args:
        bytes_of: of one picture in each form.
        pictures: how many.
        limit: bytes at most.

    Returns:
        None where even the smallest does not fit: then nothing is kept and encoders run each time.
    """
    return next((form for form in FORMS if bytes_of[form] * pictures <= limit), None)
