"""From bytes that nobody vouches for to upright arrays; ``lfss.images`` is the public side.

The size is read in the header and checked before any pixel is decoded. Whatever a decoder raises
leaves here as an ``ImageError`` of one sentence.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeGuard

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageFile

from .errors import ImageError, InputError
from .files import opened as open_file

MIN_SIDE = 8  # pixels; below this there is nothing to recognise

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM")
_READABLE = "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, JPEG 2000, PPM or HEIC"
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_ORIENTATION = 0x0112
_BITS, _PHOTOMETRIC, _PLANAR = 258, 262, 284  # tags of TIFF
_STRIP_PIXELS = 1 << 20  # decoded pixels that are converted at once
_NUMBER_MODES = ("1", "I;16", "I;16B", "I", "F")  # Pillow would clip their range, see eight_bit
_pillow_limit = threading.Lock()


@contextmanager
def opened(source: object, name: str, max_megapixels: float) -> Iterator[PIL.Image.Image]:
    """The picture with its header read and its size checked, for as long as the block runs.

    Args:
        source: a path, the bytes of a file, or a PIL image.
        name: how messages call it.
        max_megapixels: larger pictures are refused.

    Raises:
        ImageError: for every fault, also for those that the block meets while it decodes.
    """
    if isinstance(source, PIL.Image.Image):
        check_size(source.size, name, max_megapixels)
        with _faults_told(name):
            yield source
        return
    with _file(source, name) as file, _faults_told(name), _header(file, name) as picture:
        check_size(picture.size, name, max_megapixels)
        yield picture


def to_rgb(picture: PIL.Image.Image, name: str) -> npt.NDArray[np.uint8]:
    """Decode an opened picture: (H, W, 3) uint8, upright."""
    if _is_deep_color(picture):
        return rgb(upright(_deep_color(picture), picture), name)
    if picture.mode in _NUMBER_MODES:
        color = rgb(upright(np.asarray(picture), picture), name)
        # Pillow turns white-is-zero pictures of up to eight bits itself.
        return 255 - color if picture.mode != "1" and _tag(picture, _PHOTOMETRIC) == 0 else color
    return _in_strips(picture, name)


def _in_strips(picture: PIL.Image.Image, name: str) -> npt.NDArray[np.uint8]:
    """The same for eight bits a colour, a strip at a time: the whole is in memory twice, not five times."""
    picture.load()  # first, since Pillow turns some TIFF files itself while it loads them
    mode = "RGBA" if picture.has_transparency_data and _alpha_says_something(picture) else "RGB"
    width, height = picture.size
    orientation = orientation_of(picture)
    shape = (width, height, 3) if orientation in (5, 6, 7, 8) else (height, width, 3)
    out = np.empty(shape, np.uint8)
    stored = _as_stored(out, orientation)
    for top, strip in _strips(picture):
        array = np.asarray(strip if strip.mode == mode else strip.convert(mode))
        stored[top : top + strip.height] = _over_white(array) if mode == "RGBA" else rgb(array, name)
    return out


def _strips(picture: PIL.Image.Image) -> Iterator[tuple[int, PIL.Image.Image]]:
    """The picture from top to bottom, and the row at which each part begins."""
    rows = max(1, _STRIP_PIXELS // picture.width)
    for top in range(0, picture.height, rows):
        yield top, picture.crop((0, top, picture.width, min(top + rows, picture.height)))


def _alpha_says_something(picture: PIL.Image.Image) -> bool:
    return any(np.asarray(strip.convert("RGBA"))[..., 3].any() for _, strip in _strips(picture))


def bytes_needed(picture: PIL.Image.Image) -> int:
    """How much memory an opened picture takes at most while it is decoded and segmented at full size."""
    if _is_deep_color(picture):
        each = 26
    elif picture.mode in ("I", "F"):
        each = 24
    elif (
        picture.mode.startswith("I;16")
        or picture.mode in ("CMYK", "LAB", "HSV")
        or picture.format in ("WEBP", "HEIF", "AVIF")
        or picture.info.get("progressive")
    ):
        each = 13
    else:
        each = 9  # 4 in Pillow and 3 here; later 3, 4 of the score and 1 or 2 of masks
    return each * picture.width * picture.height


def to_levels(picture: PIL.Image.Image) -> np.ndarray:
    """Decode an opened mask, upright: (H, W) levels or palette indices, else (H, W, 4) RGBA."""
    if picture.mode not in (*_NUMBER_MODES, "L", "P"):
        return to_rgba(picture)
    return upright(np.asarray(picture), picture)


def to_rgba(picture: PIL.Image.Image) -> npt.NDArray[np.uint8]:
    """Decode an opened picture of strokes: (H, W, 4) uint8, upright."""
    return upright(np.asarray(picture.convert("RGBA")), picture)


def upright(array: np.ndarray, picture: PIL.Image.Image) -> np.ndarray:
    """Turn decoded pixels, (H, W) or (H, W, C), the way the picture's EXIF orientation asks for."""
    return turned(array, orientation_of(picture))


