"""The one door for text: what is decoded, what is refused, and that nothing reaches a terminal raw."""

from __future__ import annotations

import io
import json
import os
import sqlite3
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from fakes import scene
from samples import a_draft, write_photo

from lfss.__main__ import main
from lfss.errors import InputError, LabelError, LfssError
from lfss.labels import Label, checked_name
from lfss.text import Terminal, checked, decode
from lfss.workspace import Workspace

BAD = ["\x1b[31mred", "a\0b", "a\ud800b", "a\udcffb", "\u202egpj", "a\x07", "a\x9bb"]


@pytest.mark.parametrize("data", ["é\n".encode(), "é\n".encode("utf-8-sig"), "é\n".encode("utf-16")])
def test_text_files_of_every_system_are_decoded(data):
    assert decode(data, "The list") == "é\n"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_told_by_its_first_256_bytes(encoding):
    text = "a" * 128 + "犬" * 128  # further on, no byte need be zero
    assert decode(text.encode(encoding), "The list") == text


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"\xe9", b"a\0b", b"\xff\xfea\0\0\xd8"])
def test_what_is_no_text_is_a_sentence(data):
    with pytest.raises(InputError, match=r"The list .* Save it again as UTF-8"):
        decode(data, "The list")


@pytest.mark.parametrize("value", BAD)
def test_a_value_that_cannot_be_shown_is_refused_and_the_message_can_be_shown(value):
    with pytest.raises(InputError, match="cannot be shown") as caught:
        checked(value, "The label")
    assert caught.value.args[0].encode()
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in str(caught.value))


def test_a_value_is_composed_and_bounded():
    assert checked("Cafe\u0301 می\u200cخواهم", "The label") == "Café می\u200cخواهم"
    with pytest.raises(InputError, match="at most 4,096"):
        checked("x" * 5000, "The label")


@pytest.mark.parametrize("value", BAD)
def test_every_message_of_an_error_can_be_stored_sent_and_shown(value):
    message = str(LfssError(f"There is no file '{value}'."))
    sqlite3.connect(":memory:").execute("SELECT ?", (message,))
    assert message.encode()
    assert "\x1b" not in message


def test_a_terminal_gets_no_control_character():
    raw = io.StringIO()
    print("\x1b]0;owned\x07 a\tb\r\u202e", file=Terminal(raw))
    assert raw.getvalue() == "\\x1b]0;owned\\x07 a\tb\\r\\u202e\n"


# One rule for labels


@pytest.mark.parametrize("name", ["", "  ", "x" * 100_000, *BAD, "...", "🐕"])
def test_one_rule_for_labels_wherever_they_come_from(tmp_path, name):
    with pytest.raises(LabelError):
        checked_name(name)
    with Workspace.open(tmp_path / "ws") as workspace:
        workspace.add_label("dog")
        for attempt in (
            lambda: workspace.add_label(name),
            lambda: workspace.add_label(Label("cat", synonyms=(name,))),
            lambda: workspace.rename_label("dog", name),
            lambda: workspace.put_draft(a_draft(label=name)),
        ):
            with pytest.raises(LabelError):
                attempt()
        assert [category.name for category in workspace.labels()] == ["dog"]


def test_a_label_is_kept_composed_with_single_blanks(tmp_path):
    with Workspace.open(tmp_path / "ws") as workspace:
        workspace.add_label("Cafe\u0301 \t table")
        assert [category.name for category in workspace.labels()] == ["Café table"]


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(
    "command",
    [
        ["workspace", "ws", "--rename", "dog", "BAD"],
        ["workspace", "ws", "--rename", "BAD", "cat"],
        ["workspace", "BAD"],
        ["export", "--workspace", "ws", "--format", "coco", "--label", "BAD", "--out", "out"],
        ["export", "--workspace", "ws", "--format", "BAD", "--out", "out"],
        ["export", "--workspace", "ws", "--format", "labelstudio", "--prefix", "BAD", "--out", "out"],
        ["export", "--workspace", "BAD", "--format", "coco", "--out", "out"],
        ["import", "--workspace", "ws", "--format", "png", "masks", "--label", "BAD"],
        ["import", "--workspace", "ws", "--format", "coco", "BAD"],
        ["import", "--workspace", "ws", "--format", "coco", "--images", "BAD", "a.json"],
        ["segment", "--label", "BAD", "--support", "s.png", "--query", "s.png", "--out", "out"],
        ["segment", "--label", "dog", "--support", "BAD", "--query", "s.png", "--out", "out"],
        ["segment", "--label", "dog", "--support", "s.png", "--list", "BAD", "--out", "out"],
        ["segment", "--label", "dog", "--support", "s.png", "--query", "BAD", "--out", "out"],
        ["segment", "--class", "BAD", "--query", "s.png", "--out", "out"],
        ["segment", "--label", "dog", "--support", "s.png", "--box", "BAD=1,2,3,4", "--query", "s.png",
         "--out", "out"],
    ],
    ids=lambda command: " ".join(command[:1] + command[-2:]) if isinstance(command, list) else None,
)  # fmt: skip
def test_no_argument_gives_a_traceback_or_reaches_the_terminal_raw(
    tmp_path, monkeypatch, capsys, command, name
):
    monkeypatch.chdir(tmp_path)
    write_photo(tmp_path / "s.png")
    with Workspace.open("ws") as workspace:
        workspace.put_draft(a_draft(status="accepted"))
    code = main([part.replace("BAD", name) for part in command])
    out, err = capsys.readouterr()
    assert code == 2
    assert err.strip()
    assert "Traceback" not in err
    assert not any(c in out + err for c in "\x1b\0\x07\u202e\x9b")


