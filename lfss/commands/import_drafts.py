"""``import``: masks from annotation tools into a workspace, as drafts to continue."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..annotations import FORMATS, format_of
from ..annotations.pictures import Known, Pictures
from ..annotations.provenance import content, corrected
from ..annotations.report import Entry, Report
from ..drafts import STATUSES, Draft
from ..errors import InputError, WorkspaceError
from ..images import read_image
from ..labels import find_label, label_key
from ..objects import count
from ..workspace import DATABASE_NAME, Workspace
from . import FAILED, OK
from .console import counted, print_json

READABLE = tuple(name for name, form in FORMATS.items() if form.read)
MOST_LISTED = 100  # sentences on what was left out
_SAME = 0.97  # IoU from which a mask without a fingerprint counts as the one that was exported

_EXAMPLES = """\
examples:
  lfss import --workspace dogs --format coco annotations.json --images photos
  lfss import --workspace dogs --format png masks --label dog --images photos

Several objects of one label in a picture become one draft. A mask, shape or label that was changed in
another tool comes back as edited by a person, and replaces the draft it was exported from as long as that
is still as it was exported. Other drafts that are there already stay, unless --overwrite is given; what is
replaced stays in the history, one undo away.
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
        help="the pictures; without it they are looked for in the workspace, by name",
    )
    parser.add_argument("--label", metavar="NAME", help="what the masks show (png without a legend)")
    parser.add_argument(
        "--status",
        choices=STATUSES,
        metavar="STATE",
        help=f"of all masks: {', '.join(STATUSES)}; if not given, what the file says, or else accepted",
    )
    parser.add_argument("--as-supports", action="store_true", help="use the masks as supports, not as drafts")
    parser.add_argument("--overwrite", action="store_true", help="replace drafts that are there already")


def run(args: argparse.Namespace) -> int:
    """Read, find the pictures, store, and report."""
    report = Report()
    pictures = _pictures(args)
    _read(args, pictures, report)
    found = [entry for entry in report.entries if entry.draft.image_digest]
    report.left_out += _not_found(report.entries, pictures, images_given=args.images is not None)
    counts = Counter(stored=0, kept=0, unchanged=0)
    if found:
        with Workspace.open(args.workspace) as workspace:
            report.left_out += _store(workspace, found, args, report, counts)
            report.notes += _not_in_file(workspace, report)
    joined = sum(max(entry.shapes - 1, 0) for entry in found)
    shown = sum(count(entry.draft) for entry in found)
    code = FAILED if report.left_out else OK
    if args.json:
        facts: dict[str, Any] = {
            "workspace": str(args.workspace),
            **counts,
            "joined": joined,
            "objects": shown,
        }
        facts |= {"problems": report.left_out, "notes": report.notes}
        print_json({**facts, "error": None, "exit_code": code})
        return code
    what = "support" if args.as_supports else "draft"
    print(f"{counted(counts['stored'], what)} imported, {counts['kept']} already there and left as they are.")
    if found:
        print(f"The file shows {counted(shown, 'object')}.")
    if counts["unchanged"]:
        print(f"{counted(counts['unchanged'], 'draft')} came back unchanged.")
    if joined:
        print(f"{counted(joined, 'shape')} joined others of the same label and picture.")
    for line in report.notes:
        print(line)
    for line in report.left_out[:MOST_LISTED]:
        print(f"Left out: {line}")
    if len(report.left_out) > MOST_LISTED:
        print(f"and {len(report.left_out) - MOST_LISTED} more were left out.")
    return code


def _pictures(args: argparse.Namespace) -> Pictures:
    """Those of the folder that was named, and those of the workspace behind them."""
    if args.images and not args.images.is_dir():
        raise InputError(f"There is no folder '{args.images}'. Name the folder of the pictures.")
    kept: list[Known] = []
    if (args.workspace / DATABASE_NAME).is_file():
        with Workspace.open(args.workspace, create=False) as workspace:
            for picture in workspace.images():
                folders = picture.path.parts[1:-1] if picture.path else ()
                kept.append(Known((*folders, picture.name), picture.path, picture.digest, picture.size))
    behind = Pictures(kept, "the workspace")
    return Pictures.in_folder(args.images, behind=behind) if args.images else behind


def _read(args: argparse.Namespace, pictures: Pictures, report: Report) -> None:
    form = format_of(args.format)
    if form.read is None:
        raise InputError(
            f"'{form.name}' can only be written. Formats that can be read: {', '.join(READABLE)}."
        )
    options: dict[str, Any] = {"images": pictures, "status": args.status, "report": report}
    if args.label and form.name != "png":
        raise InputError(f"--label is for png masks without a legend; {form.name} names its labels itself.")
    if args.label:
        options["label"] = args.label
    form.read(args.path, **options)
    if not report.entries and not report.left_out:
        raise InputError(f"'{args.path}' holds no mask. Choose a file with annotations.")


