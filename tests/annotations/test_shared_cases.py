"""The small inputs of ../shared/cases, which went wrong once: each gives what its README calls right."""

from __future__ import annotations

import os
import runpy
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from lfss.__main__ import main
from lfss.workspace import Workspace

CASES = Path(os.environ.get("LFSS_SHARED", "../shared")).resolve() / "cases"
COCO = "--format coco c.json --images photos"
LABELME = "--format labelme ."
PNG = "--format png masks --label dog --images photos"

pytestmark = [
    pytest.mark.weights,
    pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not here"),
]


@dataclass
class Right:
    """What is right: pixels of each draft by (picture, label), words of the output, the exit code."""

    line: str
    drafts: dict[tuple[str, str], object] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    not_says: tuple[str, ...] = ()
    code: int = 0


A = ("a.jpg", "dog")
B = ("b.jpg", "dog")
RIGHT = {
    "1": Right("--format coco result.json --images photos", {("IMG_0001.jpg", "dog"): 1600}),
    "1b": Right("--format coco b.json --images photos", {("IMG_0001.jpg", "dog"): 1600}),
    "2": Right(LABELME, {A: 1600}),
    "2b": Right(LABELME, {A: 1681 + 841}),
    "2d": Right(LABELME, {A: 1600}),
    "3": Right(LABELME, {A: (2960, 3000)}),
    "3b": Right(LABELME, {A: 1681}, ("a.json", "point"), code=1),
    "3c": Right(LABELME, {A: 1681}, ("a.json", "linestrip"), code=1),
    "4": Right(COCO, {A: 1600}, ("annotation", "three points"), code=1),
    "4c": Right(COCO, {A: 1600}, ("annotation", "three points"), code=1),
    "4d": Right(COCO, {A: 1600}, ("three points",), code=1),
    "4f": Right(COCO, {A: 1600}, ("annotation",), code=1),
    "4g": Right(COCO, {A: 1600}),
    "5": Right(COCO, {A: 1600}),
    "5b": Right(COCO, {A: 1600}),
    "5c": Right(COCO, {A: 1600}),
    "5e": Right(LABELME, {A: 1681}),
    "5f": Right(LABELME, {A: 1681}),
    "6": Right(COCO, {("cam1", "dog"): 1600, ("cam2", "dog"): 1600}),
    "6b": Right(COCO, {}, ("train/0001.jpg", "val/0001.jpg"), code=1),
    "6d": Right(LABELME, {("cam1", "dog"): 1681, ("cam2", "dog"): 1681}),
    "6e": Right(LABELME, {("top.jpg", "dog"): 1681, ("a.jpg", "dog"): 1681}),
    "7": Right(LABELME, {A: 1681}, ("classes.json",)),
    "8": Right(PNG, {("a.JPG", "dog"): 1600}),
    "8b": Right(PNG, {A: 1600, B: 1600}),
    "8c": Right(PNG, {A: 1600}),
    "8e": Right(PNG, {A: 1600}),
    "8f": Right(PNG, {}, ("a.jpg", "a.png"), code=1),
    "9": Right(COCO, {A: 1600, B: 1600}),
    "10": Right(COCO, {A: 1600}),
    "10c": Right(COCO, {A: 1600}, ("categor", "annotation"), code=1),
    "10h": Right(COCO, {A: 1600}),
    "11b": Right(LABELME, {("a.jpg", "犬"): 1681}),
    "11d": Right(LABELME, {}, ("UTF-8",), code=1),
    "12": Right(LABELME, {A: 6000}),
    "12b": Right(LABELME, {A: 1681}, ("a.json",), code=1),
    "12e": Right(LABELME, {A: 1681}),
    "12f": Right(LABELME, {A: 1681}),
    "13c": Right("--format voc .", {("cam1", "dog"): None, ("cam2", "dog"): None}),
    "50": Right(COCO, {B: 1600}, ("a.jpg", "annotation", "between 0 and 1"), code=1),
    "50b": Right(COCO, {B: 1600}, ("a.jpg", "annotation", "no pixel"), code=1),
    "50c": Right(COCO, {B: 1600}, ("a.jpg", "annotation", "no pixel"), code=1),
    "50d": Right(COCO, {B: 1600}, ("a.jpg", "annotation", "size"), code=1),
    "50i": Right(COCO, {B: 1600}, ("a.jpg", "rows x columns"), code=1),
    "50l": Right(COCO, {B: 1600}, ("a.jpg",), code=1),
    "50m": Right(COCO, {A: 3200}),
    "50q": Right(COCO, {("café.jpg", "dog"): 1600}),
    "50r": Right(COCO, {("IMG_1.JPG", "dog"): 1600}),
    "51": Right(LABELME, {}, ("a.json", "between 0 and 1"), code=1),
    "51b": Right(LABELME, {}, ("a.json", "no pixel"), code=1),
}


@pytest.fixture
def case(request, tmp_path: Path, monkeypatch) -> Path:
    name = request.param if (CASES / request.param).is_dir() else request.param.rstrip("b")
    shutil.copytree(CASES / name, tmp_path / "case")
    monkeypatch.chdir(tmp_path / "case")
    return tmp_path


