"""A workspace: pictures, labels, supports and drafts in one folder, where nothing is lost.

What a method has returned from is on the disk: killing the program, or a power cut, takes at most
the one change under way. Two programs may use a workspace at once; the later change of a draft wins
and the earlier one stays in its history. All methods may be called from any thread.

    workspace = Workspace.open(folder)
    workspace.put_draft(draft, prediction.score)
    workspace.set_status(draft.image_digest, "dog", "accepted")
    coco.write(workspace.drafts(status="accepted"), out)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from ..errors import WorkspaceError
from ..storage import failures, integrity, listing, pictures
from ..storage.database import BUSY_SECONDS, Database
from ..storage.listing import Stats
from ._decisions import Decisions
from ._labels import Labels

__all__ = ["DATABASE_NAME", "Stats", "Workspace"]

DATABASE_NAME = "workspace.sqlite"


class Workspace(Labels, Decisions):
    """A folder with one database. Make it with ``Workspace.open``."""

    @classmethod
    def open(
        cls, folder: str | os.PathLike[str], *, create: bool = True, busy_seconds: float = BUSY_SECONDS
    ) -> Self:
        """Open a workspace; an older one is brought up to date, its content unchanged.

        One that cannot be written, as on a read-only disk, can be read where ``create`` is False.

        Args:
            folder: on a disk of this machine, since network folders cannot be shared safely.
            create: make the folder and the workspace if they are not there.
            busy_seconds: how long a change waits for another program that is writing.

        Raises:
            WorkspaceError: not there, not writable, locked, damaged, of a newer version of this
                program, or not a workspace.
        """
        path = pictures.absolute(Path(folder))
        if create:
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise WorkspaceError(
                    f"The folder '{path}' cannot be made ({error.strerror}). Choose a folder of your own."
                ) from error
        return cls(path, Database(path / DATABASE_NAME, create=create, busy_seconds=busy_seconds))

    def close(self) -> None:
        """Close the file. Nothing depends on it but tidiness; later calls raise WorkspaceError."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Batches

    def record_failure(self, label: str, path: str | os.PathLike[str], message: str) -> None:
        """Note why a file could not be segmented, until a draft of it is stored."""
        with self._database.writing() as connection:
            failures.put(connection, self.folder, label, Path(path), message)

    def failures(self, label: str) -> list[tuple[Path, str]]:
        """Files that could not be segmented, each with the reason."""
        with self._database.reading() as connection:
            return failures.list_failures(connection, self.folder, label)

    # Upkeep

    def stats(self) -> Stats:
        """How much the workspace holds."""
        size = sum(file.stat().st_size for file in self.folder.glob(f"{DATABASE_NAME}*"))
        with self._database.reading() as connection:
            return listing.stats(connection, size=size)

    def check(self) -> list[str]:
        """Read everything and say what is wrong, one sentence each; empty if the workspace is whole."""
        found: list[str] = []
        try:
            for line in integrity.problems(self._database):
                found.append(line)
        except WorkspaceError as error:  # too damaged to read on
            found.append(str(error))
        return found
