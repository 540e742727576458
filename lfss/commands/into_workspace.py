"""``segment --workspace``: results as drafts, on this machine or on a Ray cluster."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..batch import list_queries
from ..errors import LfssError, WeightsError
from ..fill import Filled, fill
from ..images import read_image
from ..labels import find_label, parse_label
from ..lists import PathList
from ..workspace import DATABASE_NAME, Workspace
from . import FAILED, NO_WEIGHTS, OK, STOPPED
from .console import GOES_ON, counted, print_json, print_summary, print_table, with_progress

if TYPE_CHECKING:
    from ..support import Support
    from .classes import Wanted

MOST_TOLD = 100  # failures that are listed; the workspace knows all of them
_NAMES = {"drafted": "done", "kept": "kept", "failed": "failed"}


def segment(args: argparse.Namespace) -> int:
    """Prepare the class once, keep a draft of every picture that has none yet, and report."""
    if args.engine == "ray":
        from ..scale import connect

        connect(args.ray_address)
    paths, total = _pictures(args)

    from .classes import prepare, read_class  # brings torch, so the cheap checks come first

    wanted = read_class(args, kept=_kept_supports(args))
    settings = {"assume_present": str(args.assume_present), "snap": str(args.snap)}
    if args.engine == "local":
        predict, prepared = prepare(args, wanted)
    with Workspace.open(args.workspace) as workspace:
        if args.engine == "ray":
            filled = _on_ray(args, workspace, wanted, paths, settings)
        else:
            filled = fill(
                workspace, predict, prepared, paths, settings=settings, total=total, again=args.overwrite
            )
        _note_class(workspace, wanted)
        return _carry_out(args, filled, total, wanted)


def _pictures(args: argparse.Namespace) -> tuple[Iterable[Path], int]:
    """The files and how many they are."""
    files = list_queries(args.query) if args.query else PathList(args.list)
    return files, len(files)


def _kept_supports(args: argparse.Namespace) -> list[Support]:
    """Supports that the workspace has for the label, where the command line gives none."""
    if not (args.workspace / DATABASE_NAME).exists():
        return []
    with Workspace.open(args.workspace, create=False) as workspace:
        if args.label is None or args.support:
            return []
        name = parse_label(args.label).text
        if find_label(name, [category.name for category in workspace.labels()]) is None:
            return []

        from ..support import Support

        return [
            Support(
                read_image(workspace.image_path(kept.picture.digest)),
                None if (kept.known == -1).all() else kept.known,
            )
            for kept in workspace.supports(name)
        ]


def _on_ray(
    args: argparse.Namespace,
    workspace: Workspace,
    wanted: Wanted,
    paths: Iterable[Path],
    settings: dict[str, str],
) -> Iterator[Filled]:
    from ..scale import LoadPreset, fill_on_ray
    from .classes import model_of, options

    preset, method = model_of(args, wanted)
    load = LoadPreset(
        preset,
        wanted.label,
        wanted.supports,
        device=args.device,
        options=options(args),
        method=method,
    )
    return fill_on_ray(workspace, load, paths, workers=args.workers, gpus=args.gpus, settings=settings)


def _note_class(workspace: Workspace, wanted: Wanted) -> None:
    """Keep the label with its words and its supports; what a person marked there stays."""
    label = wanted.label
    if find_label(label.text, [category.name for category in workspace.labels()]) is None:
        workspace.add_label(label)
    there = {kept.picture.digest for kept in workspace.supports(label.text)}
    for support in wanted.supports:
        if support.image.digest in there and support.known is None:
            continue
        workspace.add_image(support.image)
        workspace.add_support(label.text, support.image.digest, support.known)


def _carry_out(args: argparse.Namespace, filled: Iterator[Filled], total: int, wanted: Wanted) -> int:
    """Drain the run, whose results are on the disk already, and report."""
    counts, stop, code = dict.fromkeys(_NAMES.values(), 0), "", OK
    failures: list[tuple[str, str]] = []
    started = time.monotonic()
    try:
        with closing(filled):  # type: ignore[type-var]  # a generator: frees the workers of a cluster
            for one in with_progress(filled, total):
                counts[_NAMES[one.outcome]] += 1
                if one.outcome == "failed" and len(failures) < MOST_TOLD:
                    failures.append((str(one.path), one.message))
    except KeyboardInterrupt:
        stop, code = GOES_ON, STOPPED
    except LfssError as error:
        stop, code = str(error), NO_WEIGHTS if isinstance(error, WeightsError) else FAILED
    if counts["failed"]:
        code = code or FAILED
    seconds = time.monotonic() - started
    if args.json:
        document: dict[str, Any] = {"workspace": str(args.workspace), "label": wanted.label.text}
        document["failed"] = [{"image": path, "message": message} for path, message in failures]
        document |= {"counts": counts, "seconds": round(seconds, 3)}
        print_json({**document, "error": stop or None, "exit_code": code})
        return code
    if failures:
        print_table([("picture", "why it failed"), *failures])
        if counts["failed"] > MOST_TOLD:
            print(f"and {counted(counts['failed'] - MOST_TOLD, 'more picture')}")
    print_summary(counts, seconds, f"Workspace: {args.workspace}", stop=stop)
    if counts["kept"] and not args.overwrite:
        print(
            f"{counted(counts['kept'], 'draft')} of earlier stayed. "
            "With other supports or settings: --overwrite makes those again that nobody has checked."
        )
    if not stop:
        print(f"Review: python app.py --workspace {args.workspace}")
    return code
