"""Exports never overwrite, and nothing half-written carries its final name."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from drawn import a_draft

from lfss.annotations import FORMATS, output
from lfss.annotations.bundle import write_bundle
from lfss.drafts import Draft
from lfss.errors import ExportError
from lfss.images import read_image

EVERY = pytest.mark.parametrize("name", FORMATS)


class Watched(list[Draft]):
    """A list of drafts that does something when the nth draft is taken out."""

    def __init__(self, count: int, at: int, then) -> None:
        super().__init__(a_draft(f"{n}.jpg", shape=np.eye(12, dtype=bool)) for n in range(count))
        self.at, self.then, self.taken = at, then, 0

    def __getitem__(self, place):
        self.taken += 1
        if self.taken == self.at:
            self.then()
        return super().__getitem__(place)


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@EVERY
def test_a_folder_with_something_in_it_is_never_touched(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    with pytest.raises(ExportError, match="not an empty folder"):
        FORMATS[name].write([a_draft()], out)
    assert leftovers(out) == ["mine.txt"]
    assert leftovers(tmp_path) == ["out"]


@EVERY
def test_an_empty_or_missing_folder_is_filled_and_the_files_are_told(name: str, tmp_path: Path) -> None:
    for out in (tmp_path / "new" / "deep", tmp_path / "empty"):
        if out.name == "empty":
            out.mkdir()
        files = FORMATS[name].write([a_draft()], out)
        assert sorted(files) == sorted(p for p in out.rglob("*") if p.is_file())
        assert files
    assert leftovers(tmp_path) == ["empty", "new"]


def test_a_file_of_that_name_is_never_touched(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("precious")
    for write in (FORMATS["coco"].write, write_bundle):
        with pytest.raises(ExportError, match="exists already"):
            write([a_draft()], out)
    assert out.read_text() == "precious"


@EVERY
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_fault_of_the_disk_is_one_sentence_and_leaves_nothing(
    name: str, number: int, tmp_path: Path
) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number))

    drafts = Watched(6, at=9, then=fail)  # the plan reads six, so this happens in the middle of writing
    with pytest.raises(ExportError, match="was not written") as raised:
        FORMATS[name].write(drafts, tmp_path / "out")
    assert ("disk is full" in str(raised.value)) == (number == errno.ENOSPC)
    assert leftovers(tmp_path) == []


def test_a_full_disk_leaves_no_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    # Where the formats are written, below a hidden name, and where the zip is.
    for place in ("png.write_png", "bundle._zip"):
        monkeypatch.setattr(f"lfss.annotations.{place}", full)
        with pytest.raises(ExportError) as raised:
            write_bundle([a_draft()], tmp_path / "b.zip", formats=("png",), options={"separate": True})
        assert str(raised.value).startswith(f"'{tmp_path / 'b.zip'}' was not written: the disk is full.")
        assert leftovers(tmp_path) == []
        monkeypatch.undo()


def test_the_folder_of_several_formats_is_named_as_it_was_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with (
        pytest.raises(ExportError, match="the disk is full") as raised,
        output.new_folder(out) as folder,
        output.new_folder(folder / "png"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(raised.value).startswith(f"'{out}' was")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ExportError, match="not allowed"):
            FORMATS["coco"].write([a_draft()], tmp_path / "out")
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_refuses_to_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ExportError, match="writing is not allowed there"):
        FORMATS["png"].write([a_draft()], tmp_path / "out")


def test_a_file_where_the_folder_should_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    drafts = [a_draft("a.jpg", shape=np.eye(12, dtype=bool))]
    for write in (write_bundle, FORMATS["coco"].write):
        with pytest.raises(ExportError, match=r"x\.zip' was not written: something of that name is in"):
            write(drafts, tmp_path / "file" / "x.zip")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_target_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def appear() -> None:
        out.mkdir()
        (out / "mine.txt").write_text("precious")

    with pytest.raises(ExportError, match="in the way"):
        FORMATS["coco"].write(Watched(3, at=5, then=appear), out)
    assert leftovers(out) == ["mine.txt"]
    zipped = tmp_path / "b.zip"
    with pytest.raises(ExportError, match="in the way"):
        write_bundle(Watched(3, at=8, then=lambda: zipped.write_text("precious")), zipped)
    assert zipped.read_text() == "precious"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("name", [*FORMATS, "bundle"])
@pytest.mark.parametrize("at", [3, 7, 10, 12])
def test_a_killed_export_leaves_nothing_under_its_name(name: str, at: int, tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        drafts = Watched(6, at=at, then=lambda: os.kill(os.getpid(), signal.SIGKILL))
        write = write_bundle if name == "bundle" else FORMATS[name].write
        write(drafts, tmp_path / "out")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert all(n.startswith(".lfss-") for n in leftovers(tmp_path))
    again = Watched(6, at=-1, then=None)
    (write_bundle if name == "bundle" else FORMATS[name].write)(again, tmp_path / "out")
    assert (tmp_path / "out").exists()


def photo(path: Path, *, turned: bool = False) -> Path:
    pixels = np.random.default_rng(3).integers(0, 255, (10, 12, 3), np.uint8)
    exif = PIL.Image.Exif()
    if turned:
        exif[0x0112] = 6
    PIL.Image.fromarray(pixels).save(path, exif=exif)
    return path


def draft_of(path: Path) -> Draft:
    image = read_image(path)
    return a_draft(path.name, digest=image.digest, shape=np.ones(image.size, bool), image_path=path)


def test_pictures_are_copied_byte_for_byte(tmp_path: Path) -> None:
    path = photo(tmp_path / "dog.jpg")
    FORMATS["yolo"].write([draft_of(path)], tmp_path / "out", images=True)
    assert (tmp_path / "out/images/train/dog.jpg").read_bytes() == path.read_bytes()


def test_turned_pictures_are_saved_upright_without_their_tag(tmp_path: Path) -> None:
    path = photo(tmp_path / "dog.jpg", turned=True)
    FORMATS["cvat"].write([draft_of(path)], tmp_path / "out", images=True)
    with PIL.Image.open(tmp_path / "out/images/dog.jpg") as saved:
        assert saved.size == (10, 12)
        assert saved.getexif().get(0x0112, 1) == 1


def test_a_picture_that_has_gone_or_changed_is_named(tmp_path: Path) -> None:
    path = photo(tmp_path / "dog.jpg")
    draft = draft_of(path)
    PIL.Image.new("RGB", (12, 10)).save(path)
    with pytest.raises(ExportError, match="has changed"):
        FORMATS["coco"].write([draft], tmp_path / "out", images=True)
    path.unlink()
    with pytest.raises(ExportError, match="no longer at"):
        FORMATS["coco"].write([draft], tmp_path / "out", images=True)
    with pytest.raises(ExportError, match="without its file"):
        FORMATS["coco"].write([a_draft()], tmp_path / "out", images=True)
    assert leftovers(tmp_path) == []


def test_json_lists_are_written_entry_by_entry(tmp_path: Path) -> None:
    output.write_json(tmp_path / "a.json", {"x": "ü"}, {"one": iter([1, 2]), "none": iter([])})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{"x":"ü",\n\n"one":[\n1,\n2],\n"none":[]}\n'


PLACES = {
    "coco": "images/default", "coco-panoptic": "images/default", "cvat": "images", "labelme": ".",
    "labelstudio": "images", "voc": "JPEGImages", "yolo": "images/train", "png": "images",
}  # fmt: skip


@pytest.mark.parametrize(("form", "place"), PLACES.items())
def test_pictures_lie_where_the_page_on_formats_says(form: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / "dog.png"
    PIL.Image.fromarray(np.zeros((10, 12, 3), np.uint8)).save(path)
    FORMATS[form].write([draft_of(path)], tmp_path / "out", images=True)
    assert (tmp_path / "out" / place / "dog.png").is_file()


def test_a_file_gets_its_name_where_the_disk_has_no_links_and_never_replaces_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    def write(path: Path, meanwhile: bytes = b"") -> None:
        with output.new_file(path) as partial:
            partial.write_bytes(b"whole")
            if meanwhile:
                path.write_bytes(meanwhile)

    monkeypatch.setattr(os, "link", refuse)
    write(tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == b"whole"
    with pytest.raises(ExportError):
        write(tmp_path / "b.zip", b"of another program")
    assert (tmp_path / "b.zip").read_bytes() == b"of another program"
    assert leftovers(tmp_path) == ["a.zip", "b.zip"]
