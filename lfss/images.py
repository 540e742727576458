"""The one door for pixels: a path, bytes, an array or a PIL image becomes an upright RGB ``Image``.

Decided once, for every picture that enters:

- Rotation: the EXIF orientation is applied, so masks fit what people see.
- 16 bit: scaled by the smallest bit depth (8, 10, 12, 14, 16) that holds the brightest value. Cameras
  and microscopes store 12 bits in 16; by the full range those pictures would be all but black.
  Floating point in [0, 1] is scaled by 1; any other range of numbers is stretched to its own.
- Transparency: laid over white, as page and viewer show cut-outs. Dropping it instead would uncover
  whatever colour was left under it, mostly black. An alpha channel of zeros only is ignored.
- Several frames or pages: the first one. CMYK, grey, palette: converted by Pillow.
- Size: checked in the header, before any pixel is decoded.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from . import decode
from .errors import ImageError, SupportError
from .files import is_folder, resolved, why_not

MAX_MEGAPIXELS = 200.0

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif")
    + (".avif", ".jp2", ".j2k", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm")
)

logger = logging.getLogger(__name__)

Source = str | os.PathLike[str] | bytes | np.ndarray | PIL.Image.Image


@dataclass(frozen=True, eq=False)
class Image:
    """A picture as everything else sees it.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, upright, read-only.
        name: original file name, for people and exports.
        path: where it lies, if it came from a file.
    """

    pixels: npt.NDArray[np.uint8]
    name: str
    path: Path | None = None

    def __post_init__(self) -> None:
        pixels = self.pixels.view()
        pixels.setflags(write=False)
        object.__setattr__(self, "pixels", pixels)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @cached_property
    def digest(self) -> str:
        """sha256 of shape and pixels, the same whatever file format they came in.

        Computed on first use, since most queries never need it: 24 megapixels take 0.05 s on a
        processor with SHA instructions (blake2b 0.12 s there) and about 0.2 s on one without.
        """
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        return digest.hexdigest()


def read_image(source: Source, *, name: str | None = None, max_megapixels: float = MAX_MEGAPIXELS) -> Image:
    """Read one picture.

    Args:
        source: a path, the bytes of a file, a PIL image, or an array: (H, W), (H, W, 1), (H, W, 3)
            RGB or (H, W, 4) RGBA, of bool, integers or floating point.
        name: overrides the file's own name.
        max_megapixels: larger pictures are refused before they are decoded.

    Raises:
        ImageError: missing, not a picture, damaged, smaller than 8 pixels a side, or too large.
    """
    name = name or _name_of(source)
    if isinstance(source, np.ndarray):
        if source.ndim in (2, 3):
            decode.check_size((source.shape[1], source.shape[0]), name, max_megapixels)
        pixels = decode.rgb(source, name)
        pixels = pixels.copy() if np.may_share_memory(pixels, source) else pixels
    else:
        with decode.opened(source, name, max_megapixels) as picture:
            pixels = decode.to_rgb(picture, name)
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    return Image(pixels, name, path)


def bytes_to_read(source: Source, *, name: str | None = None, max_megapixels: float = MAX_MEGAPIXELS) -> int:
    """How much memory a picture takes at most while it is read and segmented, told by its header alone.

    Raises:
        ImageError: as ``read_image``, as far as the header tells.
    """
    if isinstance(source, np.ndarray):
        return int(source.nbytes)
    with decode.opened(source, name or _name_of(source), max_megapixels) as picture:
        return decode.bytes_needed(picture)


def read_mask(path: str | os.PathLike[str], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Read the mask of a picture from a file.

    Object is every pixel that is not black; in a palette picture every index above 0; in one with
    transparent parts, what is not transparent; in a JPEG, whose black is not exact, what is at least
    half bright.

    Args:
        path: the mask, a PNG as a rule.
        shape: (H, W) of its picture, upright.

    Returns:
        (H, W) bool.

    Raises:
        ImageError: the file cannot be read.
        SupportError: its size is not that of its picture, it marks nothing, or it is a photo.
    """
    name = Path(path).name
    with decode.opened(path, name, MAX_MEGAPIXELS) as picture:
        lossy = picture.format in ("JPEG", "MPO")
        array = decode.to_levels(picture)
    _check_fit(array, shape, f"Support mask '{name}'")
    if array.ndim == 2:
        mask = array >= 128 if lossy else array > 0
    elif (array[..., 3] == 0).any():
        mask = array[..., 3] > 0
    elif _is_photo(array):
        raise SupportError(
            f"Support mask '{name}' is a photo, not a mask. Give a picture of the same size in which the "
            "object is white and the rest is black."
        )
    else:
        mask = array[..., :3].max(axis=2) > (127 if lossy else 0)
    if not mask.any():
        raise SupportError(
            f"Support mask '{name}' marks no pixel: it is all black. Mark the object in white, "
            "or give the picture without a mask."
        )
    return mask


