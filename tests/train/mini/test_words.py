"""Figures of words: equal to plain counting, honest about too few photos, written as a table that is read."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from lfss.encoders.judge import Judge, best_cells
from lfss.encoders.vocabulary import TABLE_COLUMNS, Concept, Vocabulary, read_table
from train import card
from train.mini.photos import Photo
from train.mini.pixels import Seen
from train.mini.truth import SIDE, Known
from train.mini.words import WordScore, presence_of, score_words, write_table

WORDS = Vocabulary((Concept("background"), Concept("red", ("crimson", "ruby")), Concept("blue")))
NAMES = [concept.name for concept in WORDS.concepts]


def photos() -> tuple[list[Known], list[Seen]]:
    """Six photos of red, six of blue, each found in one quarter; the masks of red are twice as wide."""
    known, seen = [], []
    for i in range(12):
        number, wide = (1, 2) if i < 6 else (2, 1)
        mask = np.zeros((SIDE, SIDE), np.int16)
        mask[: SIDE // 2, : wide * SIDE // 4] = number
        odds = torch.full((1, 3, 32, 32), -5.0)
        odds[0, number, :16, :8] = 5
        known.append(Known(Photo(f"{i}.jpg", "voc", None, "test"), mask, -1, (1, 2), "voc"))
        seen.append(Seen(torch.zeros(1, 1, 1, 1), odds, torch.zeros(3)))
    return known, seen


def test_outlines_and_presence_are_scored_where_a_word_is_shown() -> None:
    scores = score_words(NAMES, None, *photos())
    assert scores["red"].photos == scores["blue"].photos == 6
    assert scores["red"].iou == pytest.approx(0.5, abs=0.02)
    assert scores["blue"].iou == pytest.approx(1, abs=0.04)
    for score in scores.values():
        assert (score.auc, score.found, score.false, score.accuracy) == (1, 1, 0, 1)


def test_too_few_photos_give_no_figure() -> None:
    known, seen = photos()
    scores = score_words(NAMES, None, known[:8], seen[:8])
    assert scores["blue"] == WordScore(2)
    assert scores["red"].iou is not None
    assert scores["red"].auc is None  # only two photos without it


def test_what_a_set_does_not_mark_is_not_counted_as_absent() -> None:
    known, seen = photos()
    partly = [Known(k.photo, k.mask, -1, (1,), "voc") for k in known]
    assert set(score_words(NAMES, None, partly, seen)) == {"red"}


def test_presence_is_the_judges_where_there_is_one_and_the_best_cells_elsewhere() -> None:
    rng = torch.Generator().manual_seed(0)
    seen = Seen(torch.zeros(1), torch.randn(1, 3, 10, 10, generator=rng), torch.randn(3, generator=rng))
    judge = Judge(torch.tensor([[0.5, 0.2]]).expand(3, 2), torch.tensor([0.0, -1.0, 0.0]))
    made = presence_of(judge, seen)
    assert made[1] == pytest.approx(float(judge(seen.whole[1:2], seen.odds[:, 1], 1)), abs=1e-6)
    torch.testing.assert_close(presence_of(None, seen), best_cells(seen.odds)[0].sigmoid())


def test_the_table_is_read_as_it_was_written(tmp_path) -> None:
    scores = {"red": WordScore(9, 0.61234, 0.9, 0.75, 0.25), "blue": WordScore(2)}
    write_table(tmp_path, WORDS, {"red": 40}, scores)
    red, blue = read_table(tmp_path)
    assert (red.name, red.synonyms, red.masks, red.photos) == ("red", ("crimson", "ruby"), 40, 9)
    assert (red.iou, red.auc, red.accuracy, red.false_alarms) == (0.612, 0.9, 0.75, 0.25)
    assert (blue.synonyms, blue.masks, blue.photos, blue.iou, blue.auc) == ((), 0, 2, None, None)
    assert read_table(tmp_path / "nowhere") == ()
    assert (tmp_path / "vocabulary.csv").read_text().startswith(",".join(TABLE_COLUMNS))


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
    masks = ("initial", "refined", "prototype, true mask", "final", "final, edges", "all foreground")
    row = {"iou": {"cat": 0.5, "dog": 0.6}, "miou": 0.55, "boundary_miou": 0.2}
    better = {"iou": {"cat": 0.7, "dog": 0.7}, "miou": 0.7, "boundary_miou": 0.3}
    result.write_text(json.dumps({
        "command": "python -m x", "settings": {"kind": "label"}, "shots": 1, "episodes": [24],
        "mean": {**dict.fromkeys(masks, row), "decoder, edges": better}, "presence_auc": 0.9,
    }))  # fmt: skip
    curve = tmp_path / "curve.json"
    curve.write_text(json.dumps({
        "command": "python -m y", "rises": {"mini": True},
        "curves": {"mini": {"looked": [0, 10], "rest": [0.25, 0.5], "same": [0.3, 0.35]}},
    }))  # fmt: skip
    write_table(folder, WORDS, {"red": 40}, {"red": WordScore(9, 0.6, 0.9, 0.75, 0.25)})
    stage = {"steps": 100, "size": 64, "pairs": 3, "singles": 2}
    training = {
        "steps": 90,
        "recipe": {"stages": [stage], "trunk_rate": 1e-4, "head_rate": 1e-3, "frozen": 4, "seed": 0},
    }
    row = {"best cells": 0.7, "whole picture": 0.6, "judge": 0.8}
    judged = {"by concept": {"cat": row}, "auc": 0.8, "auc of best cells": 0.7}
    (folder / "config.json").write_text(json.dumps({"training": training, "presence": judged}))
    blocks = ("prototypes", "words", "presence", "training", "episodes", "curve")
    (folder / "README.md").write_text("".join(f"<!-- figures: {b} -->\n<!-- end -->\n" for b in blocks))
    (folder / "figures.json").write_text(json.dumps({"prototype_iou": {"voc/mini@384 px": {"mean": 0.4}}}))
    assert card.main(["--model", str(folder), "--results", str(result), str(curve)]) == 0
    text = (folder / "README.md").read_text()
    for line in (
        "| VOC val | 0.40 |", "| red | 40 | 9 | 0.60 | 0.90 | 0.75 | 0.25 |", "| cat | 0.70 | 0.60 | 0.80 |",
        "90 steps: 100 of 8 crops at 64 px", "| mini, never looked at | 0.30 | 0.35 |",
        "| label, 1-shot, 2 classes | 0.55 | 0.55 | 0.55 | 0.55 | 0.55 | 0.70 | 0.30 | 0.90 |",
    ):  # fmt: skip
        assert line in text
    assert set(json.loads((folder / "figures.json").read_text())["results"]) == {"label-1", "curve"}
    result.write_text("{}")
    assert card.main(["--model", str(folder), "--results", str(result)]) == 2
    assert "label-1.json" in capsys.readouterr().err
