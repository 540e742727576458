"""``import``: masks from annotation tools into a workspace, as drafts to continue."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..annotations import FORMATS, format_of
from ..drafts import STATUSES, Draft, Status
from ..errors import InputError, WorkspaceError
from ..labels import find_label, label_key
from ..workspace import Workspace
from . import FAILED, OK
from .console import counted, print_json

READABLE = tuple(name for name, form in FORMATS.items() if form.read)
_CAUTION: tuple[Status, ...] = ("proposed", "edited", "accepted")  # of several, the least checked counts

_EXAMPLES = """\
examples:
  lfss import --workspace dogs --format coco annotations.json --images photos
  lfss import --workspace dogs --format png masks --label dog --images photos

Several objects of one label in a picture become one mask. Drafts that are there already stay, unless
--overwrite is given; what that replaces stays in the history, one undo away.
exit codes: 0 all imported, 1 some could not be, 2 bad input, 130 stopped by Ctrl-C.
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.description = "Read masks that an annotation tool has written, as drafts to continue."
    parser.epilog = _EXAMPLES
    parser.add_argument("path", type=Path, metavar="PATH", help="the file or folder to read")
    parser.add_argument("--workspace", required=True, type=Path, metavar="FOLDER", help="made if not there")
    parser.add_argument("--format", required=True, metavar="NAME", help=f"one of {', '.join(READABLE)}")
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="the pictures; without it they are found in the workspace, by name",
    )
    parser.add_argument("--label", metavar="NAME", help="what the masks show (png without a legend)")
    parser.add_argument(
        "--status",
        choices=STATUSES,
        default="accepted",
        metavar="STATE",
        help=f"of masks whose file does not tell: {', '.join(STATUSES)}; accepted if not given",
    )
    parser.add_argument("--as-supports", action="store_true", help="use the masks as supports, not as drafts")
    parser.add_argument("--overwrite", action="store_true", help="replace drafts that are there already")


def run(args: argparse.Namespace) -> int:
    """Read, find the pictures, store, and report."""
    drafts = _read(args)
    with Workspace.open(args.workspace) as workspace:
        found, missing = _find_pictures(workspace, drafts)
        joined = list(_join(found))
        counts, problems = _store(workspace, joined, args)
    problems += [
        f"'{name}' is no picture of the workspace{', or several have that name' if many else ''}. Name the "
        "folder of the pictures with --images."
        for name, many in missing.items()
    ]
    merged, code = len(found) - len(joined), FAILED if problems else OK
    if args.json:
        facts: dict[str, Any] = {"workspace": str(args.workspace), **counts, "joined": merged}
        print_json({**facts, "problems": problems, "error": None, "exit_code": code})
        return code
    what = "support" if args.as_supports else "draft"
    print(f"{counted(counts['stored'], what)} imported, {counts['kept']} already there and left as they are.")
    if merged:
        print(f"{counted(merged, 'mask')} joined others of the same label and picture.")
    for line in problems:
        print(line)
    return code


def _read(args: argparse.Namespace) -> list[Draft]:
    form = format_of(args.format)
    if form.read is None:
        raise InputError(
            f"'{form.name}' can only be written. Formats that can be read: {', '.join(READABLE)}."
        )
    if args.images and not args.images.is_dir():
        raise InputError(f"There is no folder '{args.images}'. Name the folder of the pictures.")
    options: dict[str, Any] = {"images": args.images, "status": args.status}
    if args.label and form.name != "png":
        raise InputError(f"--label is for png masks without a legend; {form.name} names its labels itself.")
    if args.label:
        options["label"] = args.label
    drafts = form.read(args.path, **options)
    if not drafts:
        raise InputError(f"'{args.path}' holds no mask. Choose a file with annotations.")
    return drafts


def _find_pictures(workspace: Workspace, drafts: Iterable[Draft]) -> tuple[list[Draft], dict[str, bool]]:
    """Drafts with their pictures, and names not found: True where several pictures have that name."""
    names: dict[str, list[str]] = {}
    for picture in workspace.images():
        names.setdefault(picture.name, []).append(picture.digest)
    found, missing = [], {}
    for draft in drafts:
        digests = [draft.image_digest] if draft.image_digest else names.get(draft.image_name, [])
        if len(digests) == 1:
            found.append(replace(draft, image_digest=digests[0]))
        else:
            missing[draft.image_name] = bool(digests)
    return found, missing


def _join(drafts: Iterable[Draft]) -> Iterator[Draft]:
    """One draft for each picture and label: a workspace holds one mask of a label on a picture."""
    groups: dict[tuple[str, str], list[Draft]] = {}
    for draft in drafts:
        groups.setdefault((draft.image_digest, label_key(draft.label)), []).append(draft)
    for group in groups.values():
        shown = [draft for draft in group if draft.status in _CAUTION and draft.size == group[0].size]
        if len(shown) < 2:
            yield (shown or group)[0]
            continue
        status = next(state for state in _CAUTION if any(draft.status == state for draft in shown))
        scores = [draft.score for draft in shown if draft.score is not None]
        mask = np.logical_or.reduce([draft.mask for draft in shown])
        lowest = min(scores) if len(scores) == len(shown) else None
        yield replace(shown[0], mask=mask, status=status, score=lowest)


def _store(
    workspace: Workspace, drafts: Iterable[Draft], args: argparse.Namespace
) -> tuple[dict[str, int], list[str]]:
    """Store drafts one by one; a mask that cannot be used does not cost the others."""
    put = _put_support if args.as_supports else _put_draft
    counts, problems = Counter(stored=0, kept=0), []
    for draft in drafts:
        try:
            counts["stored" if put(workspace, draft, overwrite=args.overwrite) else "kept"] += 1
        except InputError as error:
            problems.append(f"'{draft.image_name}', {draft.label}: {error}")
        except WorkspaceError as error:  # locked, or on a full disk: the others would fare no better
            problems.append(f"{error} What was imported until then is kept.")
            break
    return dict(counts), problems


def _put_draft(workspace: Workspace, draft: Draft, *, overwrite: bool) -> bool:
    return workspace.put_draft(draft, overwrite=overwrite)


def _put_support(workspace: Workspace, draft: Draft, *, overwrite: bool) -> bool:
    if draft.empty:
        return False
    if draft.image_path:
        workspace.add_image(draft.image_path)
    elif draft.image_digest not in {picture.digest for picture in workspace.images()}:
        raise InputError("The picture is not in the workspace. Name its folder with --images.")
    if find_label(draft.label, [category.name for category in workspace.labels()]) is None:
        workspace.add_label(draft.label)
    there = {kept.picture.digest for kept in workspace.supports(draft.label)}
    if draft.image_digest in there and not overwrite:
        return False
    workspace.add_support(draft.label, draft.image_digest, draft.mask.astype(np.int8))
    return True
