from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from demo import uploads
from demo.segment_tab import query_notes
from demo.sessions import Sessions
from demo.uploads import Upload, count_pictures, shown_name, take
from demo.zip_names import checked_encoding
from lfss.errors import InputError


def taken(paths, folder):
    return list(take(paths, folder))


def test_a_picture_is_copied_under_a_fresh_name(photo, tmp_path):
    (item,) = taken([photo("my dog.png")], tmp_path / "in")
    assert item.name == "my dog.png"
    assert item.path.parent == tmp_path / "in"
    assert item.path.read_bytes() == photo("my dog.png").read_bytes()


def test_names_that_climb_out_of_a_zip_stay_inside(photo, tmp_path):
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.write(photo("a.png"), "../../../escape.png")
        z.write(photo("a.png"), "/abs/olute.png")
        z.write(photo("a.png"), "C:\\windows\\x.png")
    items = taken([archive], tmp_path / "in")
    assert [i.name for i in items] == ["escape.png", "abs/olute.png", "windows/x.png"]
    assert {i.path.parent for i in items} == {tmp_path / "in"}
    assert not list(tmp_path.rglob("escape.png"))


def test_folders_of_a_zip_stay_in_the_names(photo, tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.write(photo("a.png"), "day 1/a.png")
        z.write(photo("a.png"), "__MACOSX/._a.png")
        z.writestr("notes.txt", "hello")
    assert [i.name for i in taken([archive], tmp_path / "in")] == ["day 1/a.png"]


def zip_of(archive: Path, picture: Path, stored: bytes, *, copy: str = "") -> Path:
    """A zip of one picture whose name is given in bytes, perhaps with a second copy of it in UTF-8.

    Written under a name of as many letters, which is then exchanged for the bytes.
    """
    stand_in = zipfile.ZipInfo("x" * len(stored))
    if copy:
        field = b"\1" + zlib.crc32(stored).to_bytes(4, "little") + copy.encode()
        stand_in.extra = b"\xfe\xca\0\0" + struct.pack("<HH", 0x7075, len(field)) + field
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr(stand_in, picture.read_bytes())
    archive.write_bytes(archive.read_bytes().replace(stand_in.filename.encode(), stored))
    return archive


NAMES = {
    "UTF-8 without its flag": ("dög 犬.png".encode(), "", "dög 犬.png", False),
    "UTF-8 without its flag, whatever is given": ("犬.png".encode(), "gbk", "犬.png", False),
    "ASCII": (b"dog.png", "", "dog.png", False),
    "Chinese Windows, not given": ("狗.png".encode("gbk"), "", "狗.png".encode("gbk").decode("cp437"), True),
    "Chinese Windows": ("狗/图.png".encode("gbk"), "gbk", "狗/图.png", False),
    "Japanese Windows, with a back slash in a letter": ("表.png".encode("cp932"), "cp932", "表.png", False),
    "the same, not given": ("表.png".encode("cp932"), "", "ò/.png", True),
    "not in what was given": (b"\x81\xff.png", "cp932", b"\x81\xff.png".decode("cp437"), True),
}


@pytest.mark.parametrize(("stored", "encoding", "name", "guessed"), NAMES.values(), ids=NAMES)
def test_names_in_zips_come_out_right_or_are_called_a_guess(photo, tmp_path, stored, encoding, name, guessed):
    archive = zip_of(tmp_path / "set.zip", photo("a.png"), stored)
    (item,) = take([archive], tmp_path / "in", zip_encoding=encoding)
    assert isinstance(item, Upload)
    assert (item.name, item.guessed) == (shown_name(name), guessed)
    assert count_pictures([archive], most=9, zip_encoding=encoding) == 1


@pytest.mark.parametrize("renamed", [False, True])
def test_a_second_copy_of_the_name_counts_while_it_belongs_to_the_name(photo, tmp_path, renamed):
    stored = "狗.png".encode("gbk")
    archive = zip_of(tmp_path / "set.zip", photo("a.png"), stored, copy="狗.png")
    if renamed:  # by a program that does not know the copy
        archive.write_bytes(
            archive.read_bytes().replace(zlib.crc32(stored).to_bytes(4, "little"), b"\0\0\0\0")
        )
    (item,) = taken([archive], tmp_path / "in")
    assert (item.name == "狗.png", item.guessed) == (not renamed, renamed)


def test_a_name_that_cannot_be_told_is_said_with_what_to_do(photo, tmp_path, sessions):
    archive = zip_of(tmp_path / "set.zip", photo("a.png"), "狗.png".encode("gbk"))
    _, session = sessions.open(None)
    assert session.add_queries([archive]) == []  # the picture is taken
    assert "--zip-encoding gbk" in query_notes(session, (), [])
    chinese = Sessions(root=tmp_path, zip_encoding="gbk")
    _, session = chinese.open(None)
    session.add_queries([archive])
    assert query_notes(session, (), []) == '<div class="lfss-note"><p>1 picture</p></div>'
    with chinese.call() as session:
        session.add_queries([archive])
        assert [q.name for q in session.queries] == ["狗.png"]
    chinese.close()


@pytest.mark.parametrize("encoding", ["klingon", "hex", "utf-16", "cp037", "\0"])
def test_an_encoding_that_names_cannot_have_is_refused(encoding):
    with pytest.raises(InputError, match="gbk"):
        checked_encoding(encoding)


def test_a_zip_bomb_stops_at_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_FILE_BYTES", 1 << 20)
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("big.png", bytes(20 << 20))
    (item,) = taken([archive], tmp_path / "in")
    assert "too large" in str(item)
    assert not list((tmp_path / "in").iterdir())


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 broken", b"hello"])
def test_what_is_no_zip_is_refused_in_a_sentence(tmp_path, data):
    archive = tmp_path / "x.zip"
    archive.write_bytes(data)
    (item,) = taken([archive], tmp_path / "in")
    assert "zip" in str(item)


def test_an_empty_zip_says_so(tmp_path):
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("readme.txt", "no pictures")
    (item,) = taken([archive], tmp_path / "in")
    assert "no picture" in str(item)


def test_drawings_and_scripts_are_refused(tmp_path):
    for name in ("a.svg", "a.py", "a", ".png"):
        (tmp_path / name).write_text("x")
    items = taken([tmp_path / n for n in ("a.svg", "a.py", "a", ".png")], tmp_path / "in")
    assert not any(isinstance(i, Upload) for i in items)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\u202egpj.png", "agpj.png"),
        ("x\n\ty.png", "xy.png"),
        ("..", "picture"),
        ("🐕 'q\".png", "🐕 'q\".png"),
    ],
)
def test_names_are_shown_without_control_marks(name, shown):
    assert shown_name(name) == shown
