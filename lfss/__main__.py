"""The command line: ``lfss <command>``, or ``python -m lfss <command>`` where it is not installed.

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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from . import __version__
from .commands import FAILED, NO_WEIGHTS, REFUSED, STOPPED
from .commands.console import report_error
from .errors import InputError, LfssError, NoForeground, WeightsError, WorkspaceError
from .stopping import stopped_like_ctrl_c
from .text import Terminal, checked

MAX_TYPED = 100_000  # characters of one value; each command has limits of its own below this

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
    with _terminal(), stopped_like_ctrl_c():
        return _run(list(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> int:
    if not argv:
        build_parser("").print_help(sys.stderr)
        return REFUSED
    args = build_parser(argv[0]).parse_args(argv)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        _check_texts(args)
        return args.run(args)
    except KeyboardInterrupt:
        return report_error("Stopped.", STOPPED, as_json=args.json)
    except WeightsError as error:
        return report_error(str(error), NO_WEIGHTS, as_json=args.json)
    except (InputError, NoForeground, WorkspaceError) as error:
        return report_error(str(error), REFUSED, as_json=args.json)
    except LfssError as error:
        return report_error(str(error), FAILED, as_json=args.json)
    except OSError as error:  # the disk or the system refused, where no command has a better sentence
        where = f"'{error.filename}'" if error.filename else "A file"
        sentence = f"{where} cannot be used ({error.strerror or error}). Check the path and its permissions."
        return report_error(sentence, FAILED, as_json=args.json)


@contextmanager
def _terminal() -> Iterator[None]:
    """Let no control character of a name or a message reach the terminal."""
    streams = sys.stdout, sys.stderr
    for stream in streams:
        if hasattr(stream, "reconfigure"):  # file names need not be valid text
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = map(Terminal, streams)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


def _check_texts(args: argparse.Namespace) -> None:
    """Refuse what no name can be, before any command works with it.

    Raises:
        InputError: NUL in a path; in other texts also what cannot be shown.
    """
    for name, value in vars(args).items():
        flag = f"--{name.replace('_', '-')}"
        for one in value if isinstance(value, list) else [value]:
            if "\0" in str(one):
                raise InputError(f"{flag} holds NUL, which no name can have: '{one}'. Type it again.")
            # These name files, whose names need not be text.
            if isinstance(one, str) and name not in ("support", "box", "mask", "scribble"):
                checked(one, f"The value of {flag}", most=MAX_TYPED)


def build_parser(wanted: str) -> argparse.ArgumentParser:
    """All commands by name, and the flags of the one that is wanted."""
    parser = argparse.ArgumentParser(
        prog="lfss",
        description="Masks from a label and a few photos.",
        epilog="'lfss segment --help' shows the flags of segment, with examples; so does each command.",
    )
    parser.add_argument("--version", action="version", version=f"lfss {__version__}")
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
