"""A fake model for the command line, photos for it, and what tests do with both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from lfss.__main__ import main
from lfss.errors import SupportError, UnknownName, WeightsUnavailable
from lfss.images import Image
from lfss.labels import Label
from lfss.stages import Prediction, Stage

AS_USUAL = {"snap": True, "second_look": False, "overlaps": ()}


@dataclass(frozen=True, eq=False)
class FakeSupport:
    image: Image
    known: np.ndarray | None = None

    @classmethod
    def from_mask(cls, image: Image, mask: np.ndarray) -> FakeSupport:
        return cls(image, mask.astype(np.int8))

    @classmethod
    def from_box(cls, image: Image, box: tuple[int, int, int, int]) -> FakeSupport:
        left, top, right, bottom = box
        if not (0 <= left < right <= image.size[1] and 0 <= top < bottom <= image.size[0]):
            raise SupportError(f"The box {box} does not lie in '{image.name}'.")
        known = np.zeros(image.size, np.int8)
        known[top:bottom, left:right] = -1
        return cls(image, known)

    @classmethod
    def from_scribbles(cls, image: Image, inside: np.ndarray, outside: np.ndarray | None) -> FakeSupport:
        known = np.full(image.size, -1, np.int8)
        known[inside] = 1
        if outside is not None:
            known[outside] = 0
        return cls(image, known)


class FakePredictor:
    """Bright pixels are the object. ``before`` runs ahead of each query and may raise."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.supports: list[FakeSupport] = []
        self.label = Label("none")
        self.options: dict[str, object] = {}
        self.before: Callable[[Image], None] = lambda query: None

    def load(
        self, preset: str = "mini", *, method: str = "lfss", device: str = "auto", models_dir=None
    ) -> FakePredictor:
        if method != "lfss":
            raise UnknownName("method", method, ("lfss", "other"))
        if preset == "far":
            raise WeightsUnavailable("The weights of 'far' are not here. Put them into assets/models.")
        if preset != "mini":
            raise UnknownName("preset", preset, ("mini", "full"))
        return self

    def prepare_classes(self, classes: list[tuple[Label, list[FakeSupport]]]) -> list[Label]:
        self.label, self.supports = classes[0][0], list(classes[0][1])
        self.classes = {label.text: list(supports) for label, supports in classes}
        return [label for label, _ in classes]

    def iterate_classes(
        self, prepared: list[Label], query: Image, **options: Any
    ) -> Iterator[tuple[int, Stage | Prediction]]:
        """Of several labels, each after the first loses a half to the first."""
        self.seen.append(query.name)
        self.options = options
        self.before(query)
        score = query.pixels.max(axis=2).astype(np.float32) / 255
        cells, threshold = score[::4, ::4], options["threshold"]
        stages = (
            Stage("initial_mask", "Initial mask", "mask", (cells > 0.5,) * len(self.supports), cells > 0.5),
            Stage("score", "Score", "map", (), score),
        )
        for number in range(len(prepared)):
            yield from ((number, stage) for stage in stages)
        for number, label in enumerate(prepared):
            mask, lost = score >= threshold, {prepared[0].text: 0.5} if number else {}
            if number:
                mask[:, ::2] = False
            yield number, Prediction(mask, score, 0.75, stages, label, "mini", threshold, 0.01, "lfss", lost)


def save_photo(path: Path, *, bright: int = 10, size: tuple[int, int] = (24, 32)) -> Path:
    """A dark picture whose first ``bright`` rows are white."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[:bright] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)
    return path


def segment(*more: str, label: str = "dog", query: tuple[str, ...] = ("photos",), out: str = "out") -> int:
    return main(
        ["segment", "--label", label, "--support", "s1.png", "s2.png", "--query", *query, "--out", out, *more]
    )


def read(path: str) -> np.ndarray:
    return np.asarray(PIL.Image.open(path))


def files(folder: str) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())
