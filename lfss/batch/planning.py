"""Which pictures a run is over, and where the results of each go in an output folder."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ImageError, InputError
from ..files import exists, is_folder
from ..images import list_images

logger = logging.getLogger(__name__)

_LONGEST = 240  # bytes of the name of a result: file systems allow 255, some a little less
_ENDINGS = (".overlay.jpg", ".stages.png", ".stages.npz", ".mask.png")


@dataclass(frozen=True)
class Job:
    """One query and where its results go.

    Attributes:
        image: the picture.
        name: its path below the folder that all queries share, for people and records.
        out: the output folder.
        stem: the results' path below it, without their endings.
    """

    image: Path
    name: str
    out: Path
    stem: Path

    def results(self, folder: str = "", *, stages: bool) -> tuple[Path, ...]:
        """The files of this query: overlay, with ``stages`` strip and arrays, and the mask last.

        Args:
            folder: of the label, below the output folder.
            stages: whether there are a strip and arrays.
        """
        endings = _ENDINGS if stages else (_ENDINGS[0], _ENDINGS[-1])
        target = self.out / folder / self.stem
        return tuple(target.with_name(target.name + ending) for ending in endings)


def plan(queries: Sequence[Path], out: Path, *, missing: bool = False) -> list[Job]:
    """One job for each picture in folders and files, in counting order.

    Results of earlier runs among them are left out. Pictures that differ only in their ending keep it
    in the names of their results. Names that would be too long with an ending are cut and marked.

    Args:
        queries: files and folders.
        out: the folder for results.
        missing: plan for files that are not there too, as a list may name them: the run tells of each.

    Raises:
        ImageError: a path does not exist, a folder cannot be read, or there is no picture.
        InputError: the queries share no folder, as on two drives, or the output folder is a file.
    """
    if exists(out) and not is_folder(out):
        raise InputError(f"'{out}' is a file. Name a folder for the results.")
    files = list_queries(queries, missing=missing)
    try:
        base = Path(os.path.commonpath([_absolute(q if is_folder(q) else q.parent) for q in queries]))
    except ValueError as error:
        raise InputError("The queries lie on different drives. Run once for each drive.") from error
    names = [_absolute(file).relative_to(base) for file in files]
    taken = Counter(str(name.with_suffix("")).casefold() for name in names)
    jobs = []
    for file, name in zip(files, names):
        stem = name.with_suffix("")
        alone = taken[str(stem).casefold()] == 1
        jobs.append(Job(file, name.as_posix(), out, _shortened(stem if alone else name)))
    return jobs


def _shortened(stem: Path) -> Path:
    """The path of results, its last part cut where no file system would take it with an ending.

    Eight digits of its SHA-256 keep names apart that begin alike.
    """
    name, most = os.fsencode(stem.name), _LONGEST - max(map(len, _ENDINGS))
    if len(name) <= most:
        return stem
    mark = hashlib.sha256(name).hexdigest()[:8]
    return stem.with_name(f"{name[: most - 9].decode(errors='ignore')}-{mark}")


def list_queries(queries: Sequence[Path], *, missing: bool = False) -> list[Path]:
    """Pictures in folders and files, in counting order, without results of earlier runs among them.

    Args:
        queries: files and folders.
        missing: list files that are not there too.

    Raises:
        ImageError: a path does not exist, a folder cannot be read, or there is no picture.
    """
    missing = missing and any(map(exists, queries))  # where nothing is there, the first tells enough
    others: Counter[str] = Counter()
    found = list_images(queries, missing=missing, passed_over=others)
    files = [f for f in found if not f.name.lower().endswith(_ENDINGS)]
    if others:
        kinds = ", ".join(f"{ending or 'without ending'} {n}" for ending, n in others.most_common(8))
        many = f"{others.total():,} files are no pictures" if others.total() > 1 else "1 file is no picture"
        logger.warning("%s (%s).", many, kinds)
    if not files:
        places = ", ".join(f"'{query}'" for query in queries[:5])
        raise ImageError(f"There is no picture in {places}. Name a folder with photos.")
    return files


def _absolute(path: Path) -> Path:
    """Without ``..``, but with links as they are named."""
    return Path(os.path.normpath(path.absolute()))
