"""The command line: ``python -m lfss <command>``.

Exit codes: 0 all is well; 1 some pictures failed, or results could not be written; 2 what was given
cannot be used, nothing was done; 3 weights are missing; 130 stopped by Ctrl-C, what is done is kept.

Each command is one ``add_..._command`` function below that names its flags and what runs. Heavy
imports happen inside what runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError, LfssError, NoForeground, WeightsError

if TYPE_CHECKING:
    from .batch import Outcome
    from .predictor import Support

OK, FAILED, REFUSED, NO_WEIGHTS, STOPPED = 0, 1, 2, 3, 130
_SAVE_EVERY = 5.0  # seconds between two writings of the records
_TELL_EVERY = 10.0  # seconds between two lines of progress where there is no terminal

_EXAMPLES = """\
what is known of a support, each flag as often as needed; IMAGE is the support's file name, or its path
as given to --support where two share a name:
  --box dog1.jpg=40,30,200,180     the object lies inside: left,top,right,bottom in pixels
  --mask dog1.jpg=dog1_mask.png    exactly the object, white (or not black) on black, same size
  --scribble dog1.jpg=strokes.png  green or white strokes on the object, red ones beside it, same size

examples:
  python -m lfss segment --label dog --support dog1.jpg dog2.jpg --query photos --out masks
  python -m lfss segment --label "mug, cup" --not "plate, bowl" --support mug.jpg \\
      --box mug.jpg=120,80,340,310 --query kitchen garden/table.jpg --out masks --stages

results, in the folders of the queries: NAME.mask.png (0 and 255), NAME.overlay.jpg, and with --stages
NAME.stages.png and NAME.stages.npz. The same command again goes on where it stopped.
exit codes: 0 all done, 1 some failed, 2 bad input, 3 weights missing, 130 stopped by Ctrl-C.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lfss", description="Masks from a label and a few photos."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="command")
    add_segment_command(commands)
    add_models_command(commands)
    args = parser.parse_args(argv)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # file names need not be valid text
            stream.reconfigure(errors="backslashreplace")
    try:
        return args.run(args)
    except KeyboardInterrupt:
        return _refuse(args, "Stopped.", STOPPED)
    except WeightsError as error:
        return _refuse(args, str(error), NO_WEIGHTS)
    except (InputError, NoForeground) as error:
        return _refuse(args, str(error), REFUSED)
    except LfssError as error:
        return _refuse(args, str(error), FAILED)


def add_segment_command(commands: Any) -> None:
    """``segment``: masks for a folder of queries."""
    parser = commands.add_parser(
        "segment",
        help="masks for a folder of pictures",
        description="Find one class of object in pictures, from its name and a few photos of it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--label", required=True, metavar="WORDS", help="name, then synonyms after commas")
    parser.add_argument(
        "--not", dest="not_words", default="", metavar="WORDS", help="what it is not, with commas"
    )
    files: dict[str, Any] = {"required": True, "nargs": "+", "type": Path, "metavar": "PATH"}
    parser.add_argument("--support", **files, help="photos that show the object (files or folders)")
    parser.add_argument("--query", **files, help="pictures to segment (files or folders)")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where results go")
    for flag, value in (("box", "L,T,R,B"), ("mask", "PNG"), ("scribble", "PNG")):
        parser.add_argument(
            f"--{flag}", action="append", default=[], metavar=f"IMAGE={value}", help="see below"
        )
    parser.add_argument("--preset", default="mini", help="the model; 'python -m lfss models' lists them")
    parser.add_argument("--threshold", type=_share, default=0.5, help="score from which a pixel is object")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    parser.add_argument("--assume-present", action="store_true", help="the object is in every query")
    parser.add_argument("--stages", action="store_true", help="write every intermediate result too")
    parser.add_argument("--overwrite", action="store_true", help="compute again what is there already")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else")
    parser.set_defaults(run=segment)


def add_models_command(commands: Any) -> None:
    """``models``: the presets and whether their weights are here."""
    parser = commands.add_parser("models", help="the models and whether their weights are here")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.set_defaults(run=models)


