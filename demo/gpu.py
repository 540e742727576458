"""The GPU of a Space that lends one for the length of a call (ZeroGPU); elsewhere nothing is done.

There a call runs in a process of its own: what goes in and comes out is pickled, and only this call
sees the GPU. The package ``spaces`` is installed on Spaces alone, and must be imported before torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

# A visitor's allowance must last for what is asked for, however short the call is: one picture takes less.
SECONDS = 15
CPU_PRESETS = frozenset({"mini"})  # as quick on the Space's own CPU as waiting for a GPU takes
_asked = {"lend": True}

try:
    import spaces
except ImportError:
    ON_ZEROGPU = False

    def with_gpu(function: F) -> F:
        """The function as it is."""
        return function

else:
    ON_ZEROGPU = True

    def with_gpu(function: F) -> F:
        """The function on a lent GPU, unless ``device_for`` has chosen the CPU."""
        lent = spaces.GPU(duration=SECONDS)(function)

        @functools.wraps(function)
        def call(*args: Any) -> Any:
            return (lent if _asked["lend"] else function)(*args)

        return call  # type: ignore[return-value]


def device_for(preset: str, device: str) -> str:
    """Where a preset runs: as asked, but on the CPU where the GPU is lent and the preset gains nothing."""
    if ON_ZEROGPU and device == "auto" and preset in CPU_PRESETS:
        device = "cpu"
    _asked["lend"] = device != "cpu"
    return device
