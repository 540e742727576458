"""Pictures, score maps and drafts for the tests of the workspace, made from a seed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PilImage

from lfss.doubt import confidence, doubt_of
from lfss.drafts import Draft, Origin

ORIGIN = Origin(model="fake 1.0", label="dog, puppy", threshold=0.5, supports=("a" * 64, "b" * 64))


def smooth_scores(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(H, W) float32 in [0, 1], as smooth as what a network gives."""
    cells = np.random.default_rng(seed).random((50, 50)).astype(np.float32)
    cells = cv2.GaussianBlur(cells, (0, 0), 4)
    cells = (cells - cells.min()) / (cells.max() - cells.min())
    return cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR)


def digest_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def a_draft(number: int = 0, label: str = "dog", *, size: tuple[int, int] = (60, 80), **fields) -> Draft:
    """A proposal for an imagined picture; the same number gives the same draft."""
    scores = smooth_scores(*size, seed=number)
    values = {
        "image_name": f"photo {number}.jpg",
        "image_digest": digest_of(number),
        "label": label,
        "mask": scores >= 0.5,
        "score": confidence(scores, scores >= 0.5),
        "presence": 0.9,
        "doubt": doubt_of(scores, 0.5),
        "origin": ORIGIN,
    }
    return Draft(**(values | fields))


def write_photo(path: Path, number: int = 0, size: tuple[int, int] = (60, 80)) -> Path:
    """A small PNG of coloured noise; the same number gives the same pixels."""
    noise = np.random.default_rng(number).integers(0, 256, (size[0] // 10, size[1] // 10, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    PilImage.fromarray(noise).resize((size[1], size[0]), PilImage.Resampling.NEAREST).save(path)
    return path


def a_dead_process() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid
