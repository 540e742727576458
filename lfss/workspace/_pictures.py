"""The pictures of a workspace: by the digest of their pixels, in whatever file they lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import WorkspaceError
from ..images import Image, read_image
from ..storage import pictures
from ..storage.pictures import Picture
from ._opened import Opened

_PAGE = 256  # pictures that are listed in one transaction


class Pictures(Opened):
    """What can be done with pictures."""

    def add_image(self, source: Image | str | os.PathLike[str], *, keep: bool = False) -> Picture:
        """Add a picture, or note a further file in which a known one lies.

        Args:
            source: a picture that was read, or the path of one.
            keep: also keep a copy in the workspace, for files that will not stay, such as uploads.

        Raises:
            ImageError: the file is not a readable picture.
            WorkspaceError: the copy cannot be written.
        """
        path = source.path if isinstance(source, Image) else Path(source)
        stamp = pictures.stamp_of(path) if path else None
        image = source if isinstance(source, Image) else read_image(source)
        if keep:
            path = pictures.keep(self.folder, image)
            stamp = pictures.stamp_of(path)
        with self._database.writing() as connection:
            image_id = pictures.add(connection, digest=image.digest, name=image.name, size=image.size)
            if path and stamp:
                pictures.note_file(connection, self.folder, image_id, path, stamp)
        return self.image(image.digest)

    def image(self, digest: str) -> Picture:
        """The picture of a digest; raises WorkspaceError if it is not known."""
        with self._database.reading() as connection:
            return pictures.get(connection, self.folder, digest)

    def has_image(self, digest: str) -> bool:
        """Whether a picture is known."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT 1 FROM images WHERE digest=?", (digest,)).fetchone()
        return row is not None

    def images(self) -> Iterator[Picture]:
        """All pictures in the order in which they were added, read a few at a time."""
        after = 0
        while True:
            with self._database.reading() as connection:
                page = list(pictures.page(connection, self.folder, after=after, count=_PAGE))
            if not page:
                return
            after = page[-1][0]
            yield from (picture for _, picture in page)

    def find_image(self, path: str | os.PathLike[str]) -> Picture | None:
        """The picture that a file holds, told by path, size and time; None if it must be read."""
        with self._database.reading() as connection:
            image_id = pictures.find_by_file(connection, self.folder, Path(path))
            if image_id is None:
                return None
            return next(pictures.page(connection, self.folder, after=image_id - 1, count=1))[1]

    def image_path(self, digest: str) -> Path:
        """A file that holds the picture today.

        Raises:
            WorkspaceError: the picture came without a file, its file has been moved, or the file holds
                another picture now.
        """
        with self._database.reading() as connection:
            name = pictures.get(connection, self.folder, digest).name
            files = pictures.files_of(connection, self.folder, digest)
        path, stamp = pictures.locate(digest, name, files)
        if stamp is not None and not self._database.read_only:
            with self._database.writing() as connection:
                pictures.note_file(connection, self.folder, pictures.number(connection, digest), path, stamp)
        return path

    def check_files(self) -> Iterator[str]:
        """One sentence for each picture whose file has been moved or changed."""
        for picture in self.images():
            if picture.path is not None:
                try:
                    self.image_path(picture.digest)
                except WorkspaceError as error:
                    yield str(error)
