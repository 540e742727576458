"""Class files from anybody: nothing in them is run, and whatever is wrong with them is one sentence."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch
from fakes import scene
from safetensors.torch import load_file, save_file
from torch import Tensor

from lfss import class_file
from lfss.__main__ import main
from lfss.errors import InputError
from lfss.images import read_image
from lfss.labels import parse_label
from lfss.predictor import Predictor
from lfss.prepared import Prepared
from lfss.support import Support

Change = Callable[[dict[str, Any], dict[str, Tensor]], object]


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    predictor = Predictor.load("tests.fakes:preset", device="cpu")
    support = Support(read_image(scene(size=(144, 160), box=(40, 50, 100, 120), seed=0)))
    folder = tmp_path_factory.mktemp("class")
    return predictor.prepare(parse_label("red"), [support]).save(folder / "good.safetensors")


def changed(good: Path, to: Path, change: Change) -> Path:
    """A copy of a class file with something else in it."""
    data = good.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    about = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["lfss"])
    tensors = load_file(good)
    change(about, tensors)
    save_file({k: v.contiguous() for k, v in tensors.items()}, to, {"lfss": json.dumps(about)})
    return to


def put(key: str, value: Any) -> Change:
    return lambda about, tensors: about.__setitem__(key, value)


def drop(key: str) -> Change:
    return lambda about, tensors: (about if key in about else tensors).pop(key)


def tensor(key: str, make: Callable[[Tensor], Tensor]) -> Change:
    return lambda about, tensors: tensors.__setitem__(key, make(tensors[key]))


def _one_bad(value: float) -> Callable[[Tensor], Tensor]:
    def make(found: Tensor) -> Tensor:
        copy = found.clone()
        copy.view(-1)[0] = value
        return copy

    return make


ABOUT = ("label", "preset", "method", "phrases", "roles", "text_trust", "names", "digests", "sizes",
         "presence_offset")  # fmt: skip
NUMBERS = ("text", "logits", "features.0", "known", "unknown")
HOSTILE: dict[str, Change] = {
    **{f"without {key}": drop(key) for key in (*ABOUT, *NUMBERS, "thumbnail.0")},
    **{f"{key} is {value!r}": put(key, value) for key in ABOUT for value in (None, {}, -99, "\ud800", [[]])},
    **{f"{key} has {v}": tensor(key, _one_bad(v)) for key in NUMBERS for v in (float("nan"), float("inf"))},
    **{f"{key} is flat": tensor(key, lambda t: t.reshape(-1)) for key in (*NUMBERS, "thumbnail.0")},
    **{f"{key} holds whole numbers": tensor(key, lambda t: t.to(torch.int32)) for key in NUMBERS},
    **{f"{key} is doubled": tensor(key, lambda t: torch.cat([t, t])) for key in NUMBERS},
    "known of 7": tensor("known", _one_bad(7.0)),
    "known below 0": tensor("known", _one_bad(-1.0)),
    "thumbnail of floats": tensor("thumbnail.0", lambda t: t.float()),
    "thumbnail without pixels": tensor("thumbnail.0", lambda t: t[:0]),
    "a label that is code": put("label", ["\x1b[31m", [], []]),
    "a label of 100,000 letters": put("label", ["x" * 100_000, [], []]),
    "a million phrases": put("phrases", ["x"] * 1_000_000),
    "a role of 1e9": put("roles", [1_000_000_000]),
    "a role too many": lambda about, tensors: about["roles"].append(1),
    "trust of 1e9": put("text_trust", 1e9),
    "trust is nan": put("text_trust", float("nan")),
    "an offset of 1e30": put("presence_offset", 1e30),
    "negative size": put("sizes", [[-5, 10]]),
    "a size of 1e12": put("sizes", [[10**6, 10**6]]),
    "more names": put("names", ["a", "b"]),
    "no names": put("names", []),
    "a digest that climbs": put("digests", ["../../etc/passwd"]),
    "another format": put("format", "lfss-class-99"),
    "no format": put("format", None),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_crafted_class_is_refused_in_one_sentence(good, tmp_path, case):
    file = changed(good, tmp_path / "bad.safetensors", HOSTILE[case])
    with pytest.raises(InputError, match=r"bad\.safetensors") as caught:
        Prepared.load(file)
    told = str(caught.value)
    assert "Save the class again" in told or "save the class again" in told
    assert "\x1b" not in told
    assert len(told) < 1000


def test_the_good_class_is_read(good):
    assert Prepared.load(good).label.text == "red"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 8,
        b"\xff" * 8,
        b"\xff" * 100,
        struct.pack("<Q", 5) + b"[[[[[",
        struct.pack("<Q", 2) + b"{}",
    ],
)
def test_what_is_no_safetensors_file_is_one_sentence(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(InputError, match="not a class saved by this program"):
        Prepared.load(tmp_path / "x")


def test_cut_and_changed_bytes_never_raise_anything_else(good, tmp_path):
    data, bad = good.read_bytes(), tmp_path / "bad"
    for length in range(0, len(data), max(1, len(data) // 60)):
        bad.write_bytes(data[:length])
        with pytest.raises(InputError):
            Prepared.load(bad)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes in the file system")
def test_pipes_devices_links_and_folders_are_one_sentence(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for path in (tmp_path / "pipe", tmp_path / "circle", tmp_path, Path("/dev/zero"), tmp_path / ("x" * 300)):
        with pytest.raises(InputError):
            Prepared.load(path)
    monkeypatch.setattr(class_file, "MAX_BYTES", 10)
    (tmp_path / "large").write_bytes(bytes(11))
    with pytest.raises(InputError, match="at most 0 MB"):
        Prepared.load(tmp_path / "large")


def test_a_class_file_runs_no_code(good, tmp_path, monkeypatch, capsys):
    """The preset that a file names is looked up, never imported; one's own --preset still is."""
    monkeypatch.chdir(tmp_path)
    Path("helper.py").write_text("open('ran', 'w').close()\ndef preset():\n    raise SystemExit(99)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    PIL.Image.fromarray(scene(size=(144, 160), box=(40, 50, 100, 120), seed=1)).save("q.png")
    for name in ("helper:preset", "os:abort", "antigravity:x", "tests.fakes:preset"):
        changed(good, Path("evil.safetensors"), put("preset", name))
        assert (
            main(
                [
                    "segment",
                    "--class",
                    "evil.safetensors",
                    "--query",
                    "q.png",
                    "--out",
                    "out",
                    "--device",
                    "cpu",
                ]
            )
            == 2
        )
        assert "name it yourself: --preset" in capsys.readouterr().err
    assert not Path("ran").exists()
    assert "helper" not in sys.modules
    line = f"segment --class {good} --query q.png --out out --device cpu --preset tests.fakes:preset"
    assert main(line.split()) == 0


def test_a_workspace_runs_no_code_either(good, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, seed in (("s.png", 0), ("q.png", 1)):
        PIL.Image.fromarray(scene(size=(144, 160), box=(40, 50, 100, 120), seed=seed)).save(name)
    line = "segment --label red --support s.png --query q.png --workspace ws --device cpu"
    assert main([*line.split(), "--preset", "tests.fakes:preset"]) == 0
    capsys.readouterr()
    assert main(["segment", "--query", "q.png", "--workspace", "ws", "--device", "cpu"]) == 2
    assert "name it yourself: --preset" in capsys.readouterr().err
