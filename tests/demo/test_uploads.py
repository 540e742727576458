from __future__ import annotations

import zipfile

import pytest

from demo import uploads
from demo.uploads import Upload, shown_name, take


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


@pytest.mark.parametrize(
    ("stored", "name"),
    [("dög 犬.png".encode(), "dög 犬.png"), ("犬.png".encode("cp932"), None), (b"dog.png", "dog.png")],
    ids=["UTF-8 without its flag", "another code page", "ASCII"],
)
def test_names_in_utf8_without_its_flag_come_out_right(photo, tmp_path, stored, name):
    """Written under a name of as many letters, which is then exchanged for the bytes."""
    archive, stand_in = tmp_path / "set.zip", "x" * (len(stored) - 4) + ".png"
    with zipfile.ZipFile(archive, "w") as z:
        z.write(photo("a.png"), stand_in)
    archive.write_bytes(archive.read_bytes().replace(stand_in.encode(), stored))
    (item,) = taken([archive], tmp_path / "in")
    assert isinstance(item, Upload)
    assert item.name == (name or shown_name(stored.decode("cp437")))


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
