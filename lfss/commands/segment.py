"""``segment``: masks for a folder of queries, as files or as drafts of a workspace."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import InputError
from . import OK
from .console import print_json
from .labelled import LabelledFlags

_EXAMPLES = """\
what is known of a support, each flag as often as needed; IMAGE is the support's file name, or its path
as given to --support where two share a name:
  --box dog1.jpg=40,30,200,180     the object lies inside: left,top,right,bottom in pixels
  --mask dog1.jpg=dog1_mask.png    exactly the object, white (or not black) on black, same size
  --scribble dog1.jpg=strokes.png  green or white strokes on the object, red ones beside it, same size

several labels: --label dog --label cat. What stands before "=" names the label that a value is for; without
it, supports are for every label:
  --support dog=dogs cat=cat1.jpg cat=cat2.jpg    --not dog=wolf,fox    --box cat=cat1.jpg=40,30,200,180
Where two labels claim a pixel the more probable one gets it; --may-overlap rider,horse lets both have it.

examples:
  lfss segment --label dog --support dog1.jpg dog2.jpg --query photos --out masks
  lfss segment --label dog --label cat --support dog=dog1.jpg cat=cat1.jpg --query photos --workspace pets
  lfss segment --workspace pets --list more.txt    (goes on with the labels that the workspace has)
  lfss segment --label "mug, cup" --not "plate, bowl" --support mug.jpg \\
      --box mug.jpg=120,80,340,310 --query kitchen garden/table.jpg --out masks --stages
  lfss segment --label dog --support dog1.jpg --list photos.txt --workspace dogs
  lfss segment --label dog --support dog1.jpg --save-class dog.safetensors
  lfss segment --class dog.safetensors --query photos --out masks

