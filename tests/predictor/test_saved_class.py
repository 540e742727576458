"""A class that is saved, read again, damaged or moved."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from rectangles import iou, picture, tensors_of, truth
from safetensors.torch import save_file

from lfss.errors import InputError
from lfss.labels import parse_label
from lfss.prepared import Prepared
from lfss.support import Support


def test_a_saved_class_predicts_the_same(predictor, tmp_path):
    supports = [Support.from_mask(picture(), truth()), Support(picture(seed=2))]
    prepared = predictor.prepare(parse_label("red, yellow", not_words="blue"), supports)
    path = prepared.save(tmp_path / "red.safetensors")
    loaded = Prepared.load(path)
    for name in ("label", "preset", "method", "phrases", "text_trust", "names", "digests", "sizes"):
        assert getattr(loaded, name) == getattr(prepared, name), name
    unprepared = replace(prepared, encoded=replace(prepared.encoded, prepared=None))
    for a, b in zip(tensors_of(loaded), tensors_of(unprepared), strict=True):
        torch.testing.assert_close(a, b, atol=2e-2, rtol=1e-2)
    for a, b in zip(loaded.thumbnails, prepared.thumbnails):
        assert np.array_equal(a, b)
    query = picture(seed=1)
    a, b = predictor.predict(loaded, query), predictor.predict(prepared, query)
    # Half precision may move a seed among cells of one colour.
    np.testing.assert_allclose(a.score, b.score, atol=5e-2)
    assert iou(a.mask, b.mask) > 0.995


def test_a_saved_class_is_small_and_leaves_no_other_file(red, tmp_path):
    path = red.save(tmp_path / "red.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["red.safetensors"]
    floats = sum(t.numel() for t in tensors_of(replace(red, encoded=replace(red.encoded, prepared=None))))
    assert path.stat().st_size < 2 * floats + red.thumbnails[0].size + 4096


def test_saving_does_not_change_the_class(red, tmp_path):
    before = [t.clone() for t in tensors_of(red)]
    red.save(tmp_path / "red.safetensors")
    for a, b in zip(tensors_of(red), before, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


def test_a_class_saved_by_the_first_version_is_read(predictor, red, tmp_path):
    """Format 1 named no method, and counted the label's phrases in place of naming their roles."""
    from safetensors import safe_open

    path = red.save(tmp_path / "red.safetensors")
    with safe_open(str(path), "pt") as file:
        about = json.loads(file.metadata()["lfss"])
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    assert about["format"] == "lfss-class-2"
    for name in ("method", "roles", "presence_offset"):
        del about[name]
    about |= {"format": "lfss-class-1", "foreground": 1, "lift": 0.5}
    save_file(tensors, path, metadata={"lfss": json.dumps(about)})
    old = Prepared.load(path)
    assert (old.method, old.phrases, old.presence_offset) == ("lfss", red.phrases, 0.5)
    query = picture(seed=1)
    assert np.array_equal(predictor.predict(old, query).mask, predictor.predict(red, query).mask)


def test_a_moved_class_has_all_its_tensors_on_the_device(predictor, red):
    made = red.to("meta")
    assert {t.device.type for t in tensors_of(made)} == {"meta"}
    assert made.nbytes == red.nbytes


def damaged(kind: str, good: bytes) -> bytes:
    return {"empty": b"", "text": b"not a class" * 9, "cut": good[: len(good) // 2]}[kind]


@pytest.mark.parametrize("kind", ["empty", "text", "cut"])
def test_a_damaged_file_is_told_in_a_sentence(red, tmp_path, kind):
    path = tmp_path / "red.safetensors"
    good = red.save(path).read_bytes()
    path.write_bytes(damaged(kind, good))
    with pytest.raises(
        InputError, match=r"red\.safetensors.*is not a class saved by this program, or it is damaged"
    ):
        Prepared.load(path)


@pytest.mark.parametrize(
    "about",
    [None, "{}", "[]", "7", "{", json.dumps({"format": "lfss-class-0"})],
    ids=["nothing", "empty", "list", "number", "broken", "another format"],
)
def test_a_safetensors_file_of_something_else_is_refused(tmp_path, about):
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, path, metadata=None if about is None else {"lfss": about})
    with pytest.raises(InputError, match=r"other\.safetensors"):
        Prepared.load(path)


@pytest.mark.parametrize("missing", ["text", "known", "features.0", "thumbnail.0"])
def test_a_class_file_that_lacks_a_tensor_is_refused(red, tmp_path, missing):
    from safetensors import safe_open

    path = red.save(tmp_path / "red.safetensors")
    with safe_open(str(path), "pt") as file:
        about = file.metadata()
        tensors = {k: file.get_tensor(k) for k in file.keys() if k != missing}  # noqa: SIM118
    save_file(tensors, path, metadata=about)
    with pytest.raises(
        InputError, match=rf"cannot be used as a saved class: it has no .*{missing.split('.')[0]}"
    ):
        Prepared.load(path)


def test_a_missing_class_file_is_told(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        Prepared.load(tmp_path / "nowhere.safetensors")
