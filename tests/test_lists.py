"""Lists of pictures as people have them: of any system, in quotes, through a pipe."""

from __future__ import annotations

import codecs
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from lfss import lists
from lfss.errors import InputError
from lfss.lists import PathList

PATHS = ["a b.jpg", "写真.png", "/x/c.jpg"]


def listed(tmp_path: Path, content: bytes) -> list[str]:
    file = tmp_path / "list.txt"
    file.write_bytes(content)
    return [str(path) for path in PathList(file)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),  # what PowerShell writes
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        lambda text: text.encode("utf-32"),
    ],
    ids=["utf-8", "utf-8 with mark", "utf-16", "utf-16-be", "utf-32"],
)
def test_lists_of_every_system_are_read(tmp_path, encode, end):
    assert listed(tmp_path, encode(end.join([*PATHS[:1], "", "  ", *PATHS[1:], ""]))) == PATHS


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_known_by_its_zeros(tmp_path, encoding):
    assert listed(tmp_path, "one.jpg\r\ntwo.jpg\r\n".encode(encoding)) == ["one.jpg", "two.jpg"]


def test_quotes_and_comments_are_taken_for_what_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("#1.jpg").touch()
    content = b'# my photos\n"C:\\my photos\\a.jpg"\n  \'b c.jpg\' \n#1.jpg\n#2.jpg\n"\n"a"\n""\n'
    assert listed(tmp_path, content) == ["C:\\my photos\\a.jpg", "b c.jpg", "#1.jpg", '"', "a", '""']


def test_spaces_around_a_path_and_back_slashes_count_where_there_is_such_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in ("photos/a.jpg", "photos/b.jpg", " c.jpg", "c.jpg"):
        Path(name).touch()
    content = b'  photos/a.jpg \nphotos\\b.jpg\n"photos\\a.jpg" \n c.jpg\nphotos\\none.jpg\n'
    there = ["photos/a.jpg", "photos/b.jpg", "photos/a.jpg", " c.jpg", "photos\\none.jpg"]
    assert listed(tmp_path, content) == there


def test_names_that_are_not_text_lead_to_their_files(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    assert listed(tmp_path, b"caf\xe9.jpg\n") == [name]


def test_a_list_can_be_gone_through_again_and_knows_its_length(tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("a.jpg\nb.jpg\n")
    paths = PathList(file)
    file.unlink()
    assert len(paths) == 2
    next(iter(paths))  # left half way
    assert list(paths) == list(paths) == [Path("a.jpg"), Path("b.jpg")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes in the file system")
def test_a_pipe_is_read_once_and_whole(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"a.jpg\nb.jpg\n"))
    writer.start()
    paths = PathList(pipe)
    writer.join()
    assert (len(paths), list(paths)) == (2, [Path("a.jpg"), Path("b.jpg")])


def test_a_list_without_end_is_refused_before_it_fills_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(lists, "MAX_BYTES", 1 << 20)
    with pytest.raises(InputError, match="more than 1 MB"):
        PathList("/dev/zero" if Path("/dev/zero").exists() else _large(tmp_path))


def _large(tmp_path: Path) -> Path:
    file = tmp_path / "large.txt"
    file.write_bytes(bytes(2 << 20))
    return file


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "names no picture"),
        (b"\n \n# nothing\n", "names no picture"),
        (np.random.default_rng(0).bytes(5000), "is not text"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is not text"),
        (b"a" * 40_000, "a line of more than"),
    ],
    ids=["empty", "comments", "random bytes", "a picture", "one endless line"],
)
def test_what_is_no_list_is_a_sentence(tmp_path, content, told):
    with pytest.raises(InputError, match=told):
        listed(tmp_path, content)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_letter_that_the_first_look_cuts_does_not_make_a_list_no_text(tmp_path, cut):
    """A NUL makes the beginning suspicious; it is text all the same, though its last letter is cut."""
    begin = b"a\0.jpg\n"
    fill = b"x" * (lists._HEAD - len(begin) - cut)
    paths = listed(tmp_path, begin + fill + "𝄞.jpg\n".encode())
    assert paths == ["a\0.jpg", f"{fill.decode()}𝄞.jpg"]


def test_random_bytes_never_raise_anything_else(tmp_path):
    rng = np.random.default_rng(1)
    for length in rng.integers(1, 300, 200):
        try:
            paths = listed(tmp_path, rng.bytes(int(length)))
        except InputError:
            continue
        assert paths