def orientation_of(picture: PIL.Image.Image) -> int:
    """The EXIF orientation of a picture, 1 to 8; 1, upright, where it has none."""
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF blocks raise anything; the pixels are still good
        return 1


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels as they are stored, (H, W) or (H, W, C), turned the way an EXIF orientation asks for.

    For an orientation from 5 to 8 the result is (W, H) or (W, H, C).
    """
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array


def _as_stored(array: np.ndarray, orientation: int) -> np.ndarray:
    """The view of an upright array that has the rows and columns of the file; undoes ``turned``."""
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else array


def rgb(array: np.ndarray, name: str) -> npt.NDArray[np.uint8]:
    """(H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of any number type -> (H, W, 3) uint8.

    The result may share the memory of what was given. Transparent pixels are laid over white; an alpha
    channel of zeros only is ignored.

    Raises:
        ImageError: another shape, or not numbers.
    """
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or array.dtype.kind not in "buif":
        raise ImageError(
            f"'{name}' came as an array {array.shape} of {array.dtype}. Give rows x columns of numbers, "
            "or rows x columns x 1, 3 (RGB) or 4 (RGBA)."
        )
    color = eight_bit(array[..., :3])
    if array.shape[2] == 1:
        return np.repeat(color, 3, axis=2)
    if array.shape[2] == 3 or not array[..., 3].any():
        return np.ascontiguousarray(color)
    return _over_white(array)


def _over_white(array: np.ndarray) -> npt.NDArray[np.uint8]:
    """(H, W, 4) -> (H, W, 3) uint8, its colours laid over white."""
    color, alpha = eight_bit(array[..., :3]), eight_bit(array[..., 3:]).astype(np.uint16)
    blended = color * alpha + np.uint16(255) * (255 - alpha)
    return ((blended + 127) // 255).astype(np.uint8)


def eight_bit(array: np.ndarray) -> npt.NDArray[np.uint8]:
    """Numbers of any type to uint8 of the same shape; ``lfss.images`` says by which scale."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array * np.uint8(255)
    if array.dtype.kind == "f":
        array = np.nan_to_num(array.astype(np.float32), posinf=0, neginf=0)
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind != "f" and low >= 0 and high <= 65535:
        top = next(2**bits - 1 for bits in (8, 10, 12, 14, 16) if high < 2**bits)
        table = np.rint(np.minimum(np.arange(65536) * (255 / top), 255)).astype(np.uint8)
        return table[array.astype(np.uint16)]
    if low < 0 or high > 1:
        array = (array - np.float32(low)) / np.float32(high - low or 1)
    return np.rint(array * np.float32(255)).astype(np.uint8)


def check_size(size: tuple[int, int], name: str, max_megapixels: float) -> None:
    """Refuse what is too large or too small.

    Args:
        size: width and height in pixels.
        name: how the message calls the picture.
        max_megapixels: the largest area.

    Raises:
        ImageError: it is.
    """
    width, height = size
    if width * height > max_megapixels * 1e6:
        raise ImageError(
            f"'{name}' has {width * height / 1e6:,.0f} megapixels ({width} x {height}); "
            f"at most {max_megapixels:,.0f} are read. Use a smaller copy."
        )
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"'{name}' is {width} x {height} pixels, too small to show anything. "
            f"Use a picture of at least {MIN_SIDE} x {MIN_SIDE}."
        )


