"""``segment --out``: results as files, in the folders of the queries."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..annotations.plan import safe_name, unique
from ..batch.folder import FolderLabel, IntoFolder
from ..batch.loop import Outcome, Query, here, run
from ..batch.planning import plan
from ..batch.record import RunRecord, earlier_records
from ..errors import LfssError
from ..lists import PathList
from . import FAILED
from .console import print_json, print_table, shown
from .report import Report, carry_out, lost_text, one_or_all

if TYPE_CHECKING:
    from .classes import Request


def segment(args: argparse.Namespace) -> int:
    """Prepare the classes once, segment every query, write results, and report."""
    jobs = (
        plan(args.query, args.out) if args.query else plan(list(PathList(args.list)), args.out, missing=True)
    )

    from .classes import load, read_request  # brings torch, so the cheap checks come first

    request = read_request(args)
    settings, labels = _settings(request), _labels(request)
    earlier = RunRecord(settings, [])
    if not args.overwrite:
        earlier = earlier_records(args.out, settings, jobs, [label.folder for label in labels])
    segment_picture = load(args, request)
    provenance, seen = request.settings.provenance, list[Outcome]()
    sink = IntoFolder(args.out, jobs, labels, earlier=earlier, provenance=provenance, stages=args.stages)
    queries = (Query(job.image, job.image.name) for job in jobs)
    report = carry_out(
        run(queries, here(segment_picture, sink), sink, begin=sink.save), len(jobs), note=seen.append
    )
    try:
        sink.save()
    except LfssError as error:
        report.stop, report.code = report.stop or str(error), report.code or FAILED
    _print(args, seen, settings, report)
    return report.code


def _settings(request: Request) -> dict[str, Any]:
    """What must be the same for a run to go on in a folder; of several labels a list for each."""
    classes, settings = request.classes, request.settings
    found: dict[str, Any] = {
        "label": one_or_all(list(one.label.phrases) for one in classes),
        "'not' words": one_or_all(list(one.label.distractors) for one in classes),
        "preset": request.preset,
        "method": request.method,
        "threshold": settings.threshold,
        "--assume-present": settings.assume_present,
        "--snap": settings.snap,
        "choice of supports": one_or_all(one.fingerprint for one in classes),
    }
    if settings.second_look:
        found["--second-look"] = True
    if settings.overlaps:
        found["--may-overlap"] = [list(pair) for pair in settings.overlaps]
    return found


def _labels(request: Request) -> list[FolderLabel]:
    """The labels, each with a folder of its own where there are several."""
    names = [one.label.text for one in request.classes]
    folders = [""]
    if len(names) > 1:
        folders = unique([safe_name(name) for name in names], [str(n + 1) for n in range(len(names))])
    return [
        FolderLabel(name, folder, [support.image for support in one.supports], one.digests)
        for name, folder, one in zip(names, folders, request.classes)
    ]


def _print(
    args: argparse.Namespace, outcomes: Sequence[Outcome], settings: dict[str, Any], report: Report
) -> None:
    if args.json:
        document = {"out": str(args.out), "settings": settings, "results": list(map(asdict, outcomes))}
        print_json({**document, **report.as_json()})
        return
    several = len({outcome.label for outcome in outcomes}) > 1
    lost = any(outcome.lost for outcome in outcomes)
    rows = []
    for o in outcomes:
        status = f"{o.status}: {o.message}" if o.message else o.status
        columns = {
            "picture": o.image,
            "label": o.label if several else None,
            "mask": shown(o.area, ".1%"),
            "present": shown(o.presence, ".0%"),
            "lost to": lost_text(o.lost) if lost else None,
            "seconds": shown(o.seconds, ".2f"),
            "status": status,
        }
        rows.append({name: value for name, value in columns.items() if value is not None})
    heading = tuple(rows[0]) if rows else ("picture", "mask", "present", "seconds", "status")
    print_table([heading, *(tuple(row.values()) for row in rows)])
    report.print(f"Results: {args.out}")
