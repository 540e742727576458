"""Writing so that nothing is overwritten and nothing half-written carries its final name."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from ..atomic import partial_name, sweep, sync_file
from ..errors import ExportError
from ..images import read_image
from .palette import Colour
from .plan import Picture


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to write into, which gets its name when all is written.

    Yields a hidden folder beside ``out``. When the block ends well it becomes ``out``; when it fails
    it is removed. What a killed program leaves behind, the next export into the same place removes.

    Raises:
        ExportError: the target exists and is not an empty folder, or cannot be written.
    """
    sweep(out.parent)
    _check_free(out)
    partial = out.parent / partial_name()
    try:
        partial.mkdir(parents=True)
        yield partial
        if out.is_dir():
            out.rmdir()  # fails if it has been filled meanwhile
        partial.rename(out)
    except (OSError, ExportError) as error:
        raise _under_its_name(out, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def new_file(out: Path) -> Iterator[Path]:
    """The same for one file.

    Raises:
        ExportError: the target exists, or cannot be written.
    """
    if out.exists() or out.is_symlink():
        raise ExportError(f"'{out}' exists already. Choose another name, or move it away first.")
    sweep(out.parent)
    partial = out.parent / partial_name()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        sync_file(partial)
        _give_name(partial, out)
    except (OSError, ExportError) as error:
        raise _under_its_name(out, error) from error
    finally:
        with suppress(OSError):  # where a file stands in place of the folder, that was told above
            partial.unlink(missing_ok=True)


def _give_name(partial: Path, out: Path) -> None:
    try:
        os.link(partial, out)  # unlike a rename, never overwrites
    except OSError as error:
        if error.errno == errno.EEXIST or out.exists():
            raise
        partial.rename(out)  # a file system without links


def _check_free(out: Path) -> None:
    try:
        free = not (out.exists() or out.is_symlink()) or (out.is_dir() and not any(out.iterdir()))
    except OSError as error:
        raise cannot_write(out, error) from error
    if not free:
        raise ExportError(
            f"'{out}' exists already and is not an empty folder. Choose another name, or move it away first."
        )


def _under_its_name(out: Path, error: OSError | ExportError) -> ExportError:
    """The error of a write in ``out``, where what is written within it lies below a hidden name."""
    if isinstance(error, ExportError):
        return cannot_write(out, error.__cause__) if isinstance(error.__cause__, OSError) else error
    return cannot_write(out, error)


def cannot_write(out: Path, error: OSError) -> ExportError:
    """What went wrong on the disk, in a sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason, todo = "the disk is full", "Free some space"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason, todo = "writing is not allowed there", "Choose another folder"
    elif error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR):
        reason, todo = "something of that name is in the way", "Choose another name"
    else:
        reason, todo = error.strerror or str(error), "Check the folder"
    return ExportError(f"'{out}' was not written: {reason}. {todo} and export again. Nothing is half done.")


def placed(partial: Path, out: Path) -> list[Path]:
    """Where the files of a finished export will lie, sorted."""
    return [out / p.relative_to(partial) for p in sorted(partial.rglob("*")) if p.is_file()]


def write_json(path: Path, head: Mapping[str, Any], lists: Mapping[str, Iterable[Any]]) -> None:
    """A JSON object: ``head``, then long lists, an entry a line, which need not fit in memory."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("{")
        for key, value in head.items():
            file.write(f"{dumps(key)}:{dumps(value)},\n")
        for place, (key, entries) in enumerate(lists.items()):
            file.write(f"{',' if place else ''}\n{dumps(key)}:")
            _write_entries(file, entries)
        file.write("}\n")


def write_json_list(path: Path, entries: Iterable[Any]) -> None:
    """A JSON list, an entry a line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        _write_entries(file, entries)
        file.write("\n")


def _write_entries(file: Any, entries: Iterable[Any]) -> None:
    file.write("[")
    for place, entry in enumerate(entries):
        file.write(f"{',' if place else ''}\n{dumps(entry)}")
    file.write("]")


def dumps(value: Any) -> str:
    """Compact JSON; letters of all languages as they are."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def write_index_png(path: Path, index: npt.NDArray[np.uint8], palette: Sequence[Colour]) -> None:
    """A (H, W) picture of small numbers, shown in the palette's colours, as a PNG."""
    picture = PIL.Image.fromarray(index)
    picture.putpalette([channel for colour in palette for channel in colour])
    picture.save(path, format="PNG", compress_level=3)


def write_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """(H, W) grey or (H, W, 3) RGB as a PNG."""
    path.write_bytes(as_png(pixels))


def as_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The bytes of a PNG of (H, W) grey or (H, W, 3) RGB: OpenCV's encoder is the fast one."""
    ordered = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    return cv2.imencode(".png", ordered)[1].tobytes()


def copy_picture(picture: Picture, target: Path) -> None:
    """Put a picture beside its annotations.

    The file is copied as it is, unless it is stored turned: then it is saved upright, since not every
    tool turns pictures and masks are upright.

    Raises:
        ExportError: the file is unknown, has gone, or shows something else now.
    """
    if picture.path is None or not picture.path.is_file():
        where = f"is no longer at '{picture.path}'" if picture.path else "came without its file"
        raise ExportError(
            f"The picture '{picture.original}' {where}. Put it back, or export without the pictures."
        )
    image = read_image(picture.path)
    if image.size != picture.size or picture.digest not in ("", image.digest):
        raise ExportError(
            f"The picture '{picture.path}' has changed since it was segmented. Put the old one back, "
            "segment it again, or export without the pictures."
        )
    with PIL.Image.open(picture.path) as stored:
        turned = stored.getexif().get(0x0112, 1) != 1
    if not turned:
        shutil.copyfile(picture.path, target)
        return
    try:
        PIL.Image.fromarray(image.pixels).save(target, quality=95)
    except ValueError as error:
        raise ExportError(
            f"The picture '{picture.original}' is stored turned, in a format that cannot be saved upright. "
            "Convert it to JPEG or PNG, or export without the pictures."
        ) from error


def copy_pictures(pictures: Sequence[Picture], folder: Path) -> None:
    """Put all pictures of an export into a folder, under their names there.

    Raises:
        ExportError: a file is unknown, has gone, or shows something else now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        copy_picture(picture, folder / picture.name)
