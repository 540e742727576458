"""A method that LFSS Studio has never seen runs everywhere, by its own file and one line of the registry."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lfss import __main__ as command
from lfss.errors import SupportError, WeightsMismatch
from lfss.figures import save_png_atomic, strip
from lfss.images import Image, read_image
from lfss.labels import parse_label
from lfss.methods import METHODS
from lfss.predictor import Predictor
from lfss.prepared import Prepared
from lfss.stages import Prediction
from lfss.support import Support
from tests.fakes import scene
from tests.methods.panet_like import PanetLike

RED, BLUE = (60, 80, 180, 220), (20, 240, 100, 310)  # top, left, bottom, right
SIZE = (240, 320)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(METHODS, "panet", PanetLike)


def area(box: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[box[0] : box[2], box[1] : box[3]] = True
    return mask


def both(seed: int = 0) -> Image:
    """A picture with a red and a blue rectangle."""
    pixels = scene("red", box=RED, seed=seed)
    rows, columns = slice(BLUE[0], BLUE[2]), slice(BLUE[1], BLUE[3])
    pixels[rows, columns] = scene("blue", box=BLUE, seed=seed)[rows, columns]
    return read_image(pixels, name=f"both{seed}.png")


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.fixture
def predictor() -> Predictor:
    return Predictor.load("tests.fakes:preset", method="panet", device="cpu")


@pytest.fixture
def classes(predictor) -> list[Prepared]:
    """Two classes, marked on the same picture."""
    image = both()
    wanted = [("warm thing", RED), ("cold thing", BLUE)]
    return predictor.prepare_classes(
        [(parse_label(name), [Support.from_mask(image, area(box))]) for name, box in wanted]
    )


def test_two_classes_are_found_at_once(predictor, classes):
    made = predictor.predict_classes(classes, both(seed=1))
    assert [(p.label.text, p.method) for p in made] == [("warm thing", "panet"), ("cold thing", "panet")]
    assert iou(made[0].mask, area(RED)) > 0.85
    assert iou(made[1].mask, area(BLUE)) > 0.85
    assert [s.key for s in made[0].stages] == ["likeness", "marks", "score", "prediction"]


def test_a_method_that_compares_classes_is_given_all_of_them(predictor, classes):
    alone = predictor.predict(classes[0], both(seed=1))
    together = predictor.predict_classes(classes, both(seed=1))[0]
    assert together.score[area(BLUE)].mean() < alone.score[area(BLUE)].mean()


def test_what_the_method_needs_is_asked_for(predictor):
    with pytest.raises(
        SupportError, match=r"'panet' needs marks on every support, and 'both0\.png' has none"
    ):
        predictor.prepare(parse_label("red"), [Support(both())])


def test_its_stages_are_drawn_as_it_describes_them(predictor, classes, tmp_path):
    made = predictor.predict(classes[0], both(seed=1))
    likeness = made.stage("likeness")
    assert (likeness.title, likeness.how_to_read) == ("Likeness", "Bright is like the class.")
    assert likeness.low < likeness.high < 1.001  # the picture's own range
    assert made.role("first_mask").key == "marks"
    assert np.array_equal(made.role("first_mask").supports[0], classes[0].encoded.known[0, 0].numpy() > 0.5)
    save_png_atomic(tmp_path / "strip.png", strip(made, both(seed=1), [both()]))


def test_a_saved_class_belongs_to_its_method(predictor, classes, tmp_path):
    path = classes[0].save(tmp_path / "warm.safetensors")
    again = Prepared.load(path)
    assert again.method == "panet"
    made, before = predictor.predict(again, both(seed=1)), predictor.predict(classes[0], both(seed=1))
    assert iou(made.mask, before.mask) > 0.99
    with pytest.raises(WeightsMismatch, match="method 'panet'"):
        Predictor.load("tests.fakes:preset", device="cpu").predict(again, both(seed=1))


def test_supports_agree_as_far_as_the_method_says(predictor):
    from lfss.agreement import agreement

    supports = [Support.from_mask(both(seed=i), area(RED)) for i in range(2)]
    supports.append(Support.from_mask(both(seed=2), area(BLUE)))
    scores = agreement(predictor, predictor.prepare(parse_label("red"), supports))
    assert min(scores) == scores[2] < 0.5


@pytest.fixture
def files(tmp_path, monkeypatch):
    save_png_atomic(tmp_path / "support.png", both().pixels)
    save_png_atomic(tmp_path / "marks.png", area(RED))
    save_png_atomic(tmp_path / "photos.png", both(seed=1).pixels)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_line_runs_it_and_a_saved_class_brings_its_method(files):
    preset = ["--preset", "tests.fakes:preset", "--device", "cpu"]
    supports = ["--support", "support.png", "--mask", "support.png=marks.png"]
    first = [
        "segment",
        "--label",
        "warm thing",
        *supports,
        "--query",
        "photos.png",
        *preset,
        "--method",
        "panet",
    ]
    assert command.main([*first, "--out", "one", "--stages", "--save-class", "warm.safetensors"]) == 0
    assert json.loads((files / "one" / "lfss-run.json").read_text())["settings"]["method"] == "panet"
    with np.load(files / "one" / "photos.stages.npz") as arrays:
        assert "likeness.query" in arrays.files
    again = ["segment", "--class", "warm.safetensors", "--query", "photos.png", *preset]
    assert command.main([*again, "--out", "two"]) == 0
    made = [read_image(files / folder / "photos.mask.png").pixels[..., 0] > 0 for folder in ("one", "two")]
    assert iou(made[0], area(RED)) > 0.85
    assert iou(*made) > 0.99
    assert command.main([*again, "--out", "three", "--method", "lfss"]) == 2


def test_a_draft_in_a_workspace_names_it(files):
    from lfss.workspace import Workspace

    assert command.main([
        "segment", "--label", "warm thing", "--support", "support.png", "--mask", "support.png=marks.png",
        "--query", "photos.png", "--preset", "tests.fakes:preset", "--device", "cpu", "--method", "panet",
        "--workspace", "drafts",
    ]) == 0  # fmt: skip
    with Workspace.open(files / "drafts") as workspace:
        (draft,) = workspace.drafts("warm thing")
        assert draft.origin.method == "panet"


def test_predictions_stream_with_their_class(predictor, classes):
    made = list(predictor.iterate_classes(classes, both(seed=1)))
    assert {number for number, _ in made} == {0, 1}
    assert [type(item) for _, item in made[-2:]] == [Prediction, Prediction]
