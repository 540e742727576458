"""Which device a model runs on."""

from __future__ import annotations

import torch

from .errors import InputError


def pick_device(device: str) -> str:
    """``auto`` is CUDA, else Apple's GPU, else the CPU.

    Raises:
        InputError: the device is not known or not here.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=device).item()  # 'meta' makes tensors that hold nothing
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"The device '{device}' cannot be used here. Use 'auto' or 'cpu'.") from error
    return device