# Names of files


def save_scene(path: Path, seed: int) -> None:
    path.parent.mkdir(exist_ok=True)
    PIL.Image.fromarray(scene(size=(144, 160), box=(40, 50, 100, 120), seed=seed)).save(path)


def test_a_broken_photo_whose_name_is_not_text_costs_that_photo(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_scene(tmp_path / "s.png", 0)
    save_scene(tmp_path / "photos" / os.fsdecode(b"gut\xff.png"), 1)
    (tmp_path / "photos" / os.fsdecode(b"\x1b[31m\xfe.png")).write_bytes(b"no picture")
    line = "segment --label red --support s.png --query photos --preset tests.fakes:preset"
    for target in ("--workspace ws", "--out out"):
        assert main([*line.split(), "--device", "cpu", *target.split()]) == 1
        out, err = capsys.readouterr()
        assert "1 done, 0 kept from before, 1 failed" in out
        assert "\x1b" not in out + err
    with Workspace.open("ws", create=False) as workspace:
        ((_, message),) = workspace.failures("red")
    assert "not a picture" in message


def test_a_list_with_a_name_that_cannot_be_costs_that_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_scene(tmp_path / "s.png", 0)
    save_scene(tmp_path / "a.png", 1)
    (tmp_path / "list.txt").write_bytes("a.png\r\nno\0name.png\r\ngone.png\r\n".encode("utf-16"))
    line = "segment --label red --support s.png --list list.txt --preset tests.fakes:preset"
    for target in ("--workspace ws", "--out out"):
        assert main([*line.split(), "--device", "cpu", *target.split()]) == 1
        out, _ = capsys.readouterr()
        assert "1 done, 0 kept from before, 2 failed" in out
        assert "no\\x00name.png" in out


def test_half_a_character_in_a_file_to_import_is_a_sentence_and_the_rest_goes_on(tmp_path, capsys):
    counts = {"size": [4, 5], "counts": [0, 6, 14]}
    entry = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": counts}
    facts = {"attributes": {"model": "x\ud800", "prompt": "\x1b[31m", "settings": '{"a": "\ud800"}'}}
    document = {
        "images": [{"id": 1, "file_name": "a.png", "height": 4, "width": 5}],
        "categories": [
            {"id": 1, "name": "dog"},
            {"id": 2, "name": "c\ud800t"},
            {"id": 3, "name": "\x1b[31m"},
        ],
        "annotations": [
            entry | facts,
            entry | {"id": 2, "category_id": 2},
            entry | {"id": 3, "category_id": 3},
        ],
    }
    (tmp_path / "c.json").write_text(json.dumps(document))
    with Workspace.open(tmp_path / "ws") as workspace:
        mask = np.zeros((4, 5), bool)
        workspace.put_draft(a_draft(label="other", mask=mask, image_name="a.png"))
    assert main(["import", "--workspace", f"{tmp_path}/ws", "--format", "coco", f"{tmp_path}/c.json"]) == 1
    out, err = capsys.readouterr()
    assert "1 draft imported" in out
    assert out.count("cannot be shown") == 2
    assert "\x1b" not in out + err
    assert (
        main(["export", "--workspace", f"{tmp_path}/ws", "--format", "coco", "--out", f"{tmp_path}/o"]) == 0
    )
