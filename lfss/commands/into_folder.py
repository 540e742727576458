"""``segment --out``: results as files, in the folders of the queries."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from ..batch import Outcome, earlier_outcomes, plan, run, save_outcomes
from ..errors import LfssError, WeightsError
from ..lists import PathList
from . import FAILED, NO_WEIGHTS, OK, STOPPED
from .console import GOES_ON, print_json, print_summary, print_table, shown, with_progress

_SAVE_EVERY = 5.0  # seconds between two writings of the records


def segment(args: argparse.Namespace) -> int:
    """Prepare the class once, segment every query, write results, and report."""
    jobs = (
        plan(args.query, args.out) if args.query else plan(list(PathList(args.list)), args.out, missing=True)
    )

    from .classes import model_of, prepare, read_class  # brings torch, so the cheap checks come first

    wanted = read_class(args)
    preset, method = model_of(args, wanted)
    settings = {
        "label": list(wanted.label.phrases),
        "'not' words": list(wanted.label.distractors),
        "preset": preset,
        "method": method,
        "threshold": args.threshold,
        "--assume-present": args.assume_present,
        "--snap": args.snap,
        "choice of supports": wanted.fingerprint,
    }
    earlier = {} if args.overwrite else earlier_outcomes(args.out, settings, jobs)
    predict, prepared = prepare(args, wanted)
    outcomes = run(
        jobs,
        lambda query: predict(prepared, query),
        supports=[support.image for support in wanted.supports],
        stages=args.stages,
        earlier=earlier,
    )
    return _carry_out(args, outcomes, len(jobs), settings, earlier)


def _carry_out(
    args: argparse.Namespace,
    outcomes: Iterator[Outcome],
    total: int,
    settings: dict[str, Any],
    earlier: dict[str, Outcome],
) -> int:
    """Drain the run with its records kept on disk, however it ends, and report."""
    records, seen, stop, code = dict(earlier), [], "", OK
    started = saved = time.monotonic()
    try:
        save_outcomes(args.out, settings, records.values())
        for outcome in with_progress(outcomes, total):
            seen.append(outcome)
            records[outcome.image] = outcome
            if time.monotonic() - saved > _SAVE_EVERY:
                save_outcomes(args.out, settings, records.values())
                saved = time.monotonic()
    except KeyboardInterrupt:
        stop, code = GOES_ON, STOPPED
    except LfssError as error:
        stop, code = str(error), NO_WEIGHTS if isinstance(error, WeightsError) else FAILED
    try:
        save_outcomes(args.out, settings, records.values())
    except LfssError as error:
        stop, code = stop or str(error), code or FAILED
    if any(outcome.status == "failed" for outcome in seen):
        code = code or FAILED
    _report(args, seen, settings, stop=stop, code=code, seconds=time.monotonic() - started)
    return code


def _report(
    args: argparse.Namespace,
    outcomes: Sequence[Outcome],
    settings: dict[str, Any],
    *,
    stop: str,
    code: int,
    seconds: float,
) -> None:
    counts = {status: sum(o.status == status for o in outcomes) for status in ("done", "kept", "failed")}
    if args.json:
        results = [asdict(outcome) for outcome in outcomes]
        document = {"out": str(args.out), "settings": settings, "results": results, "counts": counts}
        print_json({**document, "seconds": round(seconds, 3), "error": stop or None, "exit_code": code})
        return
    rows = [("picture", "mask", "present", "seconds", "status")]
    for o in outcomes:
        numbers = shown(o.area, ".1%"), shown(o.presence, ".0%"), shown(o.seconds, ".2f")
        rows.append((o.image, *numbers, f"{o.status}: {o.message}" if o.message else o.status))
    print_table(rows)
    print_summary(counts, seconds, f"Results: {args.out}", stop=stop)
