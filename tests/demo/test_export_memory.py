"""Exports hold a few masks at a time, from the app as from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.bench_export import fill, main, peaks


def test_an_export_holds_no_more_masks_for_more_drafts(tmp_path: Path) -> None:
    few, many, side = tmp_path / "few", tmp_path / "many", 500
    fill(few / "workspace", 4, side)
    fill(many / "workspace", 40, side)
    peaks(few, ["png"])  # what is loaded once
    for less, more in zip(peaks_again(few), peaks(many, ["png"])):
        assert more < less + 4 * side**2


def peaks_again(folder: Path) -> tuple[int, int]:
    (folder / "out.zip").unlink()
    return peaks(folder, ["png"])


def test_the_command_reports_both_and_their_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--drafts", "2", "--megapixels", "0.01", "--format", "png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 drafts of 100 x 100 pixels to a bundle of png")
    assert [line.partition(":")[0] for line in lines[1:]] == ["app", "command line", "app / command line"]
