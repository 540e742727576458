"""The GPU of a Space that lends one for the length of a call (ZeroGPU); elsewhere nothing is done.

There a call runs in a process of its own: what goes in and comes out is pickled, and only this call
sees the GPU. The package ``spaces`` is installed on Spaces alone, and must be imported before torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

try:
    import spaces
except ImportError:
    ON_ZEROGPU = False

    def with_gpu(function: F) -> F:
        """The function as it is."""
        return function

else:
    ON_ZEROGPU = True
    with_gpu = spaces.GPU(duration=60)
