"""The output folder of ``segment --out``, read as the proposals that it holds.

Its record names the model, the settings and the scores, so that the drafts are the same as those that
``segment --workspace`` would have made; only the score maps are not there.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import decode
from ..batch.record import RUN_FILE, Record, RunRecord, read_record
from ..drafts import Draft, Origin
from ..errors import InputError
from ..images import MAX_MEGAPIXELS
from .intake import Entry, Intake


def holds_masks(path: Path) -> bool:
    """Whether a folder is one that ``segment --out`` filled and whose record names each mask."""
    if not (path / RUN_FILE).is_file():
        return False
    return any(record.file for record in read_record(path / RUN_FILE).results)


def read(path: Path, intake: Intake) -> list[Draft]:
    """One draft for each mask of the record; pictures that failed are passed over.

    Args:
        path: the output folder.
        intake: finds the pictures, by their names below the folder of the queries or by their digest.
    """
    record = read_record(path / RUN_FILE)
    drafts = []
    for one in record.results:
        if one.outcome.status == "failed" or not one.file:
            continue
        with intake.entry(f"'{one.file}'"):
            draft = _draft(path, one, record, intake)
            if intake.status:
                draft = replace(draft, status=intake.status)
            intake.report.entries.append(Entry(draft, foreign=False, changed=None))
            drafts.append(draft)
    return drafts


def _draft(path: Path, one: Record, record: RunRecord, intake: Intake) -> Draft:
    file = path / one.file
    if not file.resolve().is_relative_to(path.resolve()):
        raise InputError("It does not lie in the folder of the run. The record has been changed.")
    with decode.opened(file, file.name, MAX_MEGAPIXELS) as picture:
        mask = decode.to_levels(picture) > 0
    outcome = one.outcome
    sheet = intake.picture(outcome.image, (mask.shape[0], mask.shape[1]), digest=one.digest, own=True)
    return Draft(
        label=outcome.label,
        mask=np.asarray(mask, np.bool_),
        score=one.score,
        presence=outcome.presence,
        doubt=outcome.doubt,
        lost=outcome.lost,
        origin=record.origins.get(outcome.label, Origin("unknown", outcome.label)),
        **sheet.facts,
    )
