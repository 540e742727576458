"""A folder of queries: where each result goes, which are there already, and what became of each.

Results mirror the folders of the queries, so equal names in different folders never meet. Every file
is written whole or not at all, the mask last: where a mask is, the rest is. ``lfss-run.json`` in the
output folder holds the settings and one record for each picture: what is recorded is kept by the next
run, and a run with other settings does not mix its results in.
"""

from __future__ import annotations

import errno
import io
import json
import logging
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from .atomic import sweep, write_atomic
from .errors import ExportError, ImageError, InputError, LfssError, WeightsError
from .figures import draw, save_png_atomic, strip
from .files import exists, is_folder, read_bytes
from .images import Image, list_images, read_image
from .stages import Prediction, Stage
from .text import decode, escaped

RUN_FILE = "lfss-run.json"
MAX_RECORDS = 1 << 28  # bytes of it; about a million pictures
OVERLAY_SIDE = 1600  # pixels; an overlay is to look at, the mask has every pixel
_ENDINGS = (".overlay.jpg", ".stages.png", ".stages.npz", ".mask.png")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One query and where its results go.

    Attributes:
        image: the picture.
        name: its path below the folder that all queries share, for people and records.
        target: the results' path without their endings.
    """

    image: Path
    name: str
    target: Path

    def results(self, *, stages: bool) -> tuple[Path, ...]:
        """The files of this query: overlay, with ``stages`` strip and arrays, and the mask last."""
        endings = _ENDINGS if stages else (_ENDINGS[0], _ENDINGS[-1])
        return tuple(self.target.with_name(self.target.name + ending) for ending in endings)


@dataclass(frozen=True)
class Outcome:
    """What became of one query.

    Attributes:
        image: the job's name.
        status: ``done`` now, ``kept`` from an earlier run, or ``failed``.
        mask: path of the mask file; None if it failed.
        area: share of the picture that the mask covers, in [0, 1].
        presence: how sure the model is that the object is there, in [0, 1].
        seconds: time of the model on this query.
        message: why it failed, one sentence.
    """

    image: str
    status: Literal["done", "kept", "failed"]
    mask: str | None = None
    area: float | None = None
    presence: float | None = None
    seconds: float | None = None
    message: str = ""


def plan(queries: Sequence[Path], out: Path, *, missing: bool = False) -> list[Job]:
    """One job for each picture in folders and files, in counting order.

    Results of earlier runs among them are left out. Pictures that differ only in their ending keep it
    in the names of their results.

    Args:
        queries: files and folders.
        out: the folder for results.
        missing: plan for files that are not there too, as a list may name them: ``run`` tells of each.

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
        jobs.append(Job(file, name.as_posix(), out / (stem if alone else name)))
    return jobs


def list_queries(queries: Sequence[Path], *, missing: bool = False) -> list[Path]:
    """Pictures in folders and files, in counting order, without results of earlier runs among them.

    Args:
        queries: files and folders.
        missing: list files that are not there too.

    Raises:
        ImageError: a path does not exist, a folder cannot be read, or there is no picture.
    """
    missing = missing and any(map(exists, queries))  # where nothing is there, the first tells enough
    files = [f for f in list_images(queries, missing=missing) if not f.name.lower().endswith(_ENDINGS)]
    if not files:
        places = ", ".join(f"'{query}'" for query in queries[:5])
        raise ImageError(f"There is no picture in {places}. Name a folder with photos.")
    return files


def run(
    jobs: Iterable[Job],
    predict: Callable[[Image], Prediction],
    *,
    supports: Sequence[Image] = (),
    stages: bool = False,
    earlier: Mapping[str, Outcome] | None = None,
) -> Iterator[Outcome]:
    """Segment one query after the other and write its results.

    A picture that fails is reported and the rest goes on. Memory does not grow with the number of jobs.

    Args:
        jobs: see ``plan``.
        predict: a query to its prediction.
        supports: shown in the strips of ``stages``.
        stages: write the strip (PNG) and the arrays (npz) of all stages too.
        earlier: outcomes of an earlier run by name; where their files are complete they are kept.

    Raises:
        ExportError: results cannot be written, as on a full disk.
        WeightsError: the model cannot be loaded.
    """
    swept: set[Path] = set()
    for job in jobs:
        if job.target.parent not in swept:
            swept.add(job.target.parent)
            sweep(job.target.parent)
        known = (earlier or {}).get(job.name)
        if known and all(map(exists, job.results(stages=stages))):
            yield replace(known, status="kept")
            continue
        try:
            query = read_image(job.image)
            prediction = predict(query)
            _save(job, prediction, query, supports if stages else None)
        except (ExportError, WeightsError):
            raise
        except LfssError as error:
            yield Outcome(job.name, "failed", message=str(error))
        except Exception as error:  # a fault of ours on one picture must not cost the other 499
            logger.exception("fault while segmenting %s", job.name)
            reason = f"'{job.image.name}' met a fault of this program ({type(error).__name__}: {error})."
            yield Outcome(job.name, "failed", message=escaped(reason))
        else:
            yield Outcome(
                job.name,
                "done",
                str(job.results(stages=stages)[-1]),
                area=float(prediction.mask.mean()),
                presence=float(prediction.presence),
                seconds=float(prediction.seconds),
            )


