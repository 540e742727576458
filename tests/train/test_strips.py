"""Before/after strips: photos come from installed packages, and missing ones are named."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from lfss.images import Image
from lfss.predictor import Predictor
from tests.fakes import preset, scene
from train import strips
from train.strips import HEIGHT, JOBS, Job, find_photo, main, make_strip


def test_there_are_ten_jobs_with_names_of_their_own() -> None:
    assert len({job.name for job in JOBS}) == 10


def test_photos_of_gradio_are_found_and_of_absent_packages_are_not() -> None:
    found = find_photo(("gradio", "media_assets/images/cheetah1.jpg"))
    assert found is not None
    assert found.is_file()
    assert find_photo(("no_such_package_at_all", "a.png")) is None
    assert find_photo(("gradio", "no_such_photo.png")) is None


@pytest.mark.parametrize("box", [None, (0.25, 0.25, 0.7, 0.75)])
def test_a_strip_has_four_pictures_and_the_last_shows_the_mask(box) -> None:
    predictor = Predictor.load(preset(), device="cpu")
    job = Job("x", "red", ("a", "a"), ("b", "b"), box)
    strip = make_strip(predictor, job, Image(scene(seed=1), "s.png"), Image(scene(seed=2), "q.png"))
    wide = round(320 * HEIGHT / 240) + 8
    assert strip.shape == (HEIGHT + 20, 4 * wide, 3)
    photo, final = (strip[20:, i * wide : (i + 1) * wide].astype(int) for i in (1, 3))
    changed = np.abs(photo - final).sum(2) > 30
    assert 0.1 < changed.mean() < 0.4


def test_the_command_writes_what_it_can_and_names_the_rest(tmp_path: Path, monkeypatch, capsys) -> None:
    file = tmp_path / "photo.png"
    cv2.imwrite(str(file), scene()[..., ::-1])
    jobs = (
        Job("1-here", "red", ("here", "p"), ("here", "p")),
        Job("2-not", "red", ("here", "p"), ("absent", "p")),
    )
    monkeypatch.setattr(strips, "JOBS", jobs)
    monkeypatch.setattr(strips, "find_photo", lambda place: file if place[0] == "here" else None)
    assert main(["--out", str(tmp_path / "out"), "--preset", "tests.fakes:preset", "--device", "cpu"]) == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["1-here.png"]
    assert "2-not: left out, p of the package absent is not installed" in capsys.readouterr().out