def _is_photo(array: npt.NDArray[np.uint8]) -> bool:
    """Whether (H, W, 4) RGBA is no drawn mask: hardly any black, much of middle brightness, many colours.

    The noise of a JPEG and soft borders make some colours too, and an object cut out of a photo lies on
    black. Nine of ten photos are recognised, and no mask stored without loss is taken for one.
    """
    bright = array[..., :3].max(axis=2)
    if (bright < 8).mean() > 0.05 or ((bright > 48) & (bright < 208)).mean() < 0.2:
        return False
    packed = array[..., :3].astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    return len(np.unique(packed)) > max(1000, bright.size / 25)


def read_scribbles(
    path: str | os.PathLike[str], shape: tuple[int, int]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_] | None]:
    """Read strokes from a file: green or white ones lie on the object, red ones beside it.

    Everything else, transparent parts too, says nothing.

    Args:
        path: a picture of strokes, a PNG as a rule.
        shape: (H, W) of the picture they belong to, upright.

    Returns:
        Object strokes and background strokes, (H, W) bool each; None where there is no red one.

    Raises:
        ImageError: the file cannot be read.
        SupportError: its size is not that of its picture, or it has no stroke of these colours.
    """
    name = Path(path).name
    with decode.opened(path, name, MAX_MEGAPIXELS) as picture:
        array = decode.to_rgba(picture)
    _check_fit(array, shape, f"Scribble picture '{name}'")
    red, green, blue, alpha = np.moveaxis(array >= 128, 2, 0)
    inside = alpha & green & (red == blue)
    outside = alpha & red & ~green & ~blue
    if not (inside.any() or outside.any()):
        raise SupportError(
            f"Scribble picture '{name}' has no stroke in green or white (object) or red (not the object). "
            "Draw in these colours, at full strength."
        )
    return inside, outside if outside.any() else None


def resize_to(image: Image | npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.float32]:
    """Stretch a picture to a square, averaging what shrinks so that nothing flickers.

    Args:
        image: an Image, or (H, W, 3) uint8.
        size: the side S in pixels.

    Returns:
        (3, S, S) float32 in [0, 1].
    """
    pixels = halve(image.pixels if isinstance(image, Image) else image, size)
    height, width = pixels.shape[:2]
    # OpenCV averages only where both axes shrink, so each axis gets the filter it needs.
    shrunk = cv2.resize(pixels, (min(size, width), min(size, height)), interpolation=cv2.INTER_AREA)
    square = cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(square.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)