--out: files in the folders of the queries, of several labels below a folder for each: NAME.mask.png (0 and
255), NAME.overlay.jpg, and with --stages NAME.stages.png and NAME.stages.npz; lfss import --format
png reads them. --workspace: drafts to review, correct and export. Either way the
same command again goes on where it stopped.
exit codes: 0 all done, 1 some failed, 2 bad input, 3 weights missing, 130 stopped by Ctrl-C.
"""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.description = "Find objects in pictures, from their names and a few photos of each."
    parser.epilog = _EXAMPLES
    _add_class_flags(parser)
    files: dict[str, Any] = {"nargs": "+", "type": Path, "metavar": "PATH"}
    pictures = parser.add_mutually_exclusive_group()
    pictures.add_argument("--query", **files, help="pictures to segment (files or folders)")
    pictures.add_argument(
        "--list", type=Path, metavar="FILE", help="a text file with the path of a picture a line"
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--out", type=Path, metavar="FOLDER", help="write results as files")
    target.add_argument(
        "--workspace", type=Path, metavar="FOLDER", help="keep results as drafts in a workspace"
    )
    parser.add_argument("--preset", help="the model, 'mini' or that of --class; see 'lfss models'")
    parser.add_argument("--method", metavar="NAME", help="how it segments: 'lfss', or that of --class")
    parser.add_argument(
        "--threshold", type=_share, help="score from which a pixel is object; 0.5 if not given"
    )
    parser.add_argument(
        "--snap",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="move the mask's border to the picture's edges",
    )
    parser.add_argument(
        "--second-look",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="read the part of a picture around a small object again: somewhat better, twice the time there",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    parser.add_argument(
        "--assume-present", action="store_true", default=None, help="the object is in every query"
    )
    parser.add_argument("--stages", action="store_true", help="with --out: every intermediate result too")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="compute again what is there already; in a workspace only drafts that nobody has checked",
    )
    parser.add_argument(
        "--refine-with-folder",
        action="store_true",
        help="with --workspace: let all its pictures teach afterwards, and improve what nobody has checked",
    )
    _add_engine_flags(parser)


def _add_class_flags(parser: argparse.ArgumentParser) -> None:
    words: dict[str, Any] = {"action": "append", "default": [], "metavar": "WORDS"}
    parser.add_argument("--label", **words, help="name, then synonyms after commas; once for each label")
    parser.add_argument(
        "--class",
        dest="class_file",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a class that --save-class has saved; as often as needed",
    )
    parser.add_argument("--not", dest="not_words", **words, help="what it is not, with commas")
    parser.add_argument(
        "--support",
        nargs="+",
        action="extend",
        metavar="PATH",
        default=[],
        help="photos that show the object (files or folders), LABEL=PATH for those of one label; those of "
        "the workspace if not given",
    )
    for flag, value in (("box", "L,T,R,B"), ("mask", "PNG"), ("scribble", "PNG")):
        parser.add_argument(
            f"--{flag}", action="append", default=[], metavar=f"IMAGE={value}", help="see below"
        )
    parser.add_argument(
        "--may-overlap",
        action="append",
        default=[],
        metavar="LABEL,LABEL",
        help="two labels that may lie on each other, such as rider,horse; others take pixels from each other",
    )
    parser.add_argument(
        "--save-class",
        type=Path,
        metavar="FILE",
        help="save label and supports for --class, here or elsewhere",
    )


def _add_engine_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="with --workspace: 'ray' spreads the pictures over the machines of a Ray cluster",
    )
    parser.add_argument(
        "--ray-address",
        default="auto",
        metavar="HOST:PORT",
        help="head of the Ray cluster; this machine's if not given",
    )
    parser.add_argument(
        "--workers", type=_whole, metavar="N", help="on Ray: how many; as many as fit if not given"
    )
    parser.add_argument(
        "--gpus",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="on Ray: what each worker takes, such as 1 or 0.5",
    )


def run(args: argparse.Namespace) -> int:
    """Prepare the class once, segment every query, keep the results, and report."""
    _check(args)
    LabelledFlags.of(args)  # at once, before anything heavy is imported
    if args.workspace:
        from .into_workspace import segment
    elif args.out:
        from .into_folder import segment
    else:
        segment = _only_save
    return segment(args)


def _check(args: argparse.Namespace) -> None:
    """Flags that need or exclude each other, in a sentence."""
    target, pictures = args.out or args.workspace, args.query or args.list
    marks = args.support or args.box or args.mask or args.scribble or args.not_words
    ray = args.engine == "ray"
    rules = (
        (
            not target and (pictures or not args.save_class),
            "Say where results go: --out FOLDER for files, or --workspace FOLDER for drafts to review.",
        ),
        (target and not pictures, "Say which pictures to segment: --query with files or folders, or --list."),
        (
            args.class_file and marks and not args.label,
            "A saved class has its label and supports already. Leave out --not, --support and what is "
            "known of supports, or give --label instead of --class.",
        ),
        (
            marks and not args.label and not args.class_file,
            "--support, --not and what is known of supports belong to a label: give it with --label WORDS.",
        ),
        (
            not (args.label or args.class_file or args.workspace),
            "Say what to search for: --label WORDS with --support PATH, or --class FILE.",
        ),
        (
            args.label and not args.support and not args.workspace,
            "Give at least one photo that shows the object: --support PATH.",
        ),
        (
            args.save_class and len(args.label) + len(args.class_file) != 1,
            "--save-class saves one class. Run once for each label.",
        ),
        (
            args.workspace and args.stages,
            "--stages belongs to --out. The Reasoning tab of the app shows the stages of a draft.",
        ),
        (
            args.refine_with_folder and not args.workspace,
            "--refine-with-folder improves drafts: give --workspace in place of --out.",
        ),
        (ray and not args.workspace, "--engine ray fills a workspace: give --workspace in place of --out."),
        (
            ray and args.overwrite,
            "--engine ray fills in what is missing. Leave --overwrite out, or leave --engine ray out.",
        ),
        (
            ray and (args.class_file or args.save_class),
            "--engine ray prepares the class on each machine. Give --label and --support, and save a class "
            "in a run without --engine ray.",
        ),
    )
    for wrong, sentence in rules:
        if wrong:
            raise InputError(sentence)


def _only_save(args: argparse.Namespace) -> int:
    from .classes import load, read_request

    load(args, read_request(args))
    if args.json:
        print_json({"class": str(args.save_class), "error": None, "exit_code": OK})
    else:
        print(f"The class is saved in '{args.save_class}'. Use it with --class {args.save_class}.")
    return OK


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"a number between 0 and 1 is needed, not '{text}'")
    return value


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number above 0 is needed, not '{text}'")
    return int(text)
