"""What all commands of ``train`` share: their flags, how they refuse, and how Ctrl-C ends them.

Exit codes are those of ``lfss``: 2 what was given cannot be used, 3 weights are missing, 130 stopped.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lfss.commands import NO_WEIGHTS, OK, REFUSED, STOPPED
from lfss.errors import LfssError, WeightsError

from .data.layouts import LAYOUTS

GOES_ON = "What is done is kept; the same command again goes on from here."
NOTHING_WRITTEN = "Nothing was written."


def command(name: str, about: str | None) -> argparse.ArgumentParser:
    """The parser of ``python -m train.NAME``, with the first line of ``about``, the module's docstring."""
    return argparse.ArgumentParser(prog=f"python -m train.{name}", description=(about or "").split("\n")[0])


def as_typed(name: str, arguments: Sequence[str] | None) -> str:
    """The command as it was typed, for a result to say how it was made.

    Args:
        name: of the command below ``train``.
        arguments: as ``main`` got them; None for those of this process.
    """
    return f"python -m train.{name} {shlex.join(sys.argv[1:] if arguments is None else arguments)}".rstrip()


def add_data(parser: argparse.ArgumentParser, *, split: str | None = None, data: str = "") -> None:
    """``--data``, ``--layout``, ``--split`` and ``--cache``: which pictures, as ``open_data`` takes them.

    Args:
        parser: gets the flags.
        split: the list of pictures that is used where none is named.
        data: what ``--data`` is, where it is more than a data set's folder.
    """
    parser.add_argument("--data", type=Path, required=True, help=data or "a data set's folder")
    parser.add_argument("--layout", default="voc", help=f"{', '.join(LAYOUTS)} (default: voc)")
    parser.add_argument(
        "--split", default=split, help=f"only this list of pictures (default: {split or 'all'})"
    )
    add_cache(parser)


def add_cache(parser: argparse.ArgumentParser) -> None:
    """``--cache``: where indices of data sets and encoder outputs are kept."""
    parser.add_argument(
        "--cache", type=Path, default=Path("cache"),
        help="where indices of data sets and encoder outputs are kept (default: cache)",
    )  # fmt: skip


def add_held_out(parser: argparse.ArgumentParser) -> None:
    """``--held-out``: see ``train.mini.photos.held_out``."""
    parser.add_argument(
        "--held-out",
        action="store_true",
        help="of VOC's training pictures, only those that mini was kept from, to choose by",
    )


def add_never_trained(parser: argparse.ArgumentParser) -> None:
    """``--never-trained``: see ``train.mini.photos.never_trained``."""
    parser.add_argument(
        "--never-trained", action="store_true", help="of COCO, only pictures that mini was never trained on"
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """``--preset`` and ``--device``."""
    parser.add_argument("--preset", default="mini", help="name, or module:function (default: mini)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")


def run(
    work: Callable[[argparse.Namespace], int | None],
    options: argparse.Namespace,
    *,
    stopped: str = NOTHING_WRITTEN,
) -> int:
    """Do the work of a command and return its exit code.

    Args:
        work: gets the options; what it returns is the exit code, None is success.
        options: as they were typed.
        stopped: what Ctrl-C leaves behind, a sentence for people.
    """
    try:
        return work(options) or OK
    except WeightsError as error:
        return _report_error(error, NO_WEIGHTS)
    except (LfssError, OSError) as error:
        return _report_error(error, REFUSED)
    except KeyboardInterrupt:
        return _report_error(f"\nStopped. {stopped}", STOPPED)


def _report_error(reason: object, code: int) -> int:
    print(reason, file=sys.stderr)
    return code
