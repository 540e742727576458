"""The command line: ``python -m lfss <command>``.

Exit codes: 0 all is well; 1 some pictures failed, or results could not be written; 2 what was given
cannot be used, nothing was done; 3 weights are missing; 130 stopped by Ctrl-C, what is done is kept.

Each command is one module of ``lfss.commands`` with ``add_flags`` and ``run``. Only the one that is
called is imported, and heavy imports happen inside what runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

from .commands import FAILED, NO_WEIGHTS, REFUSED, STOPPED
from .commands.console import refuse
from .errors import InputError, LfssError, NoForeground, WeightsError, WorkspaceError

# name: (module, what it does)
COMMANDS = {
    "segment": ("segment", "masks for a folder of pictures"),
    "workspace": ("workspace", "what a workspace holds, and whether it is whole"),
    "export": ("export", "drafts of a workspace in the formats of annotation tools"),
    "import": ("import_drafts", "masks from annotation tools into a workspace"),
    "models": ("models", "the models and whether their weights are here"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    args = build_parser(argv[0] if argv else "").parse_args(argv)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # file names need not be valid text
            stream.reconfigure(errors="backslashreplace")
    try:
        return args.run(args)
    except KeyboardInterrupt:
        return refuse("Stopped.", STOPPED, as_json=args.json)
    except WeightsError as error:
        return refuse(str(error), NO_WEIGHTS, as_json=args.json)
    except (InputError, NoForeground, WorkspaceError) as error:
        return refuse(str(error), REFUSED, as_json=args.json)
    except LfssError as error:
        return refuse(str(error), FAILED, as_json=args.json)


def build_parser(wanted: str) -> argparse.ArgumentParser:
    """All commands by name, and the flags of the one that is wanted."""
    parser = argparse.ArgumentParser(
        prog="python -m lfss", description="Masks from a label and a few photos."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="command")
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == wanted:
            found = importlib.import_module(f".commands.{module}", __package__)
            found.add_flags(command)
            command.add_argument(
                "--json", action="store_true", help="one JSON document on stdout, nothing else"
            )
            command.set_defaults(run=found.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
