"""A class kept for tomorrow: saved to a file, and loaded in place of label and supports."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lfss.errors import InputError, LfssError
from lfss.images import Image

from . import example
from .run import prepare
from .service import Service
from .session import ScreenPicture, Session

if TYPE_CHECKING:
    from lfss.prepared import Prepared


def save_class(service: Service, session: Session) -> Path:
    """The session's class as a file to keep."""
    prepared = prepare(service, session)
    safe = "".join(c if c.isalnum() else "-" for c in prepared.label.text)[:40]
    return prepared.save(session.folder / f"{safe}.class.safetensors")


def load_class(service: Service, session: Session, file: str | Path) -> None:
    """Use a saved class in place of the label and supports that are edited.

    Raises:
        InputError: it is damaged, too large, or of another preset.
    """
    if Path(file).stat().st_size > 512 * 2**20:
        raise InputError("A saved class is at most 512 MB. This file is something else.")
    incoming = session.folder / "incoming.safetensors"
    shutil.copyfile(file, incoming)
    prepared = service.load_class(incoming)
    if session.example:
        example.leave(session)
    item = session.classes.renew()
    item.class_file = incoming.replace(session.folder / f"class-{item.number}.safetensors")
    item.class_pictures = _pictures(prepared)
    item.label = ", ".join(prepared.label.phrases)
    item.not_words = ", ".join(prepared.label.distractors)


def show_saved_classes(service: Service, session: Session) -> None:
    """Bring in the small pictures of saved classes that the session got from its workspace."""
    for item in session.classes:
        if item.class_file and not item.class_pictures:
            with suppress(LfssError):  # a run will say what is wrong with it
                item.class_pictures = _pictures(service.load_class(item.class_file))


def _pictures(prepared: Prepared) -> dict[str, ScreenPicture]:
    return {
        digest: ScreenPicture(Image(thumbnail, name), size)
        for digest, thumbnail, name, size in zip(
            prepared.digests, prepared.thumbnails, prepared.names, prepared.sizes
        )
    }
