"""``export``: drafts of a workspace in the formats of annotation tools and training programs."""

from __future__ import annotations

import argparse
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..annotations import FORMATS, Format, format_of
from ..annotations.bundle import write_bundle
from ..annotations.outlines import trace
from ..annotations.output import new_folder
from ..annotations.pieces import pieces
from ..annotations.raster import Target
from ..drafts import STATUSES, Draft, Status
from ..errors import InputError
from ..labels import find_label
from ..workspace import Workspace
from . import OK
from .console import counted, print_json

CHECKED: tuple[Status, ...] = ("accepted", "edited", "absent")
SAMPLE = 200  # drafts whose outlines are measured for the report

_HELP = {
    "rle": "every pixel as run lengths, no polygons",
    "shapes": "'polygon', or the format's exact masks: 'mask' in labelme, 'brush' in labelstudio",
    "detail": "how far polygons may leave the mask, in pixels; 0.5 if not given, more for fewer points",
    "objects": "'parts': a shape for each object, as a person split and joined them, or for each connected "
    "part; 'each': parts that touch by a narrow neck are cut apart as well; 'together': one shape for all",
    "min_part": "leave out parts of fewer pixels",
    "prefix": "what stands before the names of pictures, such as /data/local-files/?d=my-folder/",
    "separate": "a black and white mask for each label",
    "match": "the ground truth whose numbers of pictures and labels are used",
    "images": "the pictures too",
}

_EXAMPLES = """\
examples:
  lfss export --workspace dogs --format coco --out dogs-coco
  lfss export --workspace dogs --format coco yolo png --bundle --images --out dogs.zip
  lfss export --workspace dogs --format coco --status proposed accepted --detail 2 --out rough

Several formats without --bundle go into a folder each. Nothing is overwritten. Most training programs take
a picture without a mask for one without the object. docs/formats.md says what each format holds and loses.
exit codes: 0 written, 1 could not be written, 2 bad input, 130 stopped by Ctrl-C.
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the command; those of the formats are read from what they accept."""
    parser.description = "Write drafts of a workspace in the formats of annotation tools."
    parser.epilog = _EXAMPLES
    parser.add_argument("--workspace", required=True, type=Path, metavar="FOLDER")
    parser.add_argument(
        "--format", required=True, nargs="+", metavar="NAME", help=f"one or more of {', '.join(FORMATS)}"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="PATH", help="a new folder; with --bundle a new zip file"
    )
    parser.add_argument("--bundle", action="store_true", help="one zip with a manifest and how to import")
    parser.add_argument("--label", nargs="+", metavar="NAME", help="only these labels")
    parser.add_argument(
        "--status",
        nargs="+",
        choices=STATUSES,
        default=list(CHECKED),
        metavar="STATE",
        help=f"which drafts: {', '.join(STATUSES)}; {', '.join(CHECKED)} if not given",
    )
    for name, formats in _options().items():
        default = FORMATS[formats[0]].options[name].default
        kind: dict[str, Any] = {"action": "store_true"}
        if not isinstance(default, bool):
            kind = {"type": Path if default is None else type(default)}
            kind["metavar"] = {Path: "FILE", str: "TEXT"}.get(kind["type"], "NUMBER")
        which = "" if name == "images" else f" ({', '.join(formats)})"
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(
            flag, dest=name, default=None, help=_HELP.get(name, name.replace("_", " ")) + which, **kind
        )


def _options() -> dict[str, list[str]]:
    """Options of the formats, each with the formats that know it."""
    found: dict[str, list[str]] = {}
    for form in FORMATS.values():
        for name in form.options:
            if name != "labels":  # comes from the workspace
                found.setdefault(name, []).append(form.name)
    return found


def run(args: argparse.Namespace) -> int:
    """Write the drafts, and say what was written and how to import it."""
    forms = [format_of(name) for name in dict.fromkeys(args.format)]
    options = _given(args, forms)
    with Workspace.open(args.workspace, create=False) as workspace:
        labels, drafts = _choose(workspace, args.label, args.status)
        written = _write(args, forms, drafts, {**options, "labels": labels})
        report: list[dict[str, Any]] = [
            {
                "format": form.name,
                "files": count,
                "drafts": len(drafts),
                "objects": _objects(drafts, form, options),
                "outlines": _measure(drafts, form, options),
            }
            for form, count in zip(forms, written)
        ]
    out = _zip_name(args.out) if args.bundle else args.out
    if args.json:
        print_json({"out": str(out), "labels": labels, "written": report, "error": None, "exit_code": OK})
        return OK
    for form, facts in zip(forms, report):
        print(f"{form.title}: {counted(facts['files'], 'file')} from {counted(len(drafts), 'draft')}")
        if objects := facts["objects"]:
            print(f"    objects: {objects['count']} ({objects['how']})")
        if fit := facts["outlines"]:
            print(
                f"    outlines: {fit['points']:.0f} points on average, IoU with the mask {fit['iou']:.4f}, "
                f"lowest {fit['lowest']:.4f}, measured on {counted(fit['measured'], 'draft')}"
            )
        print(f"    {form.hint}")
    print(f"\nWritten to {out}")
    return OK


