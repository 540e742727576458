"""Files that visitors send: copied into a session's own folder, zips unpacked with their limits."""

from __future__ import annotations

import io
import os
import re
import secrets
import shutil
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lfss.errors import ImageError, LfssError
from lfss.images import SUFFIXES

from .zip_names import name_of

MAX_ZIP_FILES = 20_000
MAX_FILE_BYTES = 512 * 2**20
MAX_ZIP_BYTES = 8 * 2**30  # of all pictures in one zip, unpacked
MAX_ZIP_GROWTH = 20  # times its own size; photos hardly shrink in a zip, so what grows more is a bomb
SMALL_ZIP_BYTES = 2**30  # unpacked, whatever the growth
MAX_ZIP_LISTING = 8 * 2**20  # of the zip's own list of its files, which is read before anything is counted
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Upload:
    """A picture in the session's folder.

    Attributes:
        path: where it lies.
        name: what it was called, with the folders of a zip before it.
        guessed: whether the zip does not tell how the name is written.
    """

    path: Path
    name: str
    guessed: bool = False


def take(
    paths: Iterable[str | Path], folder: Path, *, zip_encoding: str = ""
) -> Iterator[Upload | LfssError]:
    """Copy pictures, and those inside zips, into a folder.

    Names from outside never become paths: each file gets a fresh name of its own.

    Args:
        paths: files as the server received them.
        folder: the session's folder for pictures; made if missing.
        zip_encoding: of names in zips that do not tell; see ``zip_names``.

    Yields:
        One Upload for each picture, or the reason why a file was refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in map(Path, paths):
        if path.suffix.lower() == ".zip":
            yield from _unpack(path, folder, zip_encoding)
            continue
        try:
            target = _fresh(folder, _picture_suffix(path.name))
            put_copy(path, target)
            yield Upload(target, shown_name(path.name))
        except LfssError as error:
            yield error


def count_pictures(paths: Iterable[str | Path], *, most: int, zip_encoding: str = "") -> int:
    """How many pictures files and zips hold, as the zips say, before anything is unpacked.

    Raises:
        ImageError: more than ``most``.
    """
    count = 0
    for path in map(Path, paths):
        count += 1
        if path.suffix.lower() == ".zip":
            try:
                with _Bounded(path) as file, zipfile.ZipFile(file) as archive:
                    count += sum(_wanted(m, zip_encoding) for m in archive.infolist()) - 1
            except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
                continue  # ``take`` says what is wrong with it
        if count > most:
            raise ImageError(f"At most {most:,} pictures at once, those in zips too. Send them in parts.")
    return count


def shown_name(name: str) -> str:
    """A file name fit to be shown and written into an export: no control marks, at most 200 characters."""
    parts = [p for p in PurePosixPath(name.replace("\\", "/")).parts if p not in ("/", "..", ".")]
    text = "/".join(p for p in parts if not re.fullmatch(r"[A-Za-z]:", p))
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    return text[-200:].strip() or "picture"


def _picture_suffix(name: str) -> str:
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        known = "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, JPEG 2000, PPM or HEIC"
        raise ImageError(
            f"'{shown_name(name)}' is no picture of a known kind. Use {known}, or a zip of them."
        )
    return suffix


def _fresh(folder: Path, suffix: str) -> Path:
    return folder / f"{secrets.token_hex(8)}{suffix}"


def put_copy(source: Path, target: Path) -> None:
    """Link a file to another place, or copy it; raises ImageError with a sentence."""
    try:
        os.link(source, target)  # the same disk as a rule, and costs nothing
    except OSError:
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            target.unlink(missing_ok=True)
            raise ImageError(
                f"'{shown_name(source.name)}' cannot be stored ({error.strerror}). Send it again."
            ) from error


class _TooLarge(ImageError):
    """A file in a zip grew past its limit."""


class _Bounded(io.FileIO):
    """A file of which no single read is huge: zipfile reads the list of files in one go."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_ZIP_LISTING:
            raise ImageError(
                f"'{shown_name(Path(str(self.name)).name)}' lists too many files. Send it in parts."
            )
        return super().read(size) or b""


def _unpack(path: Path, folder: Path, encoding: str) -> Iterator[Upload | LfssError]:
    name = shown_name(path.name)
    try:
        with _Bounded(path) as file, zipfile.ZipFile(file) as archive:
            members = [m for m in archive.infolist() if _wanted(m, encoding)]
            if len(members) > MAX_ZIP_FILES:
                raise ImageError(f"'{name}' holds more than {MAX_ZIP_FILES:,} pictures. Send it in parts.")
            if not members:
                raise ImageError(f"'{name}' holds no picture. Put JPEG or PNG files into it.")
            left = min(MAX_ZIP_BYTES, max(SMALL_ZIP_BYTES, MAX_ZIP_GROWTH * path.stat().st_size))
            for member in members:
                if left <= 0:
                    raise ImageError(f"'{name}' is too large when unpacked. The rest of it was left out.")
                limit = min(MAX_FILE_BYTES, left)
                written, told = name_of(member, encoding)
                shown = shown_name(written)
                try:
                    target = _fresh(folder, _picture_suffix(written))
                    left -= _extract(archive, member, shown, target, limit)
                    yield Upload(target, shown, not told)
                except ImageError as error:
                    if isinstance(error, _TooLarge):  # the work was done, though nothing of it is kept
                        left -= limit
                    yield error
    except ImageError as error:
        yield error
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        yield ImageError(f"'{name}' is no zip that can be read. Pack it again, or send the pictures alone.")


def _wanted(member: zipfile.ZipInfo, encoding: str) -> bool:
    name, told = name_of(member, encoding)
    if not name:
        return False
    # In CP932 and GBK the byte of a back slash may be half of a letter.
    parts = PurePosixPath(name.replace("\\", "/") if told else name).parts
    hidden = any(p.startswith((".", "__MACOSX")) and p != ".." for p in parts)
    return not member.is_dir() and not hidden and Path(name).suffix.lower() in SUFFIXES


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, target: Path, limit: int) -> int:
    """Unpack one file; what the archive says about sizes is not relied on. Returns the bytes written."""
    written = 0
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # What unpacks LZMA takes as much memory as the file asks for.
        raise ImageError(f"'{name}' is packed in a rare way. Make an ordinary zip (method Deflate).")
    try:
        with archive.open(member) as source, target.open("xb") as out:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > limit:
                    raise _TooLarge(f"'{name}' is too large when unpacked. It was left out.")
                out.write(chunk)
    except ImageError:
        target.unlink(missing_ok=True)
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
        target.unlink(missing_ok=True)
        raise ImageError(f"'{name}' in the zip is damaged or locked with a password.") from error
    return written
