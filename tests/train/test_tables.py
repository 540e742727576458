"""Tables of the docs: made from result files, and up to date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from train.tables import main

PAGE = """# Page

<!-- table
corner = "marked"
cell = "{row}.json#mean/final/{column}"
bold = ["a box"]
[rows]
"the label only" = "label"
"a box" = "box"
"both" = ["label", "box"]
[columns]
"cat" = "iou/cat"
"two" = ["iou/cat", "iou/cow"]
"mIoU" = "miou"
"pair" = "pair"
"none" = "x/y"
-->
anything
<!-- end of table -->

After.
"""


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    for name, cat in (("label", 0.5), ("box", 0.7)):
        final = {
            "iou": {"cat": cat, "cow": 0.3}, "miou": cat - 0.1, "miou_std": 0.012, "pair": [cat, 0.02],
            "hole": None, "text": "no number",
        }  # fmt: skip
        content = {"command": f"python -m train.evaluate --kind {name}", "mean": {"final": final}}
        (tmp_path / "results" / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "page.md").write_text(PAGE)
    return tmp_path


def run(docs: Path, *more: str) -> int:
    return main(["--docs", str(docs), *more])


def test_a_table_is_made_from_the_files_and_the_rest_stays(docs: Path) -> None:
    assert run(docs) == 0
    text = (docs / "page.md").read_text()
    assert "| marked | cat | two | mIoU | pair | none |\n|---|---|---|---|---|---|\n" in text
    assert "| the label only | 50.0 | 40.0 | 40.0 ± 1.2 | 50.0 ± 2.0 | - |" in text
    assert "| **a box** | **70.0** | **50.0** | **60.0 ± 1.2** | **70.0 ± 2.0** | - |" in text
    assert "| both | 60.0 | 45.0 | 50.0 | 60.0 | - |" in text
    assert "    label.json: python -m train.evaluate --kind label\n" in text
    assert "anything" not in text
    assert text.startswith("# Page\n\n<!-- table\n")
    assert text.endswith("<!-- end of table -->\n\nAfter.\n")


def test_a_second_run_changes_nothing_and_a_check_tells_a_stale_page(
    docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(docs, "--check") == 1
    assert "page.md. Run: python -m train.tables" in capsys.readouterr().err
    assert (docs / "page.md").read_text() == PAGE
    assert run(docs) == 0
    assert run(docs, "--check") == 0
    assert run(docs) == 0
    path = docs / "results" / "label.json"
    path.write_text(path.read_text().replace("0.5", "0.51"))
    assert run(docs, "--check") == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{row}.json", "{row}s.json", "labels.json' cannot be read"),
        ("{row}.json", "../{row}.json", "not inside"),
        ('"miou"', '"text"', "is no number but"),
        ("{row}.json#mean/final/{column}", "{row}.json", "needs a file, '#', and a path"),
        ("corner", "size", "cannot be read"),
        ("bold = [", "bold = ", "cannot be read"),
    ],
)
def test_mistakes_are_told(
    docs: Path, old: str, new: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (docs / "page.md").write_text(PAGE.replace(old, new))
    assert run(docs) == 2
    assert said in capsys.readouterr().err


def test_an_absent_number_is_a_dash(docs: Path) -> None:
    (docs / "page.md").write_text(PAGE.replace('"none" = "x/y"', '"none" = "hole"'))
    assert run(docs) == 0
    assert "| the label only | 50.0 | 40.0 | 40.0 ± 1.2 | 50.0 ± 2.0 | - |" in (docs / "page.md").read_text()


def test_one_seed_has_no_spread(docs: Path) -> None:
    path = docs / "results" / "label.json"
    path.write_text(path.read_text().replace("0.012", "0.0"))
    assert run(docs) == 0
    assert "| the label only | 50.0 | 40.0 | 40.0 | 50.0 ± 2.0 | - |" in (docs / "page.md").read_text()


def test_the_projects_pages_are_up_to_date() -> None:
    assert run(Path(__file__).resolve().parents[2] / "docs", "--check") == 0