def _given(args: argparse.Namespace, forms: Sequence[Format]) -> dict[str, Any]:
    """Options that were typed.

    Raises:
        InputError: one of them is an option of none of the formats.
    """
    given = {name: value for name in _options() if (value := getattr(args, name)) is not None}
    for name in given:
        if not (any(name in form.options for form in forms) or (name == "images" and args.bundle)):
            chosen = " and ".join(form.name for form in forms)
            raise InputError(
                f"--{name.replace('_', '-')} is not an option of {chosen}; it is for "
                f"{', '.join(_options()[name])}. Leave it out, or choose one of these formats."
            )
    return given


def _choose(
    workspace: Workspace, names: Sequence[str] | None, status: Sequence[Status]
) -> tuple[list[str], Sequence[Draft]]:
    """All labels of the export, the topmost last, and the drafts, not yet read.

    Raises:
        InputError: no draft is of these labels and states, or there is no such label.
    """
    known = [category.name for category in workspace.labels()]
    drafts = workspace.drafts(names or known, status, order="label")
    labels = [name for name in known if names is None or find_label(name, names)]
    if not drafts:
        there = workspace.stats().drafts
        counts = {s: sum(there[label].get(s, 0) for label in labels) for s in STATUSES}
        held = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no draft"
        raise InputError(
            f"No draft is {' or '.join(status)}; the workspace has {held}. Review some first, or choose "
            "others with --status."
        )
    return labels, drafts


def _write(
    args: argparse.Namespace, forms: Sequence[Format], drafts: Sequence[Draft], options: dict[str, Any]
) -> list[int]:
    """Write everything; returns the number of files of each format."""
    print(f"Writing {counted(len(drafts), 'draft')} ...", file=sys.stderr, flush=True)
    if args.bundle:
        images, labels = bool(options.pop("images", False)), options.pop("labels")
        out = write_bundle(
            drafts,
            _zip_name(args.out),
            formats=[form.name for form in forms],
            options=options,
            labels=labels,
            images=images,
        )
        with zipfile.ZipFile(out) as archive:
            names = archive.namelist()
        return [sum(name.startswith(f"{form.name}/") for name in names) for form in forms]
    if len(forms) == 1:
        return [len(forms[0].write(drafts, args.out, **forms[0].accepted(options)))]
    with new_folder(args.out) as folder:  # all of them or none, so that the same command can be run again
        return [len(form.write(drafts, folder / form.name, **form.accepted(options))) for form in forms]


def _zip_name(out: Path) -> Path:
    return out if out.suffix.lower() == ".zip" else out.with_name(f"{out.name}.zip")


def _objects(drafts: Sequence[Draft], form: Format, options: dict[str, Any]) -> dict[str, Any] | None:
    """How many shapes were written, and by which rule; None where the format does not tell objects apart."""
    chosen = {name: option.default for name, option in form.options.items()} | form.accepted(options)
    if "objects" not in chosen:
        return None
    smallest = chosen.get("min_part", 1)
    shown = (draft for draft in drafts if not draft.empty)
    masks = (mask for draft in shown for mask in pieces(draft, chosen["objects"]))
    count = sum(int(np.count_nonzero(mask)) >= smallest for mask in masks)
    return {"how": chosen["objects"], "count": count}


def _measure(drafts: Sequence[Draft], form: Format, options: dict[str, Any]) -> dict[str, float] | None:
    """Points and IoU of outlines, on drafts spread over the list; None where the format writes none."""
    settings = {name: option.default for name, option in form.options.items()} | form.accepted(options)
    if form.polygons is None or settings.get("rle") or settings.get("shapes", "polygon") != "polygon":
        return None
    target: Target = form.polygons
    places = np.unique(np.linspace(0, len(drafts) - 1, min(len(drafts), SAMPLE)).round().astype(int))
    chosen = (draft for draft in (drafts[int(place)] for place in places) if not draft.empty)
    outlines = [
        (outline.vertices, outline.iou)
        for outline in (
            trace(draft.mask, target=target, detail=settings["detail"], min_part=settings["min_part"])
            for draft in chosen
        )
    ]
    if not outlines:
        return None
    points, ious = zip(*outlines)
    return {
        "points": float(np.mean(points)),
        "iou": float(np.mean(ious)),
        "lowest": float(min(ious)),
        "measured": len(outlines),
    }
