"""Linear weights stored as int8 with one scale for each output channel: half the file of float16.

They are multiplied out when a model is loaded, and computed with in float32 on every device. Multiplying
int8 matrices was tried (``torch.ops.quantized.linear_dynamic``, inputs quantised as they arrive) and is not
used: the inputs of the second layer of each MLP have a few very large values, and what their common scale
rounds away costs the masks more than the sixth of the time that it saves.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = ".scale"  # ends the name of a weight's scales in a state
LEVELS = 127


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (out, in) -> int8 of the same shape, and the scale (out,) float32 of each output channel."""
    scale = (weight.abs().amax(1) / LEVELS).clamp_min(1e-12)
    return (weight / scale[:, None]).round().clamp(-LEVELS, LEVELS).to(torch.int8), scale


def quantised_state(state: Mapping[str, Tensor], names: set[str]) -> dict[str, Tensor]:
    """A state with the named weights as int8, of their own shape, and their scales beside them.

    All other floats become float16.
    """
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if name in names:
            found[name], found[name + SCALE] = quantise(value)
        else:
            found[name] = value.half() if value.is_floating_point() else value
    return found


def float_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state as float32 of the same shapes, int8 weights multiplied out, for ordinary layers."""
    return {
        name: value.float() * state[name + SCALE].float()[:, None] if name + SCALE in state else value.float()
        for name, value in state.items()
        if not name.endswith(SCALE)
    }