def found(folder: Path) -> Iterator[tuple[str, str, np.ndarray, str]]:
    if not (folder / "workspace.sqlite").exists():
        return
    with Workspace.open(folder, create=False) as workspace:
        for draft in workspace.drafts():
            yield draft.image_name, draft.label, draft.mask, draft.status


@pytest.mark.parametrize(("case", "name"), [(name, name) for name in RIGHT], indirect=["case"])
def test_import_cases(case: Path, name: str, capsys) -> None:
    right = RIGHT[name]
    code = main(["import", "--workspace", str(case / "ws"), *right.line.split()])
    text = "".join(capsys.readouterr())
    drafts = list(found(case / "ws"))
    assert len(drafts) == len(right.drafts), text
    for (where, label), wanted in right.drafts.items():
        masks = [m for n, lab, m, _ in drafts if lab == label and (where.startswith("cam") or n == where)]
        assert masks, (text, where)
        if isinstance(wanted, int):
            assert int(masks[0].sum()) == wanted, text
        elif isinstance(wanted, tuple):
            assert wanted[0] <= masks[0].sum() <= wanted[1], masks[0].sum()
    assert all(m.any() for _, _, m, _ in drafts)
    for word in right.says:
        assert word in text
    assert code == right.code, text
    if name == "1":
        assert "Name the folder of the pictures with --images" not in text
    if name == "9":
        turned = next(m for n, _, m, _ in drafts if n == "a.jpg")
        assert turned[20:60, 60:100].all()
    if name == "6":
        assert {bool(m[20:60, 20:60].all()) for _, _, m, _ in drafts} == {True, False}


def test_case_27_corrections_in_labelme(tmp_path: Path, monkeypatch, capsys) -> None:
    shutil.copytree(CASES / "27", tmp_path / "case")
    monkeypatch.chdir(tmp_path / "case")
    line = "segment --label dog --support photos/ok.jpg --query photos --workspace WS"
    assert main([*line.split(), "--device", "cpu"]) == 0
    given = "import --workspace WS --format labelme fixed --images photos --overwrite --status accepted"
    assert main(given.split()) == 0
    assert "'ok.jpg': its draft 'dog' stayed" in capsys.readouterr().out
    assert main(["export", "--workspace", "WS", "--format", "coco", "--out", "OUT"]) == 0
    assert main([*line.split(), "--device", "cpu", "--overwrite"]) == 0
    with Workspace.open("WS", create=False) as workspace:
        found = {(d.image_name, d.label): d for d in workspace.drafts()}
    a, wolf = found["a.jpg", "dog"], found["z.jpg", "wolf"]
    assert (int(a.mask.sum()), a.status, a.origin.model) == (100, "accepted", "person")
    assert (wolf.status, wolf.origin.model) == ("accepted", "person")


def segmented(*line: str) -> int:
    support = str(CASES / "27/photos/ok.jpg")
    return main(["segment", "--label", "dog", "--support", support, "--device", "cpu", *line])


@pytest.fixture
def copy(request, tmp_path: Path, monkeypatch) -> Path:
    shutil.copytree(CASES / request.param, tmp_path / "case")
    monkeypatch.chdir(tmp_path / "case")
    return tmp_path / "case"


@pytest.mark.parametrize("copy", ["22"], indirect=True)
def test_case_22_long_names(copy: Path, monkeypatch) -> None:
    runpy.run_path("make.py")
    assert segmented("--query", "photos", "--out", "OUT") == 0
    assert len(list(Path("OUT").glob("*.mask.png"))) == len(list(Path("photos").iterdir()))


@pytest.mark.parametrize("copy", ["23"], indirect=True)
def test_case_23_links(copy: Path, caplog) -> None:
    blobs = sorted(Path("blobs").iterdir())
    Path("snapshots/abc").mkdir(parents=True)
    for number, blob in enumerate(blobs):
        Path(f"snapshots/abc/img{number}.jpg").symlink_to(Path("../..") / blob)
    for number, blob in enumerate(blobs[:2]):
        Path(f"mixed/link{number}.jpg").symlink_to(Path("..") / blob)
    shutil.copytree(CASES / "27/photos", copy.parent / "outside")
    Path("sub/folder").symlink_to(copy.parent / "outside")
    for folder, wanted in (("snapshots/abc", 3), ("mixed", 3), ("sub", 1)):
        assert segmented("--query", folder, "--out", f"OUT/{folder}") == 0
        assert len(list(Path("OUT", folder).glob("*.mask.png"))) == wanted, folder
    assert "1 link to a folder leads" in caplog.text


@pytest.mark.parametrize("copy", ["24"], indirect=True)
def test_case_24_lists(copy: Path) -> None:
    wanted = {"bom": 3, "utf16": 3, "quoted": 3, "crlf": 3, "folder": 3, "comment": 2, "rel": 2, "dup": 1}
    for name, count in wanted.items():
        assert segmented("--list", f"{name}.txt", "--out", name) == 0, name
        assert len(list(Path(name).rglob("*.mask.png"))) == count, name


@pytest.mark.parametrize("copy", ["26"], indirect=True)
def test_case_26_copies(copy: Path, capsys) -> None:
    assert segmented("--query", "photos", "--workspace", "WS") == 0
    assert "4 pictures have the same pixels as 'frame0.png'" in capsys.readouterr().out
