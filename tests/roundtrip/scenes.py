"""Pictures and drafts for round trips: one scene with every hard case, and random masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from hypothesis import strategies as st
from PIL import Image as PilImage

from lfss.drafts import Draft, Origin
from lfss.images import read_image

ODD = 'küchen "tür" <b>/ñ&🐈'
MACHINE = Origin(
    model="mini 0.1.0", label="cat", threshold=0.4, supports=("a" * 64,), settings={"size": "400"}
)


class Found(NamedTuple):
    """What a reader says about a mask or a picture, and the mask."""

    facts: dict[str, Any]
    mask: np.ndarray | None


def ring(size: tuple[int, int]) -> np.ndarray:
    """A ring with a hole, a rectangle beside it and one pixel alone."""
    height, width = size
    rows, columns = np.ogrid[:height, :width]
    away = np.hypot(rows - height * 0.5, columns - width * 0.35)
    mask = (away < height * 0.4) & (away > height * 0.2)
    mask[height // 4 : height // 2, int(width * 0.75) : int(width * 0.9)] = True
    mask[height - 3, width - 4] = True
    return mask


def blob(size: tuple[int, int], seed: int, share: float = 0.4, smooth: float = 4.0) -> np.ndarray:
    """Random parts with holes, of smooth outline, covering a share of the picture."""
    noise = np.random.default_rng(seed).random(size).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), smooth)
    return noise > np.quantile(noise, 1 - share)


def photo(path: Path, size: tuple[int, int], seed: int, *, turned: bool = False) -> Path:
    """A photo file; ``turned``: stored on its side, with the tag that says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = size[::-1] if turned else size
    pixels = np.random.default_rng(seed).integers(0, 255, (*stored, 3), np.uint8)
    exif = PilImage.Exif()
    if turned:
        exif[0x0112] = 6
    PilImage.fromarray(pixels).save(path, exif=exif)
    return path


def draft(path: Path, label: str, mask: np.ndarray, **fields: Any) -> Draft:
    """A machine's draft of a photo file."""
    image = read_image(path)
    known = {"image_name": path.name, "image_digest": image.digest, "image_path": path}
    return Draft(label=label, mask=mask, **({"score": 0.75, "origin": MACHINE} | known | fields))


def hard_scene(folder: Path) -> list[Draft]:
    """Holes, several parts, a speck, two labels that overlap, odd names, a turned photo, states."""
    size = (96, 128)
    kitchen = photo(folder / "a" / "küche 東京.jpg", size, 1)
    same_name = photo(folder / "b" / "küche 東京.jpg", size, 2)
    turned = photo(folder / "turned.jpg", size, 3, turned=True)
    bare, refused = photo(folder / "bare.png", size, 4), photo(folder / "refused.png", size, 5)
    odd = blob(size, 7)
    return [
        draft(kitchen, "cat", ring(size)),
        draft(kitchen, ODD, odd, status="edited", score=None),
        draft(same_name, "cat", blob(size, 8, share=0.2), status="accepted"),
        draft(turned, "cat", ring(size), origin=Origin(), score=None, status="accepted"),
        draft(bare, "cat", np.zeros(size, bool), status="absent"),
        draft(refused, "cat", odd, status="rejected"),
    ]


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    """Masks of many shapes: noise, blobs, lines, rectangles with holes, full and nearly empty ones."""
    size = draw(st.integers(10, 56)), draw(st.integers(10, 56))  # ultralytics takes no smaller pictures
    seed = draw(st.integers(0, 2**16))
    kind = draw(st.sampled_from(("noise", "blob", "rough", "strokes", "boxes", "full", "speck")))
    random = np.random.default_rng(seed)
    if kind == "noise":
        return random.random(size) < draw(st.sampled_from((0.05, 0.3, 0.5, 0.8, 0.97)))
    if kind in ("blob", "rough"):
        return blob(size, seed, draw(st.sampled_from((0.1, 0.4, 0.8))), 3.0 if kind == "blob" else 1.0)
    canvas = np.zeros(size, np.uint8)
    if kind == "strokes":
        for _ in range(4):
            ends = random.integers(0, min(size), (2, 2)).tolist()
            cv2.line(canvas, ends[0], ends[1], 1, int(random.integers(1, 3)))
    elif kind == "boxes":
        for value in (1, 0, 1, 0):
            top, left = random.integers(0, (size[0] // 2, size[1] // 2)).tolist()
            canvas[top : top + size[0] // 2, left : left + size[1] // 2] = value
    elif kind == "full":
        canvas[:] = 1
    canvas[random.integers(size[0]), random.integers(size[1])] = 1
    return canvas > 0


def random_scene(folder: Path, drawn: list[np.ndarray]) -> list[Draft]:
    """A photo for each mask, named by its place."""
    scene = []
    for place, mask in enumerate(drawn):
        path = folder / f"p{place}.png"
        PilImage.new("RGB", mask.shape[::-1], (place, 0, 0)).save(path)
        scene.append(Draft(path.name, "", "thing", mask, score=0.5, image_path=path))
    return scene


def site_packages() -> str:
    """Where the packages of the program lie, for readers that need its torch."""
    import PIL

    return str(Path(PIL.__file__).parent.parent)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Shared pixels over all pixels of two masks."""
    one, other = one > 0, other > 0
    return float((one & other).sum() / max(1, (one | other).sum()))


def large_parts(mask: np.ndarray, pixels: int = 100) -> np.ndarray:
    """The connected parts of more than so many pixels."""
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] > pixels
    large[0] = False
    return large[numbers]
