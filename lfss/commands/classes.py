"""What to search for, from the flags of ``segment``: labels with their supports, saved classes, or what a
workspace has."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..atomic import sweep
from ..batch.loop import Segment
from ..class_file import MAX_BYTES
from ..devices import pick_device
from ..errors import InputError
from ..files import read_bytes
from ..images import read_image
from ..labels import Label, label_key
from ..marks import read_supports
from ..methods import METHODS
from ..predictor import Predictor
from ..prepared import Prepared
from ..presets import PRESETS
from ..settings import Settings, common
from ..storage.categories import Category
from ..support import Support
from ..workspace import DATABASE_NAME, Workspace
from .labelled import LabelledFlags

PRESET, METHOD = "mini", "lfss"


@dataclass(frozen=True, eq=False)
class ClassRequest:
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
            return ["class", hashlib.sha256(read_bytes(self.source, most=MAX_BYTES)).hexdigest()]
        return [_fingerprint(support) for support in self.supports]

    @property
    def digests(self) -> tuple[str, ...]:
        """The pictures of its supports."""
        return self.saved.digests if self.saved else tuple(s.image.digest for s in self.supports)


@dataclass(frozen=True, eq=False)
class Request:
    """All that a run searches for, and how.

    Attributes:
        classes: one or several.
        preset, method: by name.
        settings: threshold and so on.
    """

    classes: Sequence[ClassRequest]
    preset: str
    method: str
    settings: Settings


def read_request(args: argparse.Namespace) -> Request:
    """Read labels, supports and saved classes, and what the workspace has where flags do not say.

    Raises:
        InputError: a picture, a mark or a saved class cannot be used, there is nothing to search for, or
            two labels are the same.
    """
    flags, found = LabelledFlags.of(args), _stored(args.workspace)
    classes, going_on = [], []
    if flags.labels or args.class_file:
        for number, label in enumerate(flags.labels):
            request, continued = _typed(args, flags, number, found.get(label_key(label.text)))
            classes.append(request)
            going_on += continued
        classes += [_saved(file, args.device) for file in args.class_file]
    else:
        going_on = [one for one in found.values() if one.supports or one.class_file]
        classes = [one.request(args.device) for one in going_on]
    if not classes:
        raise InputError(
            f"The workspace '{args.workspace}' has no label with supports to go on with. Say what to search "
            "for: --label WORDS with --support PATH, or --class FILE."
        )
    _check_names(classes)
    if not args.workspace:  # one may get the other label of a pair later
        _check_pairs(flags.may_overlap, [one.label.text for one in classes])
    saved = [one.saved for one in classes if one.saved]
    return Request(
        classes,
        _agreed(
            args.preset,
            [*(one.preset for one in saved), *(one.category.preset for one in going_on)],
            "preset",
            PRESET,
        ),
        _agreed(
            args.method,
            [*(one.method for one in saved), *(one.category.method for one in going_on)],
            "method",
            METHOD,
        ),
        _settings(args, going_on),
    )


def load_model(args: argparse.Namespace, request: Request) -> Predictor:
    """Load the model that a request asks for."""
    return Predictor.load(request.preset, method=request.method, device=args.device)


def load(args: argparse.Namespace, request: Request, predictor: Predictor | None = None) -> Segment:
    """Prepare the classes with the model, loaded if need be; saves the one of ``--save-class``."""
    predictor = predictor or load_model(args, request)
    for one in request.classes:
        if one.saved is not None:
            _check_made_with(one.saved, one.source, preset=predictor.preset.name, method=request.method)
    new = [(one.label, one.supports) for one in request.classes if one.saved is None]
    made = iter(predictor.prepare_classes(new) if new else [])
    prepared = [one.saved or next(made) for one in request.classes]
    if args.save_class:
        _save(prepared[0], args.save_class)
    return partial(predictor.iterate_classes, prepared, **request.settings.options)


def keep_classes(workspace: Workspace, request: Request) -> None:
    """Keep in the workspace all that the run searches for; what a person marked there stays."""
    names = {label_key(category.name) for category in workspace.labels()}
    for one in request.classes:
        there = workspace.supports(one.label.text) if label_key(one.label.text) in names else []
        marks: dict[str, npt.NDArray[np.int8] | None] = {}
        if one.source is None:
            marks |= {kept.picture.digest: kept.known for kept in there}
        for support in one.supports:
            workspace.add_image(support.image)
            if support.known is not None or support.image.digest not in marks:
                marks[support.image.digest] = support.known
        workspace.put_class(
            one.label,
            marks,
            method=request.method,
            preset=request.preset,
            settings=request.settings.stored(),
            class_file=one.source,
        )


@dataclass(frozen=True, eq=False)
class _Stored:
    """A class of a workspace."""

    category: Category
    supports: Sequence[tuple[Path, Any]]
    class_file: Path | None

    def request(self, device: str, label: Label | None = None) -> ClassRequest:
        label = label or self.category.label
        if self.class_file:
            return replace(_saved(self.class_file, device), label=label)
        return ClassRequest(
            label,
            [
                Support(read_image(path), None if (known == -1).all() else known)
                for path, known in self.supports
            ],
        )


def _stored(folder: Path | None) -> dict[str, _Stored]:
    """The classes of a workspace, if there is one, by the key of their label."""
    if folder is None or not (folder / DATABASE_NAME).exists():
        return {}
    with Workspace.open(folder, create=False) as workspace:
        return {
            label_key(category.name): _Stored(
                category,
                [
                    (workspace.image_path(kept.picture.digest), kept.known)
                    for kept in workspace.supports(category.name)
                ],
                workspace.class_file(category.name),
            )
            for category in workspace.labels()
        }


def _typed(
    args: argparse.Namespace, flags: LabelledFlags, number: int, stored: _Stored | None
) -> tuple[ClassRequest, list[_Stored]]:
    """The class of a label that was typed, and what of the workspace it goes on with."""
    label = flags.labels[number]
    if stored and not label.synonyms and not label.distractors:
        label = replace(stored.category.label, text=stored.category.name)
    paths = flags.supports[number]
    if paths:
        marks = flags.marks[number]
        supports = read_supports(paths, boxes=marks["box"], masks=marks["mask"], scribbles=marks["scribble"])
        return ClassRequest(label, supports), []
    if stored and (stored.supports or stored.class_file):
        return stored.request(args.device, label), [stored]
    raise InputError(
        f"There are no supports for '{label.text}'. Give at least one photo that shows the object: "
        f"--support PATH for every label, or --support '{label.text}=PATH' for this one."
    )


def _saved(file: Path, device: str) -> ClassRequest:
    saved = Prepared.load(file, device=pick_device(device))
    return ClassRequest(saved.label, saved=saved, source=file)


def _check_made_with(saved: Prepared, source: Path | None, **given: str) -> None:
    """Raise an InputError unless a saved class was prepared with the preset and the method in use."""
    for flag, name in given.items():
        if getattr(saved, flag) != name:
            raise InputError(
                f"The class in '{source}' was prepared with the {flag} '{getattr(saved, flag)}', not with "
                f"'{name}'. Leave out --{flag}, or prepare the class again."
            )


def _check_names(classes: Sequence[ClassRequest]) -> None:
    seen: dict[str, str] = {}
    for one in classes:
        key = label_key(one.label.text)
        if key in seen:
            raise InputError(f"Two labels of this run are '{seen[key]}'. Leave one out, or rename it.")
        seen[key] = one.label.text


def _check_pairs(pairs: Sequence[tuple[str, str]], labels: Sequence[str]) -> None:
    """Raise an InputError unless every name of the pairs is one of the labels."""
    keys = {label_key(label) for label in labels}
    for name in (name for pair in pairs for name in pair):
        if label_key(name) not in keys:
            known = ", ".join(labels)
            raise InputError(
                f"--may-overlap names '{name}', which is no label of this run ({known}). Correct the name."
            )


def _agreed(typed: str | None, known: Sequence[str], what: str, default: str) -> str:
    """The preset or method that was typed, else the one that all classes were made with.

    Files are trusted only where they name one of this program: ``module:function`` would run code that
    whoever made the file has chosen.
    """
    found = list(dict.fromkeys(name for name in known if name))
    if typed is None and len(found) > 1:
        raise InputError(
            f"The classes were made with different {what}s ({', '.join(found)}). Say which to use: --{what}."
        )
    known_here = PRESETS if what == "preset" else METHODS
    if typed is None and found and found[0] not in known_here:
        raise InputError(
            f"The class was made with the {what} '{found[0]}', which is none of this program "
            f"({', '.join(known_here)}). If you know and trust it, name it yourself: --{what}."
        )
    return typed or (found[0] if found else default)


def _settings(args: argparse.Namespace, going_on: Sequence[_Stored]) -> Settings:
    """What was typed; the rest from the classes of the workspace that the run goes on with."""
    stored = [one.category.settings for one in going_on if one.category.settings]
    if args.threshold is not None:
        stored = [{**settings, "threshold": f"{args.threshold:g}"} for settings in stored]
    base = common(stored, [one.category.name for one in going_on])
    typed = {name: getattr(args, name) for name in ("threshold", "assume_present", "snap", "second_look")}
    pairs = LabelledFlags.of(args).may_overlap or base.overlaps
    return replace(base, **{k: v for k, v in typed.items() if v is not None}, overlaps=pairs)


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