def segment(args: argparse.Namespace) -> int:
    """Prepare the supports once, segment every query, write results, and report."""
    from .batch import earlier_outcomes, plan, run
    from .labels import parse_label

    label = parse_label(args.label, not_words=args.not_words)
    jobs = plan(args.query, args.out)

    from .hints import read_supports  # brings torch, so the cheap checks come first

    supports = read_supports(args.support, boxes=args.box, masks=args.mask, scribbles=args.scribble)
    settings = {
        "label": list(label.phrases),
        "'not' words": list(label.distractors),
        "preset": args.preset,
        "threshold": args.threshold,
        "--assume-present": args.assume_present,
        "choice of supports": [_fingerprint(support) for support in supports],
    }
    earlier = {} if args.overwrite else earlier_outcomes(args.out, settings, jobs)

    from .predictor import Predictor

    predictor = Predictor.load(args.preset, device=args.device)
    prepared = predictor.prepare(label, supports)
    outcomes = run(
        jobs,
        lambda query: predictor.predict(
            prepared, query, threshold=args.threshold, assume_present=args.assume_present
        ),
        supports=[support.image for support in supports],
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
    from .batch import save_outcomes

    records, seen, stop, code = dict(earlier), [], "", OK
    started = saved = time.monotonic()
    try:
        save_outcomes(args.out, settings, records.values())
        for outcome in _with_progress(outcomes, total):
            seen.append(outcome)
            records[outcome.image] = outcome
            if time.monotonic() - saved > _SAVE_EVERY:
                save_outcomes(args.out, settings, records.values())
                saved = time.monotonic()
    except KeyboardInterrupt:
        stop, code = "Stopped. What is done is kept; the same command again goes on from here.", STOPPED
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


def models(args: argparse.Namespace) -> int:
    """List the presets and where their weights are."""
    from .presets import PRESETS
    from .weights import WEIGHTS, models_folder

    rows = []
    for preset in PRESETS.values():
        place = models_folder() / preset.local / WEIGHTS if preset.local else None
        here = None if place is None else place.is_file()
        row: dict[str, Any] = {
            "name": preset.name,
            "weights_here": here,
            "weights": str(place or preset.weights),
        }
        rows.append(row | {"size": preset.size, "licence": preset.licence, "summary": preset.summary})
    if args.json:
        print(json.dumps({"models": rows}))
        return OK
    for row in rows:
        state = {None: "from the", True: "here:", False: "missing:"}[row["weights_here"]]
        print(f"{row['name']}\n    {row['summary']}; pictures of {row['size']} x {row['size']} pixels")
        print(f"    weights {state} {row['weights']}\n    licence {row['licence']}")
    return OK


def _with_progress(outcomes: Iterable[Outcome], total: int) -> Iterator[Outcome]:
    """A bar with the time left where there is a terminal, else a line now and then; both on stderr."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(outcomes, total=total, unit="picture", file=sys.stderr)
        return
    started = told = time.monotonic()
    for done, outcome in enumerate(outcomes, start=1):
        yield outcome
        now = time.monotonic()
        if now - told >= _TELL_EVERY:
            left = _duration((now - started) / done * (total - done))
            print(f"{done} of {total} pictures, about {left} left", file=sys.stderr, flush=True)
            told = now


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
        print(
            json.dumps({**document, "seconds": round(seconds, 3), "error": stop or None, "exit_code": code})
        )
        return
    rows = [("picture", "mask", "present", "seconds", "status")]
    for o in outcomes:
        numbers = _shown(o.area, ".1%"), _shown(o.presence, ".0%"), _shown(o.seconds, ".2f")
        rows.append((o.image, *numbers, f"{o.status}: {o.message}" if o.message else o.status))
    _print_table(rows)
    print(
        f"\n{counts['done']} done, {counts['kept']} kept from before, {counts['failed']} failed, "
        f"in {_duration(seconds)}. Results: {args.out}"
    )
    if stop:
        print(stop, file=sys.stderr)


def _refuse(args: argparse.Namespace, sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    if args.json:
        print(json.dumps({"error": sentence, "exit_code": code}))
    return code


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"a number between 0 and 1 is needed, not '{text}'")
    return value


def _fingerprint(support: Support) -> list[str]:
    known = "" if support.known is None else hashlib.sha256(support.known.tobytes()).hexdigest()
    return [support.image.digest, known]


if __name__ == "__main__":
    sys.exit(main())