def earlier_outcomes(out: Path, settings: Mapping[str, Any], jobs: Iterable[Job]) -> dict[str, Outcome]:
    """Records of the run that an output folder already holds, by name; empty for a new folder.

    Raises:
        InputError: they come from other settings or cannot be read, or files of other origin would
            be replaced.
    """
    file, advice = out / RUN_FILE, "Choose another --out, or add --overwrite to replace what is there."
    if not exists(file):
        foreign = (path for job in jobs for path in job.results(stages=True) if exists(path))
        if path := next(foreign, None):
            raise InputError(f"'{path}' is there already and comes from no run of this program. {advice}")
        return {}
    try:
        document = json.loads(decode(read_bytes(file, most=MAX_RECORDS), "It"))
        before = {"method": "lfss", **document["settings"]}  # once the only one, and not written down
        outcomes = [_outcome(record) for record in document["results"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"The records '{file}' of an earlier run cannot be read. {advice}") from error
    other = [key for key in settings if before.get(key) != settings[key]]
    if other:
        raise InputError(f"'{out}' holds results of a run with another {' and '.join(other)}. {advice}")
    return {outcome.image: outcome for outcome in outcomes if outcome.status != "failed"}


def _outcome(record: Mapping[str, Any]) -> Outcome:
    """A record of an earlier run; raises ValueError where a field is of another kind."""
    outcome = Outcome(**record)
    texts = (outcome.image, outcome.message, outcome.mask or "")
    numbers = [v for v in (outcome.area, outcome.presence, outcome.seconds) if v is not None]
    if (
        outcome.status not in ("done", "kept", "failed")
        or not all(isinstance(v, str) for v in texts)
        or not all(isinstance(v, float | int) and math.isfinite(v) for v in numbers)
    ):
        raise ValueError("a field of another kind")
    return outcome


def save_outcomes(out: Path, settings: Mapping[str, Any], outcomes: Iterable[Outcome]) -> None:
    """Write the settings and records of a run.

    Raises:
        ExportError: the file cannot be written, as on a full disk.
    """
    document = {"settings": settings, "results": [asdict(outcome) for outcome in outcomes]}
    with _told(out):
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / RUN_FILE, json.dumps(document, indent=1).encode())


def _save(job: Job, prediction: Prediction, query: Image, supports: Sequence[Image] | None) -> None:
    overlay, *stages, mask = job.results(stages=supports is not None)
    with _told(job.target.parent):
        overlay.parent.mkdir(parents=True, exist_ok=True)
        side = max(query.size)
        whole = math.ceil(side / OVERLAY_SIDE)  # shrinking by a whole number is several times faster
        picture = draw(_as_stage(prediction), query, max_side=math.ceil(side / whole))
        _, data = cv2.imencode(".jpg", picture[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 90))
        write_atomic(overlay, data.tobytes())
        if supports is not None:
            save_png_atomic(stages[0], strip(prediction, query, supports))
            write_atomic(stages[1], stage_arrays(prediction))
        save_png_atomic(mask, prediction.mask)


def _as_stage(prediction: Prediction) -> Stage:
    return Stage("prediction", "Prediction", "mask", (), prediction.mask)


def stage_arrays(prediction: Prediction) -> bytes:
    """All stages as npz: ``<key>.query``, ``<key>.support1`` and so on; maps in half precision."""
    arrays: dict[str, np.ndarray] = {}
    for stage in prediction.stages:
        sides = {"query": stage.query, **{f"support{i}": s for i, s in enumerate(stage.supports, start=1)}}
        for side, values in sides.items():
            if values is not None:
                small = stage.kind in ("map", "regions") and values.dtype.kind == "f"
                arrays[f"{stage.key}.{side}"] = values.astype(np.float16) if small else values
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """A write that fails, in a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # of this picture alone
            raise ImageError(
                f"The name of the picture is too long for the names of its results in '{folder}'. "
                "Give the picture a shorter name."
            ) from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ExportError(
                f"The disk of '{folder}' is full. Make room and run the same command again: "
                "what is done is kept."
            ) from error
        raise ExportError(
            f"Nothing can be written to '{folder}' ({error.strerror}). Choose another --out."
        ) from error


def _absolute(path: Path) -> Path:
    """Without ``..``, but with links as they are named."""
    return Path(os.path.normpath(path.absolute()))
