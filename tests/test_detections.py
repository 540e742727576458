"""Drafts as detections and back; tests/roundtrip does the same with the real package."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from lfss import from_detections, to_detections
from lfss.annotations.report import Report
from lfss.drafts import Draft, Origin
from lfss.errors import ExportError, InputError
from lfss.images import Image, read_image
from lfss.objects import count, join, parts, same

SIZE = (40, 60)
MACHINE = Origin("mini 0.1.0", "dog, puppy", 0.4, ("a" * 64,), {"size": "400"}, "lfss")


@dataclass
class Detections:
    """The fields of ``supervision.Detections`` that are used."""

    xyxy: np.ndarray
    mask: np.ndarray | None = None
    confidence: np.ndarray | None = None
    class_id: np.ndarray | None = None
    data: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.xyxy)


@pytest.fixture(autouse=True)
def supervision(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = types.ModuleType("supervision")
    fake.__dict__["Detections"] = Detections
    monkeypatch.setitem(sys.modules, "supervision", fake)


@pytest.fixture
def image() -> Image:
    return read_image(np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8), name="a.jpg")


def boxes(*spans: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    for top, bottom, left, right in spans:
        mask[top:bottom, left:right] = True
    return mask


HERD = boxes((5, 15, 5, 15), (5, 15, 25, 35), (5, 15, 45, 55))


def herd(image: Image, **more: Any) -> list[Draft]:
    joined = join(parts(HERD), [2, 3])
    about = {"image_name": image.name, "image_digest": image.digest}
    return [
        Draft(label="sheep", mask=HERD, score=0.7, presence=0.9, origin=MACHINE, objects=joined, **about),
        Draft(label="dog", mask=boxes((20, 30, 10, 50)), status="edited", **about),
        Draft(label="cat", mask=np.zeros(SIZE, bool), status="absent", **about),
    ]


def test_a_row_is_an_object_with_its_class_and_confidence(image: Image) -> None:
    found = to_detections(herd(image), labels=["cat", "dog", "sheep"])
    assert found.data["class_name"].tolist() == ["sheep", "sheep", "dog"]
    assert found.class_id.tolist() == [2, 2, 1]
    assert found.confidence.tolist() == pytest.approx([0.7, 0.7, 1.0])
    assert found.xyxy.tolist() == [[5, 5, 15, 15], [25, 5, 55, 15], [10, 20, 50, 30]]
    assert found.mask.dtype == bool
    np.testing.assert_array_equal(found.mask[:2].any(0), HERD)
    assert len(to_detections(herd(image), objects="together")) == 2


def test_rows_that_come_back_as_they_went_make_the_same_drafts(image: Image) -> None:
    drafts = herd(image)[:2]
    for before, after in zip(drafts, from_detections(to_detections(drafts), image), strict=True):
        np.testing.assert_array_equal(before.mask, after.mask)
        for name in ("label", "status", "score", "presence", "origin", "image_name", "image_digest"):
            assert getattr(before, name) == getattr(after, name), name
    assert after.objects is None
    sheep = from_detections(to_detections(drafts), image)[0]
    assert sheep.objects is not None
    assert same(sheep.objects, drafts[0].objects)


def test_a_mask_that_was_changed_or_a_row_that_is_gone_makes_an_edited_draft(image: Image) -> None:
    found = to_detections(herd(image))
    found.mask[2, 20, 10] = False
    sheep, dog = from_detections(found, image)
    assert (sheep.status, dog.status, dog.score) == ("proposed", "edited", None)
    kept = Detections(found.xyxy[1:], found.mask[1:], None, None, {k: v[1:] for k, v in found.data.items()})
    sheep = from_detections(kept, image)[0]
    assert (sheep.status, sheep.origin.model, count(sheep)) == ("edited", "person", 1)
    assert from_detections(kept, image, status="accepted")[0].status == "accepted"


def test_detections_of_other_programs_are_proposals_with_the_lowest_confidence(image: Image) -> None:
    masks = np.stack([boxes((5, 15, 5, 15)), boxes((5, 15, 25, 35)), boxes((20, 30, 10, 50))])
    scores, classes = np.array([0.9, 0.4, 0.6]), np.array([7, 7, 1])
    found = Detections(np.zeros((3, 4)), masks, scores, classes)
    names = [f"class {n}" for n in range(8)]
    drafts = from_detections(found, image, labels=names, model="yolo11n-seg")
    assert [(d.label, d.status, d.score, count(d)) for d in drafts] == [
        ("class 7", "proposed", 0.4, 2),
        ("class 1", "proposed", 0.6, 1),
    ]
    assert drafts[0].origin.model == "yolo11n-seg"
    named = replace(found, data={"class_name": np.array(["dog", "dog", "cat"])})
    assert [d.label for d in from_detections(named, image)] == ["dog", "cat"]
    assert [d.label for d in from_detections(named, image, labels=names)] == ["class 7", "class 1"]


def test_what_cannot_be_used_is_told_and_costs_that_row(image: Image) -> None:
    with pytest.raises(InputError, match="boxes but no masks"):
        from_detections(Detections(np.zeros((1, 4))), image)
    masks = np.stack([boxes((5, 15, 5, 15)), np.zeros(SIZE, bool), boxes((5, 9, 5, 9))])
    found = Detections(np.zeros((3, 4)), masks, None, np.array([0, 0, 5]))
    with pytest.raises(InputError, match="Detection 1: It covers no pixel"):
        from_detections(found, image, labels=["dog"])
    report = Report()
    assert len(from_detections(found, image, labels=["dog"], report=report)) == 1
    assert [line[:11] for line in report.left_out] == ["Detection 1", "Detection 2"]
    with pytest.raises(InputError, match="picture's own size"):
        from_detections(replace(found, mask=masks[:, :-1]), image, labels=["dog"])


def test_drafts_of_several_pictures_and_missing_labels_are_refused(image: Image) -> None:
    one, other = herd(image)[:2]
    with pytest.raises(InputError, match="one picture at a time"):
        to_detections([one, replace(other, image_name="b.jpg")])
    with pytest.raises(ExportError, match="lacks 'dog'"):
        to_detections([one, other], labels=["sheep"])
    assert to_detections([]).mask.shape == (0, 0, 0)


def test_without_the_package_one_sentence_says_how_to_get_it(image: Image, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(InputError, match="pip install supervision"):
        to_detections(herd(image))
