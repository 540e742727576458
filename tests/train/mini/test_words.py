"""Figures of words: equal to plain counting, honest about too few photos, written as a table that is read."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lfss.encoders.judge import Judge, best_cells, summary
from lfss.encoders.vocabulary import TABLE_COLUMNS, Concept, Vocabulary, read_table
from train import card
from train.mini import words as eval_words
from train.mini.photos import Photo
from train.mini.truth import MASK_SIZE, Truth
from train.mini.words import WordScore, presence_of, score_labelled, score_words, write_table

WORDS = Vocabulary((Concept("background"), Concept("red", ("crimson", "ruby")), Concept("blue")))


class Colours:
    """A network whose evidence is how red and how blue each cell is."""

    def maps(self, pixels: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(pixels, 8)

    def heads(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return maps, maps

    def concept_logits(self, dense: torch.Tensor) -> torch.Tensor:
        red, blue = dense[:, 0] - 0.5, dense[:, 2] - 0.5
        return 16 * torch.stack((torch.zeros_like(red), red, blue), 1)


def model(judge: Judge | None = None) -> SimpleNamespace:
    return SimpleNamespace(network=Colours(), vocabulary=WORDS, vlm=SimpleNamespace(judge=judge))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Photo], Truth]:
    """Six red blocks, six blue ones, on black; the masks of the red ones are twice as wide as they."""
    data = tmp_path_factory.mktemp("data")
    found, masks = [], []
    state = np.zeros((12, 3), np.int8)
    for i in range(12):
        pixels, mask = np.zeros((80, 80, 3), np.uint8), np.zeros((80, 80), np.uint8)
        pixels[16:48, 16:32] = (230, 0, 0) if i < 6 else (0, 0, 230)
        mask[16:48, 16 : 48 if i < 6 else 32] = 1 if i < 6 else 2
        cv2.imwrite(str(data / f"{i}.png"), pixels[..., ::-1])
        found.append(Photo(f"{i}.png", "voc", None, "test"))
        masks.append(cv2.resize(mask, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_NEAREST))
        state[i, 1 if i < 6 else 2] = 1
    complete = np.ones((12, 3), bool)
    return data, found, Truth(np.stack(masks), np.arange(12), state, np.full(12, -1), complete)


def test_outlines_and_presence_are_scored_where_a_word_is_shown(photos) -> None:
    data, listed, truth = photos
    scores = score_words(model(), listed, truth, data, size=80)
    assert scores["red"].photos == scores["blue"].photos == 6
    assert scores["red"].iou == pytest.approx(0.5, abs=0.1)
    assert scores["blue"].iou > 0.8
    for score in scores.values():
        assert (score.auc, score.auc_best, score.found, score.false, score.accuracy) == (1, 1, 1, 0, 1)


def test_too_few_photos_give_no_figure(photos) -> None:
    data, listed, truth = photos
    few = Truth(truth.masks, truth.row[:8], truth.state[:8], truth.label[:8], truth.complete[:8])
    scores = score_words(model(), listed[:8], few, data, size=80)
    assert scores["blue"] == WordScore(2)
    assert scores["red"].iou is not None
    assert scores["red"].auc is None  # only two photos without it


def test_labelled_photos_tell_presence_alone(photos) -> None:
    data, listed, _ = photos
    scores = score_labelled(model(), listed, [1] * 6 + [2] * 6, data, size=80)
    assert set(scores) == {"red", "blue"}
    assert scores["red"].auc == 1
    assert scores["red"].iou is None


def test_presence_is_the_judges_where_it_learnt_a_word_and_the_best_cells_elsewhere() -> None:
    maps = torch.rand(1, 3, 10, 10, generator=torch.Generator().manual_seed(0))
    logits = Colours().concept_logits(maps)
    judge = Judge(torch.tensor([[0.0] * 7, [0.5] * 7, [0.0] * 7]), torch.tensor([0.0, -1.0, 0.0]))
    made = presence_of(model(judge), maps, logits)
    assert made[1] == pytest.approx(float(judge(maps, logits[:, 1], 1)), abs=1e-6)
    assert made[2] == pytest.approx(float(logits[0, 2].sigmoid().amax()), abs=1e-6)
    assert summary(maps).shape == (1, 6)
    assert best_cells(logits).shape == (1, 3)


def test_the_table_is_read_as_it_was_written(tmp_path) -> None:
    scores = {"red": WordScore(9, 0.61234, 0.5, 0.9, 0.8, 0.75, 0.25), "blue": WordScore(2)}
    labelled = {"blue": WordScore(7, auc=0.8, found=1.0, false=0.5)}
    write_table(tmp_path, model(), {"red": 40}, scores, labelled)
    red, blue = read_table(tmp_path)
    assert (red.name, red.synonyms, red.masks, red.photos) == ("red", ("crimson", "ruby"), 40, 9)
    assert (red.iou, red.auc, red.accuracy, red.false_alarms) == (0.612, 0.9, 0.75, 0.25)
    assert (blue.synonyms, blue.masks, blue.photos, blue.iou) == ((), 0, 7, None)
    assert (blue.auc, blue.accuracy) == (0.8, 0.75)
    assert read_table(tmp_path / "nowhere") == ()
    assert (tmp_path / "vocabulary.csv").read_text().startswith(",".join(TABLE_COLUMNS))


def test_photos_that_the_cache_did_not_reach_are_the_later_ones(tmp_path) -> None:
    listed = [Photo(f"photos/{i}.jpg", "animals", "dog", "train").__dict__ for i in range(30)]
    (tmp_path / "photos.json").write_text(json.dumps(listed))
    (tmp_path / "done.json").write_text("4")
    table = eval_words.ConceptTable({"background": {}, "dog": {"caltech": []}})
    kept, labels = eval_words.never_cached(tmp_path, table, [""] * 1000, 100)
    assert [p.key for p in kept] == [f"photos/{i}.jpg" for i in range(4, 24)]  # 20 of a label
    assert set(labels) == {1}


# -- the card ------------------------------------------------------------------------------------------


def test_blocks_are_filled_and_all_else_is_left_alone() -> None:
    text = "# a\n<!-- figures: words -->\nold\nold\n<!-- end -->\nb\n<!-- figures: curve -->\n<!-- end -->\n"
    filled = card.fill(text, {"words": "new\n", "curve": "x"})
    assert filled == (
        "# a\n<!-- figures: words -->\nnew\n<!-- end -->\nb\n<!-- figures: curve -->\nx\n<!-- end -->\n"
    )
    assert card.fill(filled, {"words": "new", "curve": "x"}) == filled
    with pytest.raises(card.InputError, match="words"):
        card.fill(text, {"curve": ""})


def test_the_command_keeps_results_and_writes_the_card(tmp_path, capsys) -> None:
    folder, result = tmp_path / "mini", tmp_path / "label-1.json"
    folder.mkdir()
    readouts = ("initial", "refined", "prototype, true mask", "final", "final, edges", "all foreground")
    row = {"iou": {"cat": 0.5, "dog": 0.6}, "miou": 0.55, "boundary_miou": 0.2}
    better = {"iou": {"cat": 0.7, "dog": 0.7}, "miou": 0.7, "boundary_miou": 0.3}
    result.write_text(json.dumps({
        "command": "python -m x", "settings": {"kind": "label"}, "shots": 1, "episodes": [24],
        "mean": {**dict.fromkeys(readouts, row), "decoder, edges": better}, "presence_auc": 0.9,
    }))  # fmt: skip
    curve = tmp_path / "curve.json"
    curve.write_text(json.dumps({
        "command": "python -m y", "rises": {"mini": True},
        "curves": {"mini": {"looked": [0, 10], "rest": [0.25, 0.5], "same": [0.3, 0.35]}},
    }))  # fmt: skip
    write_table(folder, model(), {"red": 40}, {"red": WordScore(9, 0.6, 0.5, 0.9, 0.8, 0.75, 0.25)}, {})
    training = {
        "steps": 100,
        "config": {"pairs": 3, "singles": 2, "stages": [], "learning_rate": 1, "seed": 0},
    }
    judged = {"by concept": {"cat": {"best cells": 0.7, "judge": 0.8}}, "auc": 0.8, "auc of best cells": 0.7}
    (folder / "config.json").write_text(json.dumps({"training": training, "presence": judged}))
    blocks = ("prototypes", "words", "presence", "training", "episodes", "curve")
    (folder / "README.md").write_text("".join(f"<!-- figures: {b} -->\n<!-- end -->\n" for b in blocks))
    (folder / "figures.json").write_text(json.dumps({"prototype_iou": {"voc/mini@256 px": {"mean": 0.4}}}))
    assert card.main(["--model", str(folder), "--results", str(result), str(curve)]) == 0
    text = (folder / "README.md").read_text()
    for line in (
        "| VOC val | 0.40 |", "| red | 40 | 9 | 0.60 | 0.90 | 0.75 | 0.25 |", "| cat | 0.70 | 0.80 |",
        "100 steps of 8 crops (800 crops)", "| mini, never looked at | 0.30 | 0.35 |",
        "| label, 1-shot, 2 classes | 0.55 | 0.55 | 0.55 | 0.55 | 0.55 | 0.70 | 0.30 | 0.90 |",
    ):  # fmt: skip
        assert line in text
    assert set(json.loads((folder / "figures.json").read_text())["results"]) == {"label-1", "curve"}
    result.write_text("{}")
    assert card.main(["--model", str(folder), "--results", str(result)]) == 2
    assert "label-1.json" in capsys.readouterr().err
