"""Clocks and counters around the networks of a predictor, and the memory of this process."""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from lfss.predictor import Predictor

Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "processor": time.process_time}


class Meter:
    """Passes calls on, and adds up their seconds and the pictures in them."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.seconds, self.pictures = clock, 0.0, 0

    def watch(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, watched; the length of its first argument counts as pictures."""

        def watched(*given: Tensor) -> Any:
            with self.running():
                made = function(*given)
            self.pictures += len(given[0])
            return made

        return watched

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add the seconds of a block."""
        start = self.clock()
        yield
        self.seconds += self.clock() - start

    def take(self) -> float:
        """The seconds since the last time; starts again at 0."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds


def watch_encoders(predictor: Predictor, clock: Clock) -> Meter:
    """Let a meter count every picture that is encoded from now on."""
    meter, encoders = Meter(clock), predictor.encoders

    def both(pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return encoders.vlm.encode_dense(pixels), encoders.backbone(pixels)

    predictor.encoders = encoders._replace(encode=meter.watch(encoders.encode or both))
    return meter


def watch_decoder(predictor: Predictor, clock: Clock) -> Meter:
    """Let a meter count the seconds of the decoder's network, where there is one."""
    meter = Meter(clock)
    for part in predictor.method.children():
        part.forward = meter.watch(part.forward)
    return meter


def resident() -> float:
    """Memory that this process holds now, in MiB; its highest so far where Linux's count is missing."""
    gc.collect()
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return pages * resource.getpagesize() / 2**20
