"""What to search for, from the flags of ``segment``: label and supports, or a saved class."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..atomic import sweep
from ..errors import InputError
from ..labels import Label, parse_label
from ..marks import read_supports
from ..predictor import Predictor
from ..prepared import Prepared
from ..support import Support

PRESET, METHOD = "mini", "lfss"  # where neither a flag nor a saved class says otherwise


@dataclass(frozen=True, eq=False)
class Wanted:
    """A class that has been asked for and read, but not yet prepared.

    Attributes:
        label: what to search for.
        supports: photos that show it; none with a saved class.
        saved: a class that was prepared earlier.
        source: the file of the saved class.
    """

    label: Label
    supports: Sequence[Support] = ()
    saved: Prepared | None = None
    source: Path | None = None

    @property
    def fingerprint(self) -> list[Any]:
        """Tells another choice of supports from this one."""
        if self.source is not None:
            return ["class", hashlib.sha256(self.source.read_bytes()).hexdigest()]
        return [_fingerprint(support) for support in self.supports]


def read_class(args: argparse.Namespace, *, kept: Sequence[Support] = ()) -> Wanted:
    """Read the supports, or the saved class.

    Args:
        args: flags of ``segment``.
        kept: supports of the workspace, for the label that comes without any.

    Raises:
        InputError: a picture, a hint or the saved class cannot be used, or there is no support.
    """
    if args.class_file:
        from ..devices import pick_device

        saved = Prepared.load(args.class_file, device=pick_device(args.device))
        return Wanted(saved.label, saved=saved, source=args.class_file)
    label = parse_label(args.label, not_words=args.not_words)
    if not args.support and kept:
        return Wanted(label, kept)
    if not args.support:
        raise InputError(
            f"The workspace has no supports for '{label.text}'. Give at least one photo that shows the "
            "object: --support PATH."
        )
    supports = read_supports(args.support, boxes=args.box, masks=args.mask, scribbles=args.scribble)
    return Wanted(label, supports)


def prepare(args: argparse.Namespace, wanted: Wanted) -> tuple[Any, Prepared]:
    """Load the model and prepare the class; saves it where ``--save-class`` says.

    Returns:
        ``predict(prepared, query)`` with the options of the command line, and the prepared class.
    """
    saved = wanted.saved
    preset, method = model_of(args, wanted)
    predictor = Predictor.load(preset, method=method, device=args.device)
    if saved:
        for flag, made_by, given in (
            ("preset", saved.preset, predictor.preset.name),
            ("method", saved.method, method),
        ):
            if made_by != given:
                raise InputError(
                    f"The class in '{wanted.source}' was prepared with the {flag} '{made_by}', not with "
                    f"'{given}'. Leave out --{flag}, or prepare the class again."
                )
    prepared = saved or predictor.prepare(wanted.label, wanted.supports)
    if args.save_class:
        _save(prepared, args.save_class)
    return partial(predictor.predict, **options(args)), prepared


def model_of(args: argparse.Namespace, wanted: Wanted) -> tuple[str, str]:
    """Names of the preset and of the method: those of the flags, else those of the saved class."""
    saved = wanted.saved
    return (
        args.preset or (saved.preset if saved else PRESET),
        args.method or (saved.method if saved else METHOD),
    )


def options(args: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments of ``Predictor.predict``."""
    return {"threshold": args.threshold, "assume_present": args.assume_present, "snap": args.snap}


def _save(prepared: Prepared, file: Path) -> None:
    from safetensors import SafetensorError

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        sweep(file.parent)
        prepared.save(file)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"The class cannot be saved in '{file}' ({reason}). Choose another --save-class."
        ) from error


def _fingerprint(support: Support) -> list[str]:
    known = "" if support.known is None else hashlib.sha256(support.known.tobytes()).hexdigest()
    return [support.image.digest, known]