@contextmanager
def _faults_told(name: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise ImageError(f"'{name}' does not fit into memory. Use a smaller copy.") from error
    except Exception as error:  # a hostile file can make a decoder raise anything
        raise ImageError(f"'{name}' is cut short or damaged. Export or download it again.") from error


def _file(source: object, name: str) -> IO[bytes]:
    if isinstance(source, bytes | bytearray | memoryview):
        file: IO[bytes] = io.BytesIO(source)
        empty = not len(source)
    elif isinstance(source, str | os.PathLike):
        file = open_file(source, error_class=ImageError)
        empty = os.fstat(file.fileno()).st_size == 0
    else:
        raise ImageError(f"A picture is a path, bytes, an array or a PIL image, not {type(source).__name__}.")
    if empty:
        file.close()
        raise ImageError(f"'{name}' is empty (0 bytes). Copy or download it again.")
    return file


def _header(file: IO[bytes], name: str) -> PIL.Image.Image:
    head = file.read(1024)
    file.seek(0)
    if b"<svg" in head or Path(name).suffix.lower() in (".svg", ".svgz"):
        raise ImageError(f"'{name}' is a drawing (SVG), not a photo. Export it as PNG.")
    heif = head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS
    if heif:
        _register_heif(name)
    try:
        # Pillow's own limit is one number for the whole process and below ours; ours follows at once.
        with _pillow_limit:
            limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
            try:
                picture = PIL.Image.open(file, formats=("HEIF",) if heif else _FORMATS)
            finally:
                PIL.Image.MAX_IMAGE_PIXELS = limit
    except PIL.UnidentifiedImageError as error:
        if head[:4] in (b"II*\0", b"MM\0*"):
            raise ImageError(
                f"'{name}' is a TIFF of a kind that is not read, such as one with more than four bands or "
                "with fractions for colours. Save it as RGB or grey, with 8 or 16 bits."
            ) from error
        raise ImageError(f"'{name}' is not a picture that can be read. Use {_READABLE}.") from error
    _check_planes(picture, name)
    return picture


def _tag(picture: PIL.Image.Image, number: int) -> Any:
    """The value of a tag of a TIFF file; None where it has none, and for other formats."""
    return getattr(picture, "tag_v2", {}).get(number)


def _check_planes(picture: PIL.Image.Image, name: str) -> None:
    """Refuse what Pillow and OpenCV both misread in silence."""
    if _tag(picture, _PLANAR) == 2 and max(_tag(picture, _BITS) or (8,)) > 8:
        raise ImageError(
            f"'{name}' is a TIFF that stores its colours one after the other with more than 8 bits each, "
            "which is not read. Save it with 8 bits, or with the colours of each pixel together."
        )


def _register_heif(name: str) -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError(
            f"'{name}' is a HEIC photo, which needs one more package: pip install pillow-heif. "
            "Or save it as JPEG."
        ) from error
    pillow_heif.register_heif_opener()


def _is_deep_color(picture: PIL.Image.Image) -> TypeGuard[PIL.ImageFile.ImageFile]:
    return (
        isinstance(picture, PIL.ImageFile.ImageFile)
        and picture.mode in ("RGB", "RGBA")
        and ";16" in str(picture.tile)
    )


def _deep_color(picture: PIL.ImageFile.ImageFile) -> np.ndarray:
    """16 bits a colour, of which Pillow would keep the upper eight: (H, W, 3 or 4) uint16."""
    file = picture.fp
    assert file is not None
    position = file.tell()
    file.seek(0)
    data = np.frombuffer(file.read(), np.uint8)
    file.seek(position)
    picture.load()  # OpenCV passes over a cut file in silence, Pillow does not
    array = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED))
    return np.take(array, (2, 1, 0, 3)[: array.shape[2]], axis=2)
