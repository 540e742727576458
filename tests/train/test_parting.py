"""Pieces of masks against instances: what is shared, repeated, exact, and what fits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from lfss.errors import InputError
from lfss.objects import parts
from train.objects import Tallies, Tally, _chosen, cases_of


def boxes(*spans: tuple[int, int, int, int]) -> np.ndarray:
    masks = np.zeros((len(spans), 40, 60), bool)
    for mask, (top, bottom, left, right) in zip(masks, spans):
        mask[top:bottom, left:right] = True
    return masks


def test_two_instances_in_one_piece_are_under_and_two_pieces_of_one_are_over() -> None:
    tally = Tally()
    touching = boxes((5, 15, 5, 15), (5, 15, 15, 25))
    tally.add(touching, parts(touching.any(0)))
    figures = tally.figures()
    assert (figures["under"], figures["over"], figures["exact"], figures["f1"]) == (0.5, 0, 0, 0)
    tally = Tally()
    hidden = boxes((5, 15, 5, 15), (5, 15, 30, 40)).any(0)[None]
    tally.add(hidden, parts(hidden[0]))
    assert (tally.figures()["under"], tally.figures()["over"]) == (0, 0.5)
    tally = Tally()
    apart = boxes((5, 15, 5, 15), (5, 15, 30, 40))
    tally.add(apart, parts(apart.any(0)))
    assert (tally.figures()["exact"], tally.figures()["f1"]) == (1, 1)


def test_the_way_is_chosen_on_training_pictures_and_told_for_both() -> None:
    tallies = {split: Tallies() for split in ("train2017", "val2017")}
    bridge = boxes((5, 25, 5, 25), (5, 25, 30, 50))
    mask = bridge.any(0) | boxes((14, 16, 25, 30))[0]
    with pytest.raises(InputError, match="no mask"):
        _chosen(tallies)
    for tally in tallies.values():
        tally.add(bridge, mask, {"distance": None})
    told = _chosen(tallies)
    assert str(told["chosen"]).startswith("distance")
    assert told["best"]["distance"]["val2017"]["f1"] == 1
    assert told["best"]["connected parts"]["val2017"]["f1"] < 1


def test_cases_are_labels_without_crowds_and_pixels_belong_to_one_instance(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    PIL.Image.new("RGB", (60, 40)).save(tmp_path / "images/a.jpg")

    def shape(number: int, label: int, left: int, crowd: int = 0) -> dict:
        corners = [left, 5, left + 20, 5, left + 20, 25, left, 25]
        return {"id": number, "image_id": 1, "category_id": label, "iscrowd": crowd, "area": 400,
                "bbox": [left, 5, 20, 20], "segmentation": [corners]}  # fmt: skip

    data = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 60, "height": 40, "split": "train2017"}],
        "annotations": [shape(1, 1, 5), shape(2, 1, 15), shape(3, 2, 35), shape(4, 2, 5, 1)],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
    }
    crowd = np.zeros((40, 60), bool)
    crowd[5:25, 5:25] = True
    data["annotations"][3]["segmentation"] = {"size": [40, 60], "counts": _counts(crowd)}
    (tmp_path / "annotations/instances.json").write_text(json.dumps(data))
    (case,) = cases_of(tmp_path, "train2017")
    assert case.class_id == 1
    assert case.instances.sum(0).max() == 1
    assert case.instances.sum() == 600


def _counts(mask: np.ndarray) -> list[int]:
    flat = np.concatenate(([0], mask.ravel(order="F").astype(int), [1 - int(mask[-1, -1])]))
    edges = np.flatnonzero(np.diff(flat))
    return np.diff(np.concatenate(([0], edges))).tolist()
