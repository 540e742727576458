"""Drafts through the real ``supervision.Detections``, by the lines of docs/formats.md."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from scenes import blob, photo, ring, site_packages

from lfss.drafts import Draft
from lfss.objects import count

ROOT = Path(__file__).resolve().parents[2]
SIZE = (96, 128)


def test_the_lines_of_the_documentation_bring_drafts_to_supervision_and_back(readers, tmp_path: Path) -> None:
    page = (ROOT / "docs/formats.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(from lfss import from_detections.*?)```", page, re.DOTALL)
    assert block
    photo(tmp_path / "photo.png", SIZE, 1)
    masks = {"cat": ring(SIZE), "dog": blob(SIZE, 3, 0.2)}
    np.savez(tmp_path / "masks.npz", **masks)
    found = readers.open(
        "supervision_detections", tmp_path, program=str(ROOT), example=block[1], site=site_packages()
    )
    rows = [f for f in found if f.facts["picture"] == "out"]
    back = {f.facts["label"]: f for f in found if f.facts["picture"] == "back"}
    for label, mask in masks.items():
        shown = [f.mask for f in rows if f.facts["label"] == label]
        assert len(shown) == count(Draft("a", "", label, mask))
        np.testing.assert_array_equal(np.any(shown, axis=0), mask)
        np.testing.assert_array_equal(back[label].mask, mask)
        assert back[label].facts["status"] == "proposed"
    assert {round(f.facts["confidence"], 4) for f in rows} == {0.8}
