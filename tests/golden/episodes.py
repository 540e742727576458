"""Ten episodes whose masks must stay what they are, and the command that stores them.

    python -m tests.golden.episodes

writes ``tests/golden/stored.npz``. Run it only where masks are meant to change, and say why in the commit.
The pictures are drawn, the towers are those of ``tests.fakes``; no weights are needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lfss.images import Image, read_image
from lfss.labels import parse_label
from lfss.predictor import Predictor
from lfss.stages import Prediction
from lfss.support import Support
from tests.fakes import COLOURS, scene

FILE = Path(__file__).with_name("stored.npz")
KINDS = ("label", "box", "mask")
COUNT = 10
SIZE = (120, 160)
SMALL = (12, 16)  # the score is stored as the means of 10 x 10 pixels
GROUNDS = ("gray", "white", "black")
WORDS = tuple(word for word in COLOURS if word not in GROUNDS)


@dataclass(frozen=True)
class Drawn:
    """A picture of one object among others, and the object's box: top, left, bottom, right in pixels."""

    image: Image
    box: tuple[int, int, int, int]


def drawn(word: str, rng: np.random.Generator) -> Drawn:
    """A rectangle of the colour ``word``, one of another colour beside it, on one of three grounds."""
    top, left = int(rng.integers(5, 50)), int(rng.integers(5, 40))
    box = (top, left, top + int(rng.integers(30, 60)), left + int(rng.integers(30, 50)))
    other = str(rng.choice([w for w in WORDS if w != word]))
    ground, seed = str(rng.choice(GROUNDS)), int(rng.integers(1 << 30))
    pixels = scene(word, size=SIZE, box=box, ground=ground, seed=seed)
    second = (int(rng.integers(5, 40)), 100, int(rng.integers(60, 110)), 150)
    rows, columns = slice(second[0], second[2]), slice(second[1], second[3])
    pixels[rows, columns] = scene(other, size=SIZE, box=second, ground=ground, seed=seed)[rows, columns]
    return Drawn(read_image(pixels, name=f"{word}-{seed}.png"), box)


def support(given: Drawn, kind: str) -> Support:
    """The picture with its label only, a box, or a mask."""
    top, left, bottom, right = given.box
    if kind == "box":
        return Support.from_box(given.image, (left, top, right, bottom))
    if kind == "mask":
        mask = np.zeros(SIZE, bool)
        mask[top:bottom, left:right] = True
        return Support.from_mask(given.image, mask)
    return Support(given.image)


def predictions(predictor: Predictor) -> Iterator[tuple[str, Prediction]]:
    """Every episode with every kind of support, by name. Even episodes have one shot, odd ones two."""
    torch.manual_seed(0)
    for number in range(COUNT):
        rng = np.random.default_rng(number)
        word = WORDS[number % len(WORDS)]
        supports = [drawn(word, rng) for _ in range(1 + number % 2)]
        query = drawn(word, rng)
        for kind in KINDS:
            prepared = predictor.prepare(parse_label(word), [support(s, kind) for s in supports])
            yield f"{number}.{kind}", predictor.predict(prepared, query.image)


def small(score: np.ndarray) -> np.ndarray:
    """The mean of each 10 x 10 pixels: (120, 160) -> (12, 16)."""
    return score.reshape(SMALL[0], 10, SMALL[1], 10).mean((1, 3), dtype=np.float64).astype(np.float32)


def main() -> None:
    """Write the file."""
    arrays: dict[str, np.ndarray] = {}
    for name, made in predictions(Predictor.load("tests.fakes:preset", device="cpu")):
        arrays[f"{name}.mask"] = np.packbits(made.mask)
        arrays[f"{name}.score"] = small(made.score)
        arrays[f"{name}.presence"] = np.float32(made.presence)
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    main()
