"""Masks drawn in text, and drafts of them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image as PilImage

from lfss.drafts import Draft, Origin

MACHINE = Origin(
    model="mini 0.1.0",
    label="dog, puppy",
    threshold=0.4,
    supports=("a" * 64, "b" * 64),
    settings={"size": "400"},
    method="lfss",
)


def mask(*rows: str) -> np.ndarray:
    """``mask("##.", "#..")``: # is the object."""
    return np.array([[c == "#" for c in row] for row in rows])


def a_draft(
    name: str = "dog.jpg", label: str = "dog", shape: np.ndarray | None = None, **fields: Any
) -> Draft:
    """A machine's draft; the digest follows from the name."""
    shape = np.ones((10, 12), bool) if shape is None else shape
    digest = fields.pop("digest", f"{abs(hash_of(name)):064x}")
    return Draft(name, digest, label, shape, **({"score": 0.75, "origin": MACHINE} | fields))


def hash_of(text: str) -> int:
    import zlib

    return zlib.crc32(text.encode("utf-8", "replace"))


def blob(size: tuple[int, int], seed: int, share: float = 0.4, smooth: float = 3.0) -> np.ndarray:
    """Random parts with holes, covering a share of the picture."""
    import cv2

    noise = np.random.default_rng(seed).random(size).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), smooth)
    return noise > np.quantile(noise, 1 - share)


def random_masks() -> list[np.ndarray]:
    """Small masks of all kinds: noise from sparse to dense, blobs, one row, one column, full, empty."""
    random = np.random.default_rng(5)
    noise = [random.random((17, 23)) < share for share in (0, 0.02, 0.3, 0.5, 0.9, 1)]
    thin = [random.random(size) < 0.5 for size in ((1, 30), (30, 1), (1, 1), (2, 2))]
    return noise + thin + [blob((40, 33), seed) for seed in range(4)]


def png_bytes(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    PilImage.fromarray(array).save(stream, format="PNG")
    return stream.getvalue()