def halve(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """(H, W, 3): average 2 x 2 pixels again and again while the short side stays at least twice ``size``.

    What is shrunk further anyway gets there several times faster this way. An odd side ends it, so that
    nothing shifts.
    """
    while min(pixels.shape[:2]) >= 4 * size and not (pixels.shape[0] % 2 or pixels.shape[1] % 2):
        half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
        pixels = np.asarray(cv2.resize(pixels, half, interpolation=cv2.INTER_AREA), np.uint8)
    return pixels


def list_images(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    recursive: bool = True,
    missing: bool = False,
    passed_over: Counter[str] | None = None,
) -> list[Path]:
    """Pictures in folders, and single files, in the order in which people count (2 before 10).

    Files named one by one are taken as they are. In folders, only known endings count; hidden files
    and folders are left out. Links out of the folder are followed to files of the same owner, as caches
    of data sets have them, and never to folders; a warning in the log says how many were left out.

    Args:
        sources: a folder or file, or several; each file is listed once.
        recursive: look into sub-folders too.
        missing: list files that are not there too, so that whoever reads them tells about each.
        passed_over: gets the names' endings of the files in folders that are no pictures.

    Raises:
        ImageError: a source does not exist, or a folder cannot be read.
    """
    paths = [sources] if isinstance(sources, str | os.PathLike) else sources
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        for file in (
            _walk(path, recursive, passed_over) if is_folder(path) else [path if missing else _existing(path)]
        ):
            found.setdefault(resolved(file), file)
    return list(found.values())


def _walk(folder: Path, recursive: bool, passed_over: Counter[str] | None) -> list[Path]:
    def raise_unreadable(error: OSError) -> None:
        where = error.filename or folder
        raise ImageError(
            f"The folder '{where}' cannot be read ({error.strerror}). Check its permissions."
        ) from error

    root, files, foreign, away = resolved(folder), [], 0, 0
    for base, folders, names in os.walk(folder, onerror=raise_unreadable):
        folders[:] = [f for f in folders if not f.startswith(".")] if recursive else []
        links = (Path(base, f) for f in folders if Path(base, f).is_symlink())
        away += sum(not resolved(link).is_relative_to(root) for link in links)
        for file in (Path(base, n) for n in names if not n.startswith(".")):
            if file.suffix.lower() not in SUFFIXES:
                if passed_over is not None:
                    passed_over[file.suffix.lower()] += 1
                continue
            if resolved(file).is_relative_to(root) or _own_link(file):
                files.append(file)
            else:
                foreign += 1
    if foreign:
        logger.warning(
            "%s in '%s' lead out of it to files of another owner and were left out. Name those files "
            "themselves, or copy them there.", "1 link" if foreign == 1 else f"{foreign} links", folder,
        )  # fmt: skip
    if away:
        logger.warning(
            "%s in '%s' out of it and %s not followed. Name the other %s as well.",
            *("1 link to a folder leads", folder, "was", "folder") if away == 1
            else (f"{away} links to folders lead", folder, "were", "folders"),
        )  # fmt: skip
    return sorted(files, key=_natural)


def _own_link(link: Path) -> bool:
    """Whether a link leads to a file of whoever made it or runs this program, or to nothing at all."""
    try:
        owner = link.stat().st_uid
    except OSError:  # it leads to nothing: reading it will say so
        return True
    return owner == link.lstat().st_uid or (hasattr(os, "getuid") and owner == os.getuid())


def _natural(path: Path) -> list[tuple[tuple[bool, int, str], ...]]:
    def key(part: str) -> tuple[tuple[bool, int, str], ...]:
        pieces = re.split(r"([0-9]+)", part.casefold())
        return tuple((not p.isdigit(), int(p) if p.isdigit() else 0, p) for p in pieces if p)

    return [key(part) for part in path.parts]


def _existing(path: Path) -> Path:
    try:
        path.stat()
    except FileNotFoundError as error:
        raise ImageError(f"There is no file or folder '{path}'. Check the path.") from error
    except (OSError, ValueError) as error:
        raise ImageError(why_not(path, error)) from error
    return path


def _name_of(source: Source) -> str:
    if isinstance(source, str | os.PathLike):
        return Path(source).name or str(source)
    return Path(str(getattr(source, "filename", ""))).name or "picture"


def _check_fit(array: np.ndarray, shape: tuple[int, int], what: str) -> None:
    if array.shape[:2] != tuple(shape):
        (h, w), (height, width) = array.shape[:2], shape
        raise SupportError(
            f"{what} is {h} x {w}, its picture is {height} x {width} (rows x columns). "
            "Export it at the picture's own size."
        )