def _not_found(entries: Iterable[Entry], pictures: Pictures, *, images_given: bool) -> list[str]:
    """A sentence for each picture that is neither in the folder nor in the workspace."""
    names = dict.fromkeys(e.draft.image_name for e in entries if not e.draft.image_digest)
    advice = (
        "Rename it there or in the file, so that they agree."
        if images_given
        else "Name the folder of the pictures with --images."
    )
    return [f"{pictures.lacking(name)} {advice}" for name in names]


def _store(
    workspace: Workspace,
    entries: Iterable[Entry],
    args: argparse.Namespace,
    report: Report,
    counts: Counter[str],
) -> list[str]:
    """Store drafts one by one; a mask that cannot be used does not cost the others."""
    put = _put_support if args.as_supports else _put_draft
    problems: list[str] = []
    first: dict[tuple[str, str], Draft] = {}
    for entry in entries:
        draft = entry.draft
        before = first.setdefault((draft.image_digest, label_key(draft.label)), draft)
        if before is not draft:
            remarks = report.notes if np.array_equal(before.mask, draft.mask) else problems
            this, other = (d.image_path or d.image_name for d in (draft, before))
            remarks.append(
                f"'{this}' has the same pixels as '{other}', and a workspace holds one draft "
                f"'{draft.label}' for both: the mask of '{other}' was taken."
            )
            continue
        try:
            if draft.image_digest in report.embedded and not draft.image_path:
                name, data = report.embedded[draft.image_digest]
                workspace.add_image(read_image(data, name=name), keep=True)
            counts[put(workspace, entry, args)] += 1
        except InputError as error:
            problems.append(f"'{draft.image_name}', {draft.label}: {error}")
        except WorkspaceError as error:  # locked, or on a full disk: the others would fare no better
            problems.append(f"{error} What was imported until then is kept.")
            break
    return problems


def _put_draft(workspace: Workspace, entry: Entry, args: argparse.Namespace) -> str:
    """Store a draft, unless the workspace has one that must stay; says what became of it.

    Raises:
        InputError: a person's correction met a draft that has changed since it was exported.
    """
    draft, changed = entry.draft, entry.changed
    there = _draft_there(workspace, draft.image_digest, draft.label)
    if changed is None and not entry.foreign:  # written by this program before it wrote fingerprints
        prompt = draft.origin.label.split(",")[0]
        renamed = label_key(prompt) != label_key(draft.label) and _draft_there(
            workspace, draft.image_digest, prompt
        )
        changed = not _same_mask(there, draft) if there else bool(renamed)
        if changed:
            draft = replace(corrected(draft), status=args.status or "edited")
    if there is None:
        workspace.put_draft(draft)
        return "stored"
    if changed is False and not args.status:
        return "unchanged"
    exported = entry.exported
    as_exported = exported and (there.status, content(there)) == (exported.status, exported.mask)
    if args.overwrite or (changed and as_exported):
        if not workspace.put_draft(draft):
            raise InputError(
                f"Its draft is {there.status} in the workspace, which a proposal never replaces. Give "
                "--status edited or accepted, or undo that decision first."
            )
        return "stored"
    if changed:
        raise InputError(
            f"The mask was changed in the file, and the draft in the workspace, which is {there.status}, "
            "differs from what was exported. --overwrite takes the mask of the file; the other one stays in "
            "the history."
        )
    return "kept"


def _draft_there(workspace: Workspace, digest: str, label: str) -> Draft | None:
    return workspace.draft(digest, label) if _label_there(workspace, label) else None


def _label_there(workspace: Workspace, label: str) -> bool:
    return find_label(label, [category.name for category in workspace.labels()]) is not None


def _same_mask(there: Draft, draft: Draft) -> bool:
    if there.size != draft.size:
        return False
    common = np.count_nonzero(there.mask & draft.mask)
    return bool(common >= _SAME * np.count_nonzero(there.mask | draft.mask))


def _put_support(workspace: Workspace, entry: Entry, args: argparse.Namespace) -> str:
    draft = entry.draft
    if draft.empty:
        return "kept"
    if draft.image_path:
        workspace.add_image(draft.image_path)
    elif draft.image_digest not in {picture.digest for picture in workspace.images()}:
        raise InputError("The picture is not in the workspace. Name its folder with --images.")
    if not _label_there(workspace, draft.label):
        workspace.add_label(draft.label)
    there = {kept.picture.digest for kept in workspace.supports(draft.label)}
    if draft.image_digest in there and not args.overwrite:
        return "kept"
    workspace.add_support(draft.label, draft.image_digest, draft.mask.astype(np.int8))
    return "stored"


def _not_in_file(workspace: Workspace, report: Report) -> list[str]:
    """Drafts that stayed although the file, which this program wrote, has no shape for them any more.

    Files of today say what was exported, and a shape that was deleted makes its draft absent. Older
    ones do not, so that a deleted shape and one that was never exported look alike.
    """
    lines = []
    for digest, labels in report.unlisted.items():
        for category in workspace.labels():
            draft = workspace.draft(digest, category.name)
            if draft is not None and not draft.empty and label_key(category.name) not in labels:
                lines.append(
                    f"'{draft.image_name}': its draft '{category.name}' stayed ({draft.status}), though the "
                    "file has no shape of that label. If it was deleted or renamed there, mark it as "
                    "absent here."
                )
    return lines
