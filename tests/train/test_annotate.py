"""The annotator's curve: the protocol is what it claims, and the command draws it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from lfss.images import Image
from lfss.labels import parse_label
from lfss.predictor import Predictor
from lfss.support import Support
from tests.fakes import preset, scene
from tests.train.tiny_sets import red_and_blue
from train.annotate import (
    GOOD,
    Draft,
    Round,
    curve_of,
    draw_photos,
    main,
    pick_supports,
    rises,
    run_job,
    segment_ours,
    segment_plainly,
)  # fmt: skip
from train.data.datasets import open_data
from train.data.encode import AnnotatedPicture


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six red and six blue rectangles, in the layout ``folder``."""
    return red_and_blue(tmp_path_factory.mktemp("colours"), 12)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(preset(), device="cpu")


def photo(number: int) -> AnnotatedPicture:
    """A red rectangle; the number is the noise's seed."""
    mask = np.zeros((240, 320), bool)
    mask[60:180, 80:220] = True
    return AnnotatedPicture(Image(scene(seed=number), f"{number}.png"), mask, np.zeros_like(mask))


def job(predictor: Predictor, segment, photos: dict[str, AnnotatedPicture], **changes) -> list[Round]:
    settings = {"first": photo(99).image, "rounds": 2, "each": 2, "shots": 3} | changes
    return run_job(predictor, segment, photos, parse_label("red"), **settings)


def test_the_most_doubtful_are_looked_at_and_never_again(predictor: Predictor) -> None:
    photos = {str(i): photo(i) for i in range(7)}
    doubts = {f"{i}.png": float(i) for i in range(7)}
    asked: list[list[str]] = []

    def segment(prepared, image: Image) -> Draft:
        asked.append(list(prepared.names))
        return Draft(photos[image.name[:-4]].mask, doubts[image.name])

    states = job(predictor, segment, photos)
    assert [s.looked for s in states] == [0, 2, 4]
    assert ["".join(s.quality) for s in states] == ["0123456", "01234", "012"]
    assert asked[0] == ["99.png"]
    assert asked[7] == ["5.png", "6.png"]
    assert asked[-1] == ["3.png", "4.png", "5.png"]  # the three least doubtful


def test_good_drafts_are_kept_and_bad_ones_replaced_by_the_truth(predictor: Predictor) -> None:
    photos = {str(i): photo(i) for i in range(6)}
    close, far = photo(0).mask.copy(), np.zeros((240, 320), bool)
    close[60:70] = False  # IoU 0.92
    far[:20] = True
    seen: dict[str, Support] = {}

    class Watching:
        def prepare(self, label, supports):
            seen.update({s.image.name: s for s in supports})
            return predictor.prepare(label, supports)

    def segment(_prepared, image: Image) -> Draft:
        good = image.name == "5.png"
        return Draft(close if good else far, float(image.name[0]))

    states = job(Watching(), segment, photos, rounds=1)
    assert [i for i, iou in states[0].quality.items() if iou >= GOOD] == ["5"]
    assert states[1].accepted == 1
    np.testing.assert_array_equal(seen["5.png"].known == 1, close)
    np.testing.assert_array_equal(seen["4.png"].known == 1, photos["4"].mask)
    assert seen["99.png"].known is None


def test_a_job_ends_when_the_photos_run_out(predictor: Predictor) -> None:
    photos = {str(i): photo(i) for i in range(3)}
    states = job(predictor, lambda *_: Draft(photo(0).mask, 0.0), photos, rounds=9)
    assert [len(s.quality) for s in states] == [3, 1]


def test_both_ways_find_a_plain_rectangle(predictor: Predictor) -> None:
    prepared = predictor.prepare(parse_label("red"), [Support.from_mask(photo(1).image, photo(1).mask)])
    query = photo(2)
    for segment in (segment_ours, segment_plainly):
        draft = segment(predictor, prepared, query.image)
        assert (draft.mask & query.mask).sum() / (draft.mask | query.mask).sum() > 0.9
        assert 0 <= draft.doubt <= 1


def test_the_curve_is_the_mean_over_classes_and_the_same_photos_stay_the_same() -> None:
    first = [Round(0, {"a": 0.9, "b": 0.5, "c": 0.0, "d": 0.1}), Round(2, {"a": 0.9, "b": 0.8}, 1)]
    second = [Round(0, dict.fromkeys("wxyz", 0.1)), Round(2, {"y": 0.9, "z": 0.1})]
    curve = curve_of([first, second])
    assert curve.looked == [0, 2]
    assert curve.rest == pytest.approx([1 / 8, 3 / 4])
    assert curve.same == pytest.approx([1 / 4, 3 / 4])  # of a, b and of y, z
    assert curve.done == pytest.approx([1 / 8, (4 / 4 + 3 / 4) / 2])
    assert curve.iou == pytest.approx([(0.7 + 0.1) / 2, (0.85 + 0.5) / 2])


def test_a_curve_that_rests_does_not_rise() -> None:
    assert rises([0.1, 0.2, 0.3])
    assert not rises([0.1, 0.3, 0.3])


def test_the_photo_beside_the_label_is_none_of_the_job(colours: Path, tmp_path: Path) -> None:
    data = open_data(colours, "folder", cache=tmp_path)
    first, photos = draw_photos(data, "red", count=4, seed=3)
    assert len(photos) == 4
    assert first.name not in [m.image.name for m in photos.values()]
    assert list(draw_photos(data, "red", count=4, seed=3)[1]) == list(photos)


def test_supports_are_the_least_doubtful_ones() -> None:
    checked = [(doubt, Support(photo(i).image)) for i, doubt in enumerate((0.5, 0.2, 0.9, 0.1))]
    assert [s.image.name for s in pick_supports(checked, 2)] == ["3.png", "1.png"]


def test_the_command_writes_figures_and_a_plot(colours: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out" / "curve.json"
    arguments = [
        "--data", str(colours), "--layout", "folder", "--classes", "red,blue", "--preset",
        "tests.fakes:preset", "--device", "cpu", "--photos", "5", "--rounds", "2", "--each", "2",
        "--cache", str(tmp_path / "cache"), "--out", str(out),
    ]  # fmt: skip
    assert main(arguments) == 0
    result = json.loads(out.read_text())
    assert result["curves"]["fake"]["looked"] == [0, 2, 4]
    assert result["curves"]["fake"]["done"][-1] == 1
    assert set(result["by class"]["plain prototypes"]) == {"red", "blue"}
    assert PilImage.open(out.with_suffix(".png")).convert("RGB").getpixel((1, 1)) == (255, 255, 255)
    assert "fake, rest" in capsys.readouterr().out


def test_a_class_without_photos_is_told(colours: Path, tmp_path: Path, capsys) -> None:
    arguments = [
        "--data", str(colours), "--layout", "folder", "--classes", "green", "--preset",
        "tests.fakes:preset", "--cache", str(tmp_path), "--out", str(tmp_path / "x.json"),
    ]  # fmt: skip
    assert main(arguments) == 2
    assert "green" in capsys.readouterr().err
