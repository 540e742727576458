"""Pictures: known by their pixels, moved, changed, or kept as copies."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import a_draft, write_photo

from lfss.errors import ImageError, WorkspaceError
from lfss.images import read_image
from lfss.workspace import Workspace


def test_a_picture_is_known_by_its_pixels_in_whatever_file(workspace, tmp_path):
    first = workspace.add_image(write_photo(tmp_path / "one" / "a.png", 1))
    second = workspace.add_image(write_photo(tmp_path / "two" / "b.png", 1))
    assert first.digest == second.digest
    assert len(list(workspace.images())) == 1
    assert workspace.image(first.digest).path == tmp_path / "two" / "b.png"
    assert workspace.find_image(tmp_path / "one" / "a.png").digest == first.digest
    (tmp_path / "two" / "b.png").unlink()
    assert workspace.image_path(first.digest) == tmp_path / "one" / "a.png"


def test_equal_names_in_two_folders_are_two_pictures(workspace, tmp_path):
    workspace.add_image(write_photo(tmp_path / "one" / "a.png", 1))
    workspace.add_image(write_photo(tmp_path / "two" / "a.png", 2))
    assert [p.name for p in workspace.images()] == ["a.png", "a.png"]


def test_file_names_that_are_no_text_are_kept(workspace, tmp_path):
    odd = Path(str(tmp_path) + "/caf\udce9 写真.png")  # a lone Latin-1 byte among UTF-8
    try:
        write_photo(odd)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes text only")
    picture = workspace.add_image(odd)
    assert workspace.image_path(picture.digest) == odd
    assert "写真" in picture.name


def test_a_moved_file_is_told_and_adding_it_again_repairs_it(workspace, tmp_path):
    path = write_photo(tmp_path / "a.png", 1)
    digest = workspace.add_image(path).digest
    workspace.put_draft(a_draft(1, image_digest=digest, image_path=path))
    path.rename(tmp_path / "b.png")
    with pytest.raises(WorkspaceError, match=r"no longer at .*a\.png.*its drafts are kept"):
        workspace.image_path(digest)
    assert len(list(workspace.check_files())) == 1
    workspace.add_image(tmp_path / "b.png")
    assert workspace.image_path(digest) == tmp_path / "b.png"
    assert workspace.draft(digest, "dog").image_path == tmp_path / "b.png"
    assert list(workspace.check_files()) == []


def test_a_changed_file_is_told_and_the_drafts_of_the_earlier_picture_stay(workspace, tmp_path):
    path = write_photo(tmp_path / "a.png", 1)
    digest = workspace.add_image(path).digest
    workspace.put_draft(a_draft(1, image_digest=digest, image_path=path))
    write_photo(path, 2)
    with pytest.raises(WorkspaceError, match=r"has changed since 'a\.png' was added"):
        workspace.image_path(digest)
    assert workspace.find_image(path) is None
    assert workspace.add_image(path).digest != digest
    assert workspace.draft(digest, "dog") is not None


def test_a_file_that_was_only_touched_is_the_same_picture(workspace, tmp_path):
    path = write_photo(tmp_path / "a.png", 1)
    digest = workspace.add_image(path).digest
    path.touch()
    assert workspace.find_image(path) is None
    assert workspace.image_path(digest) == path
    assert workspace.find_image(path).digest == digest


def test_a_kept_copy_is_the_file_itself_unless_that_has_changed(workspace, tmp_path):
    upload = write_photo(tmp_path / "upload.PNG", 1)
    data, image = upload.read_bytes(), read_image(upload)
    assert workspace.add_image(image, keep=True).path.read_bytes() == data
    other = read_image(write_photo(upload, 2))
    write_photo(upload, 3)  # another picture lies there by now
    kept = workspace.add_image(other, keep=True).path
    assert kept.suffix == ".png"
    assert read_image(kept).digest == other.digest


def test_a_kept_copy_outlives_the_upload_and_moves_with_the_workspace(workspace, tmp_path):
    upload = write_photo(tmp_path / "upload.png", 1)
    picture = workspace.add_image(read_image(upload), keep=True)
    upload.unlink()
    workspace.close()
    moved = Workspace.open(workspace.folder.rename(tmp_path / "elsewhere"))
    kept = moved.image_path(picture.digest)
    assert read_image(kept).digest == picture.digest
    assert moved.image(picture.digest).name == "upload.png"


def test_a_picture_whose_file_is_gone_since_it_was_read_is_known_without_a_file(workspace, tmp_path):
    path = write_photo(tmp_path / "a.png", 1)
    image = read_image(path)
    path.unlink()
    assert workspace.add_image(image).path is None


def test_what_is_not_a_picture_is_refused(workspace, tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(ImageError):
        workspace.add_image(tmp_path / "a.png")
    assert list(workspace.images()) == []


def test_a_failure_is_kept_until_the_picture_succeeds(workspace, tmp_path):
    path = write_photo(tmp_path / "a.png", 1)
    workspace.record_failure("dog", path, "It is dark.")
    workspace.record_failure("dog", path, "It is too dark.")
    assert workspace.failures("dog") == [(path, "It is too dark.")]
    assert workspace.stats().failures == {"dog": 1}
    workspace.put_draft(a_draft(1, image_path=path))
    assert workspace.failures("dog") == []
