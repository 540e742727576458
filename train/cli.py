"""What all commands of ``train`` share: their flags, how they refuse, and how Ctrl-C ends them.

Exit codes are those of ``lfss``: 2 what was given cannot be used, 3 weights are missing, 130 stopped.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from lfss.commands import NO_WEIGHTS, OK, REFUSED, STOPPED
from lfss.errors import LfssError, WeightsError

from .data.datasets import DataSet, open_data
from .data.layouts import LAYOUTS
from .measure.stopwatch import CLOCKS
from .mini.photos import held_out, never_trained

GOES_ON = "What is done is kept; the same command again goes on from here."
NOTHING_WRITTEN = "Nothing was written."

FIVE_SEEDS = [1234, 1235, 1236, 1237, 1238]  # of the five runs in the protocol of PANet, which PAIA follows


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


def read_data(options: argparse.Namespace, *, split: str | None = None) -> DataSet:
    """The pictures that ``add_data``, ``add_held_out`` and ``add_never_trained`` asked for.

    Args:
        options: as they were typed.
        split: another list of pictures than ``--split`` says.

    Raises:
        InputError: there is no such data set, or it does not have what was asked for.
    """
    split = split or options.split
    data = open_data(options.data, options.layout, split=split, cache=options.cache, progress=True)
    if getattr(options, "held_out", False):
        data = held_out(data)
    return never_trained(data) if getattr(options, "never_trained", False) else data


def add_auxiliary(parser: argparse.ArgumentParser) -> None:
    """``--auxiliary-split``, for ``read_auxiliary``."""
    parser.add_argument("--auxiliary-split", help="list of the pictures without masks (default: a third)")


def read_auxiliary(options: argparse.Namespace) -> DataSet | None:
    """The pictures whose masks are not used; None where a part of ``--split`` is taken for them."""
    return read_data(options, split=options.auxiliary_split) if options.auxiliary_split else None


def add_classes(
    parser: argparse._ActionsContainer, *, required: bool = True, about: str = "names, separated by commas"
) -> None:
    """``--classes``, as a tuple of names.

    Args:
        parser: gets the flag.
        required: whether the command needs it.
        about: its line of help.
    """
    parser.add_argument("--classes", type=_names, required=required, metavar="NAMES", help=about)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def add_episodes(
    parser: argparse.ArgumentParser, count: int, *, seeds: Sequence[int] | None = None, of: str = ""
) -> None:
    """``--episodes`` and ``--seed``.

    Args:
        parser: gets the flags.
        count: of episodes, by default.
        seeds: makes ``--seed`` take several, each for a list of its own; these by default.
        of: of what so many episodes are drawn, "of each kind".
    """
    about = f"how many {of}".strip()
    parser.add_argument("--episodes", type=int, default=count, help=f"{about} (default: {count})")
    if seeds is None:
        parser.add_argument("--seed", type=int, default=0, help="what is drawn (default: 0)")
    else:
        default = " ".join(map(str, seeds))
        parser.add_argument(
            "--seed", type=int, nargs="+", default=list(seeds),
            help=f"one list of episodes for each (default: {default})",
        )  # fmt: skip


def add_result(parser: argparse.ArgumentParser) -> None:
    """``--out``: the file of figures that a command writes."""
    parser.add_argument("--out", type=Path, required=True, help="a .json")


def add_clock(parser: argparse.ArgumentParser) -> None:
    """``--threads`` and ``--clock``: how a measurement of time is made."""
    threads = torch.get_num_threads()
    parser.add_argument("--threads", type=int, default=threads, help=f"of PyTorch (default: {threads})")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="processor: for a busy machine, with --threads 1"
    )


def add_preset(parser: argparse.ArgumentParser) -> None:
    """``--preset``."""
    parser.add_argument("--preset", default="mini", help="name, or module:function (default: mini)")


def add_device(parser: argparse.ArgumentParser) -> None:
    """``--device``."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")


def add_model(parser: argparse.ArgumentParser) -> None:
    """``--preset`` and ``--device``."""
    add_preset(parser)
    add_device(parser)


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
