"""A bundle holds everything about its drafts, and a broken one is found out."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from drawn import a_draft, mask

from lfss.annotations import FORMATS, coco
from lfss.annotations.bundle import verify_bundle, write_bundle
from lfss.errors import ExportError, InputError, UnknownName


def drafts() -> list:
    return [
        a_draft("a/1.jpg", digest="1" * 64, shape=mask("##......", *["........"] * 8)),
        a_draft("b/1.jpg", digest="2" * 64, status="rejected"),
        a_draft("2.jpg", "cat", np.zeros((9, 9), bool), status="absent"),
    ]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(drafts(), tmp_path / "b.zip", formats=("coco", "png", "coco"), options={"rle": True})


def rewritten(bundle: Path, change) -> Path:
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(bundle, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return bundle


def test_the_manifest_tells_everything_about_every_draft(bundle: Path) -> None:
    manifest = verify_bundle(bundle)
    assert [p["name"] for p in manifest["pictures"]] == ["1-11111111.jpg", "1-22222222.jpg", "2.jpg"]
    assert [p["original"] for p in manifest["pictures"]] == ["a/1.jpg", "b/1.jpg", "2.jpg"]
    states = [d["status"] for p in manifest["pictures"] for d in p["drafts"]]
    assert states == ["proposed", "rejected", "absent"]
    first = manifest["pictures"][0]["drafts"][0]
    assert (first["area"], first["score"], first["label"]) == (2, 0.75, "dog")
    assert first["origin"] == {
        "model": "mini 0.1.0", "label": "dog, puppy", "threshold": 0.4, "supports": ["a" * 64, "b" * 64],
        "settings": {"size": "400"}, "method": "lfss",
    }  # fmt: skip
    assert manifest["labels"] == ["dog", "cat"]
    assert manifest["formats"]["coco"]["rle"] == "True"
    assert "rle" not in manifest["formats"]["png"]


def test_each_format_has_its_folder_and_its_hint(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path / "open")
        readme = archive.read("README.txt").decode()
    assert coco.read(tmp_path / "open/coco")[0].mask.sum() == 2
    assert (tmp_path / "open/png/masks/1-11111111.png").is_file()
    for name in ("coco", "png"):
        assert FORMATS[name].title in readme
        assert " ".join(FORMATS[name].hint.split()) in " ".join(readme.split())
    assert FORMATS["cvat"].title not in readme


def test_every_format_fits_into_one_bundle(tmp_path: Path) -> None:
    manifest = verify_bundle(write_bundle(drafts(), tmp_path / "b.zip", formats=list(FORMATS)))
    assert {name.split("/")[0] for name in manifest["files"]} == {*FORMATS, "README.txt"}
    assert [p.name for p in tmp_path.iterdir()] == ["b.zip"]


def test_a_bundle_cut_short_anywhere_is_found_out(bundle: Path) -> None:
    whole = bundle.read_bytes()
    for length in (0, 10, len(whole) // 3, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        bundle.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"'b\.zip' is not a complete bundle.*Copy or export it again"):
            verify_bundle(bundle)


def test_a_bundle_with_a_flipped_byte_is_found_out(bundle: Path) -> None:
    whole = bundle.read_bytes()
    with zipfile.ZipFile(bundle) as archive:
        at = archive.getinfo("coco/annotations/instances_default.json").header_offset + 80
    bundle.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    with pytest.raises(InputError, match="not a complete bundle"):
        verify_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: f.pop("manifest.json"), "no manifest"),
        (lambda f: f.pop("README.txt"), "missing"),
        (lambda f: f.update({"README.txt": f["README.txt"][:-1] + b"!"}), "changed"),
        (lambda f: f.update({"more.txt": b"x"}), "not listed"),
        (lambda f: f.update({"manifest.json": b"{}"}), "damaged"),
        (lambda f: f.update({"manifest.json": b'{"bundle": 99, "files": {}}'}), "newer version"),
    ],
)
def test_a_bundle_that_was_tampered_with_is_found_out(bundle: Path, change, told: str) -> None:
    with pytest.raises(InputError, match=told):
        verify_bundle(rewritten(bundle, change))


def test_a_file_that_is_no_zip_or_missing_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text(json.dumps({}))
    with pytest.raises(InputError, match="not a complete bundle"):
        verify_bundle(tmp_path / "a.zip")
    with pytest.raises(InputError, match="cannot be opened"):
        verify_bundle(tmp_path / "missing.zip")


def test_formats_and_labels_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="tiff"):
        write_bundle(drafts(), tmp_path / "b.zip", formats=["tiff"])
    with pytest.raises(ExportError, match="lacks"):
        write_bundle(drafts(), tmp_path / "b.zip", labels=["dog"])
    with pytest.raises(ExportError, match="without its file"):
        write_bundle(drafts(), tmp_path / "b.zip", images=True)
    assert not list(tmp_path.iterdir())
