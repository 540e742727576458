"""What programs may ask for, whatever way they come: prepare a class, segment a picture, export many.

Each call stands alone: its files lie in a folder of its own that is gone when the call ends, whether it
ends well or not. What a call may bring is checked before any work is done.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lfss.annotations import FORMATS
from lfss.doubt import warning
from lfss.errors import InputError, UnknownName
from lfss.figures import save_png_atomic
from lfss.stages import Prediction

from .export_tab import STATES
from .export_tab import export as write_bundle
from .memory import opened
from .run import run
from .saved_class import save_class
from .service import Service
from .session import MAX_SUPPORTS, Session, Settings
from .uploads import count_pictures

MAX_PICTURES = 1000  # of one call of export, those in zips too
MAX_CALL_BYTES = 2 * 2**30  # of all files of one call
WRITABLE = tuple(name for name in FORMATS if name != "coco-results")  # needs a ground truth to match


def prepare_class(
    service: Service, session: Session, label: object, not_words: object, supports: Sequence[str | Path]
) -> Path:
    """A class file from a label and supports; all of the supports, or the reason of the first refused.

    Args:
        service: the model.
        session: of the visitor.
        label, not_words: as they were sent.
        supports: files.
    """
    session.label, session.not_words = _text(label, "label"), _text(not_words, "'not' words")
    _check_files(supports, MAX_SUPPORTS, "supports")
    _strict(session.add_supports(supports))
    return save_class(service, session)


def segment(
    service: Service, session: Session, image: str | Path | None, class_file: Path, settings: Settings
) -> tuple[Path, dict[str, Any]]:
    """The mask of one picture as a PNG, and facts about it.

    Args:
        service: the model.
        session: of the visitor.
        image: the file.
        class_file: from ``prepare_class``.
        settings: threshold and others.
    """
    if not image:
        raise InputError("Send a picture to segment.")
    _check_files([image], 1, "pictures")
    prepared, prediction = service.load_class(class_file), None
    with opened(Path(image), Path(image).name) as query:
        assert query is not None
        for step in service.segment(prepared, query, settings):
            prediction = step if isinstance(step, Prediction) else None
        assert prediction is not None
        path = session.folder / "mask.png"
        save_png_atomic(path, prediction.mask, sync=False)
    area = float(prediction.mask.mean())
    facts = {
        "label": prediction.label.text,
        "presence": round(prediction.presence, 4),
        "area": area,
        "warning": warning(area, prediction.label.text),
        "preset": prediction.preset,
        "seconds": round(prediction.seconds, 4),
    }
    return path, facts


def export(
    service: Service,
    session: Session,
    images: Sequence[str | Path],
    class_file: Path,
    form: object,
    settings: Settings,
) -> Iterator[Path | None]:
    """Segment pictures one by one: yields None after each, so that the call can be ended, then the bundle.

    A picture that cannot be read costs that picture: it is listed under ``failed`` in the bundle's manifest.

    Args:
        service: the model.
        session: of the visitor.
        images: files.
        class_file: from ``prepare_class``.
        form: name of the format, as it was sent.
        settings: threshold and others.

    Raises:
        InputError: there is no picture that could be read.
    """
    session.class_file = class_file
    if form not in WRITABLE:
        raise UnknownName("format", str(form), WRITABLE)
    _check_files(images, MAX_PICTURES, "pictures")
    count_pictures(images, most=MAX_PICTURES, zip_encoding=session.zip_encoding)
    refused = [("", reason) for reason in session.add_queries(images)]
    if not session.queries:
        raise InputError(refused[0][1] if refused else "Send the pictures to segment, or a zip of them.")
    for update in run(service, session, settings):
        if update.digest:
            yield None
    session.failures = refused + session.failures
    if len(session.failures) >= len(session.queries) + len(refused):
        raise InputError(session.failures[0][1])
    names = [category.name for category in session.workspace.labels()]
    yield write_bundle(session, names, list(STATES), [str(form)], images=False)


def settings_of(threshold: object, assume_present: object) -> Settings:
    """What a program chose; None stands for what is usual.

    Raises:
        InputError: the threshold is not between 0 and 1.
    """
    threshold = 0.5 if threshold is None else threshold
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold < 1:
        raise InputError(f"The threshold is a number between 0 and 1; {threshold!r} was given.")
    return Settings(float(threshold), bool(assume_present))


def check_count(count: int, most: int, what: str) -> None:
    """Refuse too many files; raises InputError."""
    if count > most:
        raise InputError(f"One call takes at most {most:,} {what}; {count:,} were sent. Send fewer.")


def handed_over(path: Path, folder: Path) -> Path:
    """Move a result to where it is served from, since the folder of its call goes."""
    target = folder / secrets.token_hex(16) / path.name
    target.parent.mkdir(parents=True)
    return path.rename(target)


def _check_files(files: Sequence[str | Path], most: int, what: str) -> None:
    """Refuse a call that brings too much, before anything is decoded."""
    check_count(len(files), most, what)
    size = sum(Path(file).stat().st_size for file in set(map(str, files)))
    if size > MAX_CALL_BYTES:
        raise InputError(
            f"One call takes at most {MAX_CALL_BYTES >> 20:,} MB; {size >> 20:,} MB were sent. Send fewer."
        )


def _text(value: object, what: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"The {what} must be text; {type(value).__name__} was given.")
    return value


def _strict(refused: Sequence[str]) -> None:
    """A program wants all or nothing, told by the first reason."""
    if refused:
        raise InputError(refused[0])
