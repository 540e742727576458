"""``workspace``: what a workspace holds, whether it is whole, renaming a label, taking a folder pass back."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ..drafts import STATUSES
from ..workspace import Stats, Workspace
from . import FAILED, OK
from .console import counted, print_json, print_table

_STATES = """\
states: proposed by the model; edited or accepted by a person; rejected; absent: a person says that the
object is not in the picture. failed: files that could not be segmented.
exit codes: 0 all is well, 1 --check found something, 2 not a workspace, or a name that cannot be used.
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.description = "Show labels, pictures and drafts of a workspace by their state."
    parser.epilog = _STATES
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the workspace")
    parser.add_argument(
        "--check", action="store_true", help="read everything, and say what is damaged, moved or changed"
    )
    parser.add_argument(
        "--rename", nargs=2, metavar=("OLD", "NEW"), help="rename a label; its drafts and supports follow"
    )
    parser.add_argument(
        "--undo-refine",
        action="store_true",
        help="take back what segment --refine-with-folder did to drafts that nobody has checked since",
    )


def run(args: argparse.Namespace) -> int:
    """Rename, take back, check, show."""
    with Workspace.open(args.folder, create=False) as workspace:
        if args.rename:
            workspace.rename_label(*args.rename)
        undone = _undo_refine(workspace) if args.undo_refine else None
        found = [*workspace.check(), *workspace.check_files()] if args.check else []
        stats = workspace.stats()
        if args.json:
            labels = [
                {
                    "name": category.name,
                    "synonyms": category.label.synonyms,
                    "not": category.label.distractors,
                    "colour": category.colour,
                    "supports": len(workspace.supports(category.name)),
                    "failures": {str(p): reason for p, reason in workspace.failures(category.name)},
                }
                for category in workspace.labels()
            ]
            code = FAILED if found else OK
            taken_back = {} if undone is None else {"undone": undone}
            document = {**asdict(stats), "labels": labels, "problems": found, **taken_back}
            print_json({**document, "exit_code": code})
            return code
    _show(stats)
    if undone is not None:
        print(f"\n{counted(undone, 'draft')} as before the whole folder helped.")
    if args.check:
        print("\nAll is whole." if not found else f"\n{counted(len(found), 'problem')}:")
    for line in found:
        print(f"  {line}")
    return FAILED if found else OK


def _undo_refine(workspace: Workspace) -> int:
    from ..refine_folder import undo  # brings torch

    return undo(workspace, [category.name for category in workspace.labels()])


def _show(stats: Stats) -> None:
    rows = [("label", *STATUSES, "failed")]
    for label, drafts in stats.drafts.items():
        rows.append((label, *(str(drafts.get(state, 0)) for state in STATUSES), str(stats.failures[label])))
    print_table(rows)
    total = sum(sum(drafts.values()) for drafts in stats.drafts.values())
    size = f"{stats.bytes / 1e6:.1f} MB on the disk"
    print(f"\n{counted(stats.pictures, 'picture')}, {counted(total, 'draft')}, {size}.")
