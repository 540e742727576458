"""A run into a folder: where each result goes, which are there already, and the record of the run.

Results mirror the folders of the queries, so equal names in different folders never meet; of several labels
each has a folder of its own. Every file is written whole or not at all, the mask last: where a mask is, the
rest is. ``lfss-run.json`` holds the settings and one record for each picture and label: what is recorded is
kept by the next run, and a run with other settings does not mix its results in.
"""

from __future__ import annotations

import errno
import io
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ..atomic import sweep, write_atomic
from ..doubt import warning
from ..drafts import Origin
from ..errors import ExportError, InputError
from ..figures import draw, save_png_atomic, strip
from ..files import exists
from ..images import Image
from ..stages import Prediction, Stage
from ..storage.pictures import Stamp
from .drafts import draft_of
from .loop import Outcome, Query
from .planning import Job
from .record import Record, RunRecord, record_of

OVERLAY_SIDE = 1600  # pixels; an overlay is to look at, the mask has every pixel
_SAVE_EVERY = 5.0  # seconds between two writings of the record


@dataclass(frozen=True, eq=False)
class FolderLabel:
    """A label of a run into a folder.

    Attributes:
        name: of the label.
        folder: below the output folder; empty if there is one label alone.
        supports: shown in the strips of the stages.
        digests: of the supports.
    """

    name: str
    folder: str = ""
    supports: Sequence[Image] = ()
    digests: Sequence[str] = ()


class IntoFolder:
    """A sink that writes masks and overlays; ``save`` the record before and after the run.

    Args:
        out: the output folder.
        jobs: where the results of each picture go.
        labels: of the run, in order.
        earlier: the settings of the run and the record of an earlier one; where all files of a picture are
            there they are kept.
        provenance: settings as a draft's origin names them.
        stages: write the strip (PNG) and the arrays (npz) of all stages too.
    """

    def __init__(
        self,
        out: Path,
        jobs: Sequence[Job],
        labels: Sequence[FolderLabel],
        *,
        earlier: RunRecord,
        provenance: Mapping[str, str],
        stages: bool = False,
    ):
        self.out, self.labels, self.settings, self.stages = out, labels, earlier.settings, stages
        self._records = {(r.outcome.image, r.outcome.label): r for r in earlier.results}
        self._origins: dict[str, Origin] = dict(earlier.origins)
        self._provenance, self._saved = provenance, time.monotonic()
        self._jobs = {job.image: job for job in jobs}
        self._swept: set[Path] = set()

    def save(self) -> None:
        """Write the settings and the record of the run.

        Raises:
            ExportError: it cannot be written, as on a full disk.
        """
        self._saved = time.monotonic()
        with writing(self.out):
            RunRecord(self.settings, list(self._records.values()), self._origins).save(self.out)

    def kept(self, query: Query, image: Image | None = None) -> list[Outcome] | None:
        """The outcomes of a picture of which every file of an earlier run is there."""
        name = self._jobs[query.path].name
        found = [self._records.get((name, label.name)) for label in self.labels]
        if image is not None or not all(
            record and all(map(exists, self._files(query, label)))
            for record, label in zip(found, self.labels)
        ):
            return None
        return [replace(record.outcome, status="kept") for record in found if record]

    @property
    def make(self) -> Callable[[Query, Image, Sequence[Prediction], Stamp | None], list[Record]]:
        """Writes the files of all labels."""
        return self._write

    def keep(self, query: Query, made: Sequence[Record]) -> list[Outcome]:
        """Note in the record what was written."""
        for record in made:
            self._records[record.outcome.image, record.outcome.label] = record
        if time.monotonic() - self._saved > _SAVE_EVERY:
            self.save()
        return [record.outcome for record in made]

    def fail(self, query: Query, message: str) -> list[Outcome]:
        """Note in the record why a picture failed."""
        name = self._jobs[query.path].name
        failed = [Outcome(name, label.name, "failed", message=message) for label in self.labels]
        return self.keep(query, [Record(outcome, str(query.path)) for outcome in failed])

    def _files(self, query: Query, label: FolderLabel) -> tuple[Path, ...]:
        return self._jobs[query.path].results(label.folder, stages=self.stages)

    def _write(
        self, query: Query, image: Image, predictions: Sequence[Prediction], stamp: Stamp | None
    ) -> list[Record]:
        records = []
        for label, prediction in zip(self.labels, predictions, strict=True):
            files = self._files(query, label)
            self._sweep(files[-1].parent)
            with writing(files[-1].parent):
                _save(files, prediction, image, label.supports if self.stages else None)
            draft = draft_of(prediction, image, supports=label.digests, settings=self._provenance)
            self._origins[label.name] = draft.origin
            outcome = Outcome(
                self._jobs[query.path].name,
                label.name,
                "done",
                str(files[-1]),
                area=float(prediction.mask.mean()),
                presence=float(prediction.presence),
                doubt=draft.doubt,
                lost=draft.lost,
                seconds=float(prediction.seconds),
                message=warning(float(prediction.mask.mean()), label.name),
            )
            records.append(record_of(draft, outcome, files[-1].relative_to(self.out).as_posix()))
        return records

    def _sweep(self, folder: Path) -> None:
        """Remove what killed programs left in a folder, once."""
        if folder not in self._swept:
            self._swept.add(folder)
            sweep(folder)


def stage_arrays(prediction: Prediction) -> bytes:
    """All stages as npz: ``<key>.query``, ``<key>.support1`` and so on; maps in half precision."""
    arrays: dict[str, np.ndarray] = {}
    for stage in prediction.stages:
        given = {"query": stage.query, **{f"support{i}": s for i, s in enumerate(stage.supports, start=1)}}
        for name, values in given.items():
            if values is not None:
                small = stage.kind in ("map", "regions") and values.dtype.kind == "f"
                arrays[f"{stage.key}.{name}"] = values.astype(np.float16) if small else values
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """A write that fails, in a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # it costs this picture alone
            raise InputError(
                f"The results in '{folder}' would have a name that its file system does not take. "
                "Shorten the name of the picture."
            ) from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ExportError(
                f"The disk of '{folder}' is full. Make room and run the same command again: "
                "what is done is kept."
            ) from error
        raise ExportError(
            f"Nothing can be written to '{folder}' ({error.strerror}). Choose another --out."
        ) from error


def _save(
    files: Sequence[Path], prediction: Prediction, query: Image, supports: Sequence[Image] | None
) -> None:
    overlay, *stages, mask = files
    overlay.parent.mkdir(parents=True, exist_ok=True)
    longest = max(query.size)
    whole = math.ceil(longest / OVERLAY_SIDE)  # shrinking by a whole number is several times faster
    shown = Stage("prediction", "Prediction", "mask", (), prediction.mask)
    picture = draw(shown, query, max_side=math.ceil(longest / whole))
    _, data = cv2.imencode(".jpg", picture[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 90))
    write_atomic(overlay, data.tobytes())
    if supports is not None:
        save_png_atomic(stages[0], strip(prediction, query, supports))
        write_atomic(stages[1], stage_arrays(prediction))
    save_png_atomic(mask, prediction.mask)
