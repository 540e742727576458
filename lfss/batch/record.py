"""``lfss-run.json``: the record of a run in its output folder, by which a run goes on and is imported.

``settings`` are those of the run, ``origins`` say for each label who made its masks, and ``results`` has one
entry for each picture and label.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..atomic import write_atomic
from ..drafts import Draft, Origin
from ..errors import InputError
from ..files import exists, read_bytes
from ..text import decode
from .loop import Outcome
from .planning import Job

RUN_FILE = "lfss-run.json"
MAX_BYTES = 1 << 29  # of it; about a million pictures

_NUMBERS = ("area", "presence", "doubt", "seconds")
_OUTCOME = tuple(f.name for f in fields(Outcome))


@dataclass(frozen=True)
class Record:
    """One picture and label of a run.

    Attributes:
        outcome: what became of it.
        path: the picture.
        digest: of the picture, see ``lfss.images``; empty where there is no mask.
        file: the mask, below the output folder.
        score: how sure the model is of the mask, in [0, 1].
    """

    outcome: Outcome
    path: str = ""
    digest: str = ""
    file: str = ""
    score: float | None = None


@dataclass(frozen=True)
class RunRecord:
    """All that the file holds."""

    settings: Mapping[str, Any]
    results: Sequence[Record]
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def save(self, out: Path) -> None:
        """Write the file whole or not at all; raises OSError."""
        document = {
            "settings": dict(self.settings),
            "origins": {label: asdict(origin) for label, origin in self.origins.items()},
            "results": [_entry(record) for record in self.results],
        }
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / RUN_FILE, json.dumps(document, indent=1).encode())


def record_of(draft: Draft, outcome: Outcome, file: str) -> Record:
    """The record of a mask that was written."""
    path = draft.image_path.absolute().as_posix() if draft.image_path else ""
    return Record(outcome, path, draft.image_digest, file, draft.score)


def read_record(file: Path) -> RunRecord:
    """Read a record, also one of an earlier version.

    Raises:
        InputError: it cannot be read, or is not a record of a run.
    """
    try:
        document = json.loads(decode(read_bytes(file, most=MAX_BYTES), "It"))
        settings = {"method": "lfss", **document["settings"]}  # once the only one, and not written down
        label = _only_label(settings)
        origins = {
            str(name): Origin(**{**about, "supports": tuple(about["supports"])})
            for name, about in document.get("origins", {}).items()
        }
        return RunRecord(settings, [_record(entry, label) for entry in document["results"]], origins)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"The record '{file}' of a run cannot be read. It is damaged.") from error


def earlier_records(
    out: Path, settings: Mapping[str, Any], jobs: Iterable[Job], folders: Sequence[str]
) -> RunRecord:
    """The record that an output folder already holds; empty for a new folder.

    Args:
        out: the output folder.
        settings: of the run that is to go on.
        jobs: the pictures of that run.
        folders: of its labels.

    Raises:
        InputError: it comes from other settings or cannot be read, or files of other origin would be
            replaced.
    """
    file, advice = out / RUN_FILE, "Choose another --out, or add --overwrite to replace what is there."
    if not exists(file):
        places = (p for job in jobs for folder in folders for p in job.results(folder, stages=True))
        if path := next((p for p in places if exists(p)), None):
            raise InputError(f"'{path}' is there already and comes from no run of this program. {advice}")
        return RunRecord(settings, [])
    try:
        found = read_record(file)
    except InputError as error:
        raise InputError(f"{error} {advice}") from error
    done = [record for record in found.results if record.outcome.status != "failed"]
    other = [key for key in {**settings, **found.settings} if found.settings.get(key) != settings.get(key)]
    if other and not done and not any(out.rglob("*.mask.png")):
        return RunRecord(settings, [])  # nothing came of that run, so there is nothing to mix with
    if other:
        raise InputError(f"'{out}' holds results of a run with another {' and '.join(other)}. {advice}")
    return RunRecord(settings, done, found.origins)


def _entry(record: Record) -> dict[str, Any]:
    """What is known of a picture and label; new fields are left out where they are empty."""
    always = ("image", "status", "mask", "area", "presence", "seconds", "message")
    about = {**asdict(record.outcome), **{k: v for k, v in vars(record).items() if k != "outcome"}}
    return {key: value for key, value in about.items() if key in always or value not in ("", None, {})}


def _record(entry: Mapping[str, Any], label: str) -> Record:
    """An entry of the file; raises ValueError where a field is of another kind."""
    about = {"label": label, **entry}
    outcome = Outcome(**{key: about.pop(key) for key in _OUTCOME if key in about})
    record = Record(outcome, **about)
    texts = (outcome.image, outcome.label, outcome.message, outcome.mask or "")
    numbers = [v for name in _NUMBERS if (v := getattr(outcome, name)) is not None]
    numbers += [*outcome.lost.values(), *([] if record.score is None else [record.score])]
    if (
        outcome.status not in ("done", "kept", "failed")
        or not all(isinstance(v, str) for v in (*texts, record.path, record.digest, record.file))
        or not all(isinstance(v, float | int) and math.isfinite(v) for v in numbers)
    ):
        raise ValueError("a field of another kind")
    return record


def _only_label(settings: Mapping[str, Any]) -> str:
    """The label of a run whose record does not name it with each picture."""
    words = settings.get("label") or [""]
    return words[0] if isinstance(words[0], str) else ""
