"""The pictures of a session: taken, registered by their pixels, and small copies of them for the page."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lfss.errors import LfssError
from lfss.figures import save_png_atomic
from lfss.images import Image, read_image
from lfss.workspace import Workspace

from .items import PictureFile
from .memory import FREE_SIDE, opened
from .uploads import Upload, take
from .views import DRAFT_COLOUR, jpeg_file, shown_mask, shrunk, write_jpeg

SHOWN_PICTURES = 8  # decoded pictures that a session keeps at the size of a screen
THUMBNAIL_SIDE = 256


@dataclass
class SessionPictures:
    """Pictures of one visitor.

    Attributes:
        folder: everything that the session writes, but for a workspace that was named.
        workspace: drafts with their history.
        pictures: every picture of the session by digest.
        zip_encoding: of names in zips that do not tell; see ``zip_names``.
    """

    folder: Path
    workspace: Workspace
    pictures: dict[str, PictureFile] = field(default_factory=dict)
    zip_encoding: str = ""
    _shown: OrderedDict[str, Image] = field(default_factory=OrderedDict)

    def _taken(self, files: Iterable[str | Path]) -> Iterator[Upload | LfssError]:
        return take(files, self.folder / "pictures", zip_encoding=self.zip_encoding)

    def register(self, upload: Upload, image: Image | None = None) -> PictureFile:
        """Remember a picture by its digest, with small copies of it; read it unless ``image`` holds it.

        Raises:
            ImageError: it cannot be read.
        """
        if image is None:
            with opened(upload.path, upload.name) as read:
                assert read is not None
                return self.register(upload, read)
        picture = PictureFile(upload.path, upload.name, image.size, image.digest)
        self.pictures[picture.digest] = picture
        self._keep_small(picture.digest, image)
        return picture

    def _keep_small(self, digest: str, image: Image) -> None:
        """Copies at the sizes of a thumbnail and a screen, so that looking at it decodes nothing large."""
        path = self._thumbnails() / f"{digest}.png"
        if not path.exists():
            save_png_atomic(path, shrunk(image.pixels, THUMBNAIL_SIDE), sync=False)
        if max(image.size) > FREE_SIDE and not (path := self._screen_path(digest)).exists():
            save_png_atomic(path, shrunk(image.pixels, FREE_SIDE), sync=False)

    def keep_picture(self, image: Image) -> Path | None:
        """Add a picture to the workspace; returns a file of it that lives as long as the workspace.

        What a visitor sent lies in the session's folder, which is removed; a workspace that outlives the
        session gets a copy.
        """
        sent = image.path is not None and image.path.is_relative_to(self.folder)
        return self.workspace.add_image(image, keep=self.outlived and sent).path

    @property
    def outlived(self) -> bool:
        """Whether the workspace outlives the session."""
        return not self.workspace.folder.is_relative_to(self.folder)

    def picture(self, digest: str) -> PictureFile:
        """The picture of a digest, also one that only the workspace knows.

        Raises:
            WorkspaceError: it is not known, or its file is gone.
        """
        if digest not in self.pictures:
            known = self.workspace.image(digest)
            path = self.workspace.image_path(digest)
            self.pictures[digest] = PictureFile(path, known.name, known.size, digest)
        return self.pictures[digest]

    def shown(self, digest: str) -> Image:
        """The picture at the size of a screen, at most 1024 pixels long; the last few are kept."""
        if digest in self._shown:
            self._shown.move_to_end(digest)
            return self._shown[digest]
        small = self._at_screen_size(digest)
        self._shown[digest] = small
        while len(self._shown) > SHOWN_PICTURES:
            self._shown.popitem(last=False)
        return small

    def _at_screen_size(self, digest: str) -> Image:
        picture = self.picture(digest)
        if max(picture.size) <= FREE_SIDE:
            return picture.read()
        if not self._screen_path(digest).exists():
            with picture.opened() as image:
                self._keep_small(digest, image)
        return read_image(self._screen_path(digest), name=picture.name)

    def _screen_path(self, digest: str) -> Path:
        return self._thumbnails() / f"{digest}-screen.png"

    def small(self, digest: str) -> npt.NDArray[np.uint8]:
        """The picture at the size of a thumbnail, (h, w, 3); decoded in full the first time only."""
        path = self._thumbnails() / f"{digest}.png"
        if not path.exists():
            with self.picture(digest).opened() as image:
                self._keep_small(digest, image)
        return read_image(path).pixels

    def file_of(self, pixels: npt.NDArray[np.uint8]) -> str:
        """A file of a picture, (h, w, 3), for a component of the page."""
        return str(jpeg_file(self.folder / "shown", pixels))

    def thumbnail(
        self, digest: str, mask: npt.NDArray[np.bool_], version: str, *, colour: str = DRAFT_COLOUR
    ) -> Path:
        """A small picture with its (H, W) mask, as a file; written once for each version of the mask."""
        path = self.thumbnail_path(digest, version)
        if not path.exists():
            write_jpeg(path, shown_mask(self.small(digest), mask, colour=colour))
        return path

    def thumbnail_path(self, digest: str, version: str) -> Path:
        """Where ``thumbnail`` puts a version; it need not be there yet."""
        key = hashlib.sha256(version.encode()).hexdigest()[:16]
        return self._thumbnails() / f"{digest}-{key}.jpg"

    def _thumbnails(self) -> Path:
        folder = self.folder / "thumbnails"
        folder.mkdir(exist_ok=True)
        return folder
